//! From a valid pipeline to its objects. Nothing here asks anybody anything.

mod config_map;
mod deployment;
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

use api::crd::PullPolicy;
use serde::Serialize;
use serde_json::Value;

pub(crate) use model_cron_job::name as model_name;
pub(crate) use yaml::documents;

use crate::hash;
use crate::kind::Kind;
use crate::names::{Role, role_name};
use crate::validate::Valid;

/// What the operator was started with and pipelines may override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// The image of a pipeline that names none.
    pub image: String,
    /// When nodes fetch it.
    pub pull_policy: PullPolicy,
    /// Whether pipelines get a NetworkPolicy.
    pub network_policies: bool,
}

/// What was decided about a pipeline and is kept in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decisions {
    /// Workers that there are to be; 0 while they are paused.
    pub workers: u32,
    /// The generator's configuration (its hash) that is complete.
    pub completed: Option<String>,
    /// Whether the cluster knows PodMonitors.
    pub pod_monitors: bool,
}

/// An object as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Decides how the API server is asked.
    pub kind: Kind,
    /// In the pipeline's namespace.
    pub name: String,
    /// All that the operator has to say about it.
    pub body: Value,
    /// Hash of `body`.
    pub hash: String,
}

/// All objects of a pipeline, by the step in which they are applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Objects {
    /// What needs nothing else: identity, rules, names.
    pub base: Vec<Desired>,
    /// ConfigMap and Job, in this order.
    pub prepare: Vec<Desired>,
    /// ConfigMap and Deployment of the workers.
    pub worker: Vec<Desired>,
    /// ConfigMap and CronJobs of the models; none without one.
    pub models: Vec<Desired>,
    /// ConfigMap and Deployment of the generator; none without one.
    pub generator: Vec<Desired>,
    /// Hash of the configuration that the generator has.
    pub generator_hash: String,
    /// Name of the Job.
    pub prepare_name: String,
}

/// An object could not be written down: a defect.
#[derive(Debug, thiserror::Error)]
#[error("an object cannot be written as JSON: {0}")]
pub struct BuildError(String);

impl Objects {
    /// All of them, in the order in which they are applied.
    pub fn iter(&self) -> impl Iterator<Item = &Desired> {
        [
            &self.base,
            &self.prepare,
            &self.worker,
            &self.models,
            &self.generator,
        ]
        .into_iter()
        .flatten()
    }
}

/// Every object of the pipeline.
pub fn build(valid: &Valid, defaults: &Defaults, decisions: &Decisions) -> Result<Objects, BuildError> {
    let mut base = Vec::new();
    if let Some(account) = service_account::build(valid) {
        base.push(desired(Kind::ServiceAccount, &account)?);
    }
    if defaults.network_policies {
        base.push(desired(Kind::NetworkPolicy, &network_policy::build(valid))?);
    }
    base.push(desired(Kind::Service, &service::build(valid))?);
    base.push(desired(
        Kind::PodDisruptionBudget,
        &pod_disruption_budget::build(valid, Role::Worker),
    )?);
    if decisions.pod_monitors {
        base.push(desired(Kind::PodMonitor, &pod_monitor::build(valid))?);
    }

    let (job, prepare_name) = prepare_job::build(valid, defaults)?;
    let prepare = vec![
        desired(
            Kind::ConfigMap,
            &config_map::build(valid, Role::Prepare, prepare_name.clone())?,
        )?,
        desired(Kind::Job, &job)?,
    ];
    let config = |role| config_map::build(valid, role, role_name(valid.pipeline.name.as_str(), role));
    let worker = vec![
        desired(Kind::ConfigMap, &config(Role::Worker)?)?,
        desired(
            Kind::Deployment,
            &worker::build(valid, defaults, decisions.workers),
        )?,
    ];
    let mut models = Vec::new();
    if !valid.pipeline.models.is_empty() {
        models.push(desired(Kind::ConfigMap, &config(Role::Model)?)?);
    }
    for model in &valid.pipeline.models {
        models.push(desired(
            Kind::CronJob,
            &model_cron_job::build(valid, defaults, model),
        )?);
    }
    let mut generator = Vec::new();
    if let Some(deployment) = generator::build(valid, defaults, decisions.completed.as_deref()) {
        base.push(desired(
            Kind::PodDisruptionBudget,
            &pod_disruption_budget::build(valid, Role::Generator),
        )?);
        generator.push(desired(Kind::ConfigMap, &config(Role::Generator)?)?);
        generator.push(desired(Kind::Deployment, &deployment)?);
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

fn desired(kind: Kind, object: &impl Serialize) -> Result<Desired, BuildError> {
    let body = serde_json::to_value(object).map_err(|error| BuildError(error.to_string()))?;
    let name = body
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    Ok(Desired {
        kind,
        name,
        hash: hash::of(&body),
        body,
    })
}
