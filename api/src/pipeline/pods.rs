//! How a pipeline's pods are made.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration};

use super::kafka::SecretRef;

/// How the pipeline's pods are made in a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Pods {
    /// Pods that read topics and write tables.
    pub worker: PodTemplate,
    /// Pods that produce events.
    pub generator: PodTemplate,
    /// The pod that creates tables and loads references.
    pub prepare: PodTemplate,
    /// Pods that run models.
    pub model: PodTemplate,
    /// The identity of all of them.
    pub service_account: ServiceAccount,
    /// Secrets with the credentials of the image's registry.
    pub image_pull_secrets: Vec<SecretRef>,
}

/// How pods of one kind are made.
#[derive(Debug, Clone, PartialEq)]
pub struct PodTemplate {
    /// Labels besides the operator's own.
    pub labels: BTreeMap<String, String>,
    /// Annotations besides the operator's own.
    pub annotations: BTreeMap<String, String>,
    /// Processor time and memory.
    pub resources: Resources,
    /// Labels that a node has to have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are put up with.
    pub tolerations: Vec<Toleration>,
    /// Nodes and neighbours that are sought or avoided.
    pub affinity: Option<Affinity>,
    /// The priority class.
    pub priority_class: Option<String>,
}

/// Processor time and memory of a pod, as Kubernetes writes them, by `cpu` and `memory`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources {
    /// What a node has to have left.
    pub requests: BTreeMap<&'static str, String>,
    /// What the pod may use at most.
    pub limits: BTreeMap<&'static str, String>,
}

/// The identity of a pipeline's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceAccount {
    /// One that exists.
    Existing(String),
    /// One that the operator makes, with these annotations.
    Own(BTreeMap<String, String>),
}
