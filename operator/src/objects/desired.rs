//! Objects as they should be, and what they depend on besides the manifest.

use api::crd::PullPolicy;
use serde::Serialize;
use serde_json::Value;

use crate::hash;
use crate::kind::Kind;

/// What the operator was started with and pipelines may override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    /// The image of a pipeline that names none.
    pub image: String,
    pub pull_policy: PullPolicy,
    /// Whether pipelines get a NetworkPolicy.
    pub network_policies: bool,
}

/// What was decided about a pipeline and is kept in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Decisions {
    /// Workers that there are to be; 0 while they are paused.
    pub(crate) workers: u32,
    /// The generator's configuration (its hash) that is complete.
    pub(crate) completed: Option<String>,
    /// Whether the cluster knows PodMonitors.
    pub(crate) pod_monitors: bool,
}

/// An object as it should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Desired {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// All that the operator has to say about it.
    pub(crate) body: Value,
    pub(crate) hash: String,
}

/// All objects of a pipeline, by the step in which they are applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Objects {
    /// What needs nothing else: identity, rules, names.
    pub(crate) base: Vec<Desired>,
    /// ConfigMap and Job, in this order.
    pub(crate) prepare: Vec<Desired>,
    /// ConfigMap and Deployment of the workers.
    pub(crate) worker: Vec<Desired>,
    /// ConfigMap and CronJobs of the models; none without one.
    pub(crate) models: Vec<Desired>,
    /// ConfigMap and Deployment of the generator; none without one.
    pub(crate) generator: Vec<Desired>,
    /// Hash of the configuration that the generator has.
    pub(crate) generator_hash: String,
    pub(crate) prepare_name: String,
}

/// An object could not be written down: a defect.
#[derive(Debug, thiserror::Error)]
#[error("an object cannot be written as JSON: {0}")]
pub struct BuildError(pub(super) String);

impl Desired {
    pub(super) fn new(kind: Kind, object: &impl Serialize) -> Result<Self, BuildError> {
        let body = serde_json::to_value(object).map_err(|error| BuildError(error.to_string()))?;
        let name = body
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Ok(Self {
            kind,
            name,
            hash: hash::of(&body),
            body,
        })
    }
}

impl Objects {
    /// All of them, in the order in which they are applied.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Desired> {
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
