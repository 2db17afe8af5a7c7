//! The Deployment of the generator.

use k8s_openapi::api::apps::v1::Deployment;

use super::config_map::config_hash;
use super::deployment;
use super::desired::Defaults;
use crate::names::{COMPLETE, Role, role_name};
use crate::validate::Valid;

/// None without `spec.generator`. `completed` is the configuration that has produced all that it was to produce: its
/// pods would only start to find that nothing is left to do.
pub(crate) fn build(valid: &Valid, defaults: &Defaults, completed: Option<&str>) -> Option<Deployment> {
    let generator = valid.pipeline.generator.as_ref()?;
    let done = completed.is_some_and(|hash| hash == config_hash(valid, Role::Generator));
    let replicas = if generator.paused || done {
        0
    } else {
        u32::from(generator.replicas)
    };
    let name = role_name(valid.pipeline.name.as_str(), Role::Generator);
    let mut deployment = deployment::build(valid, defaults, Role::Generator, replicas, &name);
    if let Some(hash) = completed.filter(|_| done) {
        deployment
            .metadata
            .annotations
            .get_or_insert_default()
            .insert(COMPLETE.to_owned(), hash.to_owned());
    }
    Some(deployment)
}
