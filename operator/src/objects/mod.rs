//! From a valid pipeline to its objects. Nothing here asks anybody anything.

mod config_map;
mod deployment;
mod desired;
mod generator;
mod job;
mod metadata;
mod model_cron_job;
mod network_policy;
mod pod;
mod pod_disruption_budget;
mod pod_monitor;
mod prepare_job;
mod service;
mod service_account;
#[cfg(test)]
mod tests;
mod worker;
mod yaml;

pub use desired::{BuildError, Defaults};
pub(crate) use desired::{Decisions, Desired, Objects};
pub(crate) use model_cron_job::name as model_name;
pub(crate) use yaml::documents;

use crate::kind::Kind;
use crate::names::{Role, role_name};
use crate::validate::Valid;

/// Every object of the pipeline.
pub(crate) fn build(
    valid: &Valid,
    defaults: &Defaults,
    decisions: &Decisions,
) -> Result<Objects, BuildError> {
    let mut base = Vec::new();
    if let Some(account) = service_account::build(valid) {
        base.push(Desired::new(Kind::ServiceAccount, &account)?);
    }
    if defaults.network_policies {
        base.push(Desired::new(Kind::NetworkPolicy, &network_policy::build(valid))?);
    }
    base.push(Desired::new(Kind::Service, &service::build(valid))?);
    base.push(Desired::new(
        Kind::PodDisruptionBudget,
        &pod_disruption_budget::build(valid, Role::Worker),
    )?);
    if decisions.pod_monitors {
        base.push(Desired::new(Kind::PodMonitor, &pod_monitor::build(valid))?);
    }

    let (job, prepare_name) = prepare_job::build(valid, defaults)?;
    let prepare = vec![
        Desired::new(
            Kind::ConfigMap,
            &config_map::build(valid, Role::Prepare, prepare_name.clone())?,
        )?,
        Desired::new(Kind::Job, &job)?,
    ];
    let config = |role| config_map::build(valid, role, role_name(valid.pipeline.name.as_str(), role));
    let worker = vec![
        Desired::new(Kind::ConfigMap, &config(Role::Worker)?)?,
        Desired::new(
            Kind::Deployment,
            &worker::build(valid, defaults, decisions.workers),
        )?,
    ];
    let mut models = Vec::new();
    if !valid.pipeline.models.is_empty() {
        models.push(Desired::new(Kind::ConfigMap, &config(Role::Model)?)?);
    }
    for model in &valid.pipeline.models {
        models.push(Desired::new(
            Kind::CronJob,
            &model_cron_job::build(valid, defaults, model),
        )?);
    }
    let mut generator = Vec::new();
    if let Some(deployment) = generator::build(valid, defaults, decisions.completed.as_deref()) {
        base.push(Desired::new(
            Kind::PodDisruptionBudget,
            &pod_disruption_budget::build(valid, Role::Generator),
        )?);
        generator.push(Desired::new(Kind::ConfigMap, &config(Role::Generator)?)?);
        generator.push(Desired::new(Kind::Deployment, &deployment)?);
    }
    Ok(Objects {
        base,
        prepare,
        worker,
        models,
        generator,
        generator_hash: config_map::config_hash(valid, Role::Generator),
        prepare_name,
    })
}
