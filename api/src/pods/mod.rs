//! `spec.pods`: how the pipeline's pods are made. Only a cluster has pods; without one this is ignored.

mod identity;
mod labels;
mod placement;
mod resources;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::problem::Collector;
use crate::schema::Reserved;
use crate::secret::{SecretRef, SecretRefSpec, secret};
use labels::{
    annotations_schema, check_keys, check_labels, dns_name, dns_name_rule, labels_schema, own_keys,
    own_prefix_rule,
};
use placement::{affinity, toleration};

pub use identity::{ServiceAccount, ServiceAccountSpec};
pub use placement::{TaintEffect, TolerationOperator, TolerationSpec};
pub use resources::{AmountsSpec, Resources, ResourcesSpec};

/// How the pipeline's pods are made in a cluster.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodsSpec {
    /// Pods that read topics and write tables. Default: 250m to 2 processors, 512Mi of memory.
    #[serde(default)]
    pub worker: PodSpec,
    /// Pods that produce events. Default: 100m to 2 processors, 256Mi of memory.
    #[serde(default)]
    pub generator: PodSpec,
    /// The pod that creates tables and loads references before workers start. Default: 100m to 2 processors, 512Mi
    /// of memory.
    #[serde(default)]
    pub prepare: PodSpec,
    /// Pods that run models. Default: 100m to 2 processors, 1Gi of memory.
    #[serde(default)]
    pub model: PodSpec,
    /// The identity of all of the pipeline's pods. Absent: an account of their own without any rights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountSpec>,
    /// Secrets with the credentials of the image's registry. Example: `[{name: registry}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<SecretRefSpec>,
}

/// How pods of one kind are made.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSpec {
    /// Labels of the pods besides the operator's own. Example: `{team: music}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels_schema")]
    #[x_kube(validation = own_prefix_rule())]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods. Example: `{cluster-autoscaler.kubernetes.io/safe-to-evict: "true"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations_schema")]
    #[x_kube(validation = own_prefix_rule())]
    pub annotations: BTreeMap<String, String>,
    /// Processor time and memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesSpec>,
    /// Labels that a node has to have. Example: `{kubernetes.io/arch: amd64}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels_schema")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that are put up with. Example: `[{key: spot, operator: Exists}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<TolerationSpec>,
    /// Nodes and neighbours that are sought or avoided: what a pod's own `spec.affinity` takes (`kubectl explain
    /// pod.spec.affinity`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Reserved>,
    /// The priority class of the pods, which has to exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = dns_name_rule())]
    pub priority_class_name: Option<String>,
}

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

pub(crate) fn pods(spec: Option<&PodsSpec>, problems: &mut Collector) -> Pods {
    let spec = spec.cloned().unwrap_or_default();
    let PodsSpec {
        worker,
        generator,
        prepare,
        model,
        service_account,
        image_pull_secrets,
    } = spec;
    Pods {
        worker: pod(worker, ("250m", "512Mi"), "spec.pods.worker", problems),
        generator: pod(generator, ("100m", "256Mi"), "spec.pods.generator", problems),
        prepare: pod(prepare, ("100m", "512Mi"), "spec.pods.prepare", problems),
        model: pod(model, ("100m", "1Gi"), "spec.pods.model", problems),
        service_account: identity::service_account(service_account.unwrap_or_default(), problems),
        image_pull_secrets: image_pull_secrets
            .iter()
            .enumerate()
            .map(|(index, reference)| {
                secret(
                    reference,
                    &format!("spec.pods.imagePullSecrets[{index}]"),
                    problems,
                )
            })
            .collect(),
    }
}

fn pod(spec: PodSpec, default: (&str, &str), path: &str, problems: &mut Collector) -> PodTemplate {
    let PodSpec {
        labels,
        annotations,
        resources,
        node_selector,
        tolerations,
        affinity,
        priority_class_name,
    } = spec;
    own_keys(&labels, &format!("{path}.labels"), problems);
    own_keys(&annotations, &format!("{path}.annotations"), problems);
    for (map, member) in [(&labels, "labels"), (&node_selector, "nodeSelector")] {
        check_labels(map, &format!("{path}.{member}"), problems);
    }
    check_keys(annotations.keys(), &format!("{path}.annotations"), problems);
    if let Some(name) = &priority_class_name {
        dns_name(name, &format!("{path}.priorityClassName"), problems);
    }
    PodTemplate {
        labels,
        annotations,
        resources: resources::resources(resources, default, &format!("{path}.resources"), problems),
        node_selector,
        tolerations: tolerations
            .into_iter()
            .enumerate()
            .map(|(index, toleration)| {
                self::toleration(toleration, &format!("{path}.tolerations[{index}]"), problems)
            })
            .collect(),
        affinity: affinity
            .and_then(|affinity| self::affinity(affinity, &format!("{path}.affinity"), problems)),
        priority_class: priority_class_name,
    }
}
