//! The Deployment of the workers.

use k8s_openapi::api::apps::v1::Deployment;

use super::deployment;
use super::desired::Defaults;
use crate::names::{Role, role_name};
use crate::validate::Valid;

/// `replicas`: how many workers there are to be now.
pub(crate) fn build(valid: &Valid, defaults: &Defaults, replicas: u32) -> Deployment {
    deployment::build(
        valid,
        defaults,
        Role::Worker,
        replicas,
        &role_name(valid.pipeline.name.as_str(), Role::Worker),
    )
}
