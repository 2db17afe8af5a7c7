//! The Job that creates tables and loads references. Its name carries the hash of all that it does, so that a change
//! makes a new Job, and one that is done stays as the proof of it.

use k8s_openapi::api::batch::v1::Job;
use serde_json::json;

use super::desired::{BuildError, Defaults};
use super::metadata::metadata;
use super::{job, pod};
use crate::hash;
use crate::names::{Role, role_name};
use crate::validate::Valid;

/// The Job, and the name that it shares with its ConfigMap.
pub(crate) fn build(valid: &Valid, defaults: &Defaults) -> Result<(Job, String), BuildError> {
    let template = pod::template(valid, defaults, Role::Prepare, "");
    let template = serde_json::to_value(template).map_err(|error| BuildError(error.to_string()))?;
    let hash: String = hash::of(&json!(template)).chars().take(10).collect();
    let name = format!(
        "{}-{hash}",
        role_name(valid.pipeline.name.as_str(), Role::Prepare)
    );
    let job = Job {
        metadata: metadata(valid, name.clone(), Some(Role::Prepare)),
        // When its attempts are used up, the operator makes it anew, with pauses that grow.
        spec: Some(job::spec(pod::template(valid, defaults, Role::Prepare, &name))),
        ..Job::default()
    };
    Ok((job, name))
}
