//! `spec.image`, `spec.paused` and `spec.pods`: how the pipeline's pods are made. Only a cluster has pods; without
//! one these members are ignored, but for `paused.generator`.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::kafka::SecretRefSpec;
use super::rule::RuleText;
use super::schema::Reserved;
use crate::amount::AmountText;

pub(crate) const IMAGE: RuleText = RuleText {
    problem: "this is not the name of an image",
    remedy: "write registry/repository:tag or registry/repository@sha256:digest, without blanks",
};
pub(crate) const OWN_PREFIX: RuleText = RuleText {
    problem: "app.kubernetes.io/ and streampipeline.dev/ belong to the operator",
    remedy: "choose another prefix",
};
pub(crate) const MORE_CPU_THAN_LIMIT: RuleText = RuleText {
    problem: "more processor time is requested than the limit allows",
    remedy: "lower requests.cpu or raise limits.cpu",
};
pub(crate) const MORE_MEMORY_THAN_LIMIT: RuleText = RuleText {
    problem: "more memory is requested than the limit allows",
    remedy: "lower requests.memory or raise limits.memory",
};
pub(crate) const NO_CPU: RuleText = RuleText {
    problem: "no program runs without processor time",
    remedy: "set at least 1m",
};
pub(crate) const LITTLE_MEMORY: RuleText = RuleText {
    problem: "no program of the pipeline runs in so little memory",
    remedy: "set at least 32Mi",
};
pub(crate) const ONE_SERVICE_ACCOUNT: RuleText = RuleText {
    problem: "a service account of your own has its own annotations",
    remedy: "set name or annotations, not both",
};
pub(crate) const TOLERATION_VALUE: RuleText = RuleText {
    problem: "the operator Exists takes any value",
    remedy: "remove value, or use the operator Equal",
};
pub(crate) const TOLERATION_KEY: RuleText = RuleText {
    problem: "the operator Equal needs a key",
    remedy: "set key, or use the operator Exists",
};
pub(crate) const DNS_NAME: RuleText = RuleText {
    problem: "this is not the name of an object",
    remedy: "use lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
};

/// What stands still.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PausedSpec {
    /// `true`: nothing is generated; afterwards the generator goes on where it stopped. Default `false`.
    #[serde(default)]
    pub generator: bool,
    /// `true`: nothing is stored, models do not run, and the topics fill; afterwards the workers go on where they
    /// stopped, as long as the topics still have the records. Without a cluster it is ignored. Default `false`.
    #[serde(default)]
    pub workers: bool,
}

/// When a node fetches an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum PullPolicy {
    /// Each time that a pod starts.
    Always,
    /// If the node does not have it.
    IfNotPresent,
    /// Not at all: the node has to have it.
    Never,
}

impl PullPolicy {
    /// The name that Kubernetes gives it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

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
    #[x_kube(validation = Rule::new(
        "self.all(key, !key.startsWith('app.kubernetes.io/') && !key.startsWith('streampipeline.dev/'))"
    ).message(OWN_PREFIX))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods. Example: `{cluster-autoscaler.kubernetes.io/safe-to-evict: "true"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations_schema")]
    #[x_kube(validation = Rule::new(
        "self.all(key, !key.startsWith('app.kubernetes.io/') && !key.startsWith('streampipeline.dev/'))"
    ).message(OWN_PREFIX))]
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
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')").message(DNS_NAME))]
    pub priority_class_name: Option<String>,
}

/// Processor time and memory of one pod.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) \
     || quantity(self.requests.cpu).compareTo(quantity(self.limits.cpu)) <= 0"
).message(MORE_CPU_THAN_LIMIT).field_path(".requests"))]
#[x_kube(validation = Rule::new(
    "!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) \
     || quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0"
).message(MORE_MEMORY_THAN_LIMIT).field_path(".requests"))]
pub struct ResourcesSpec {
    /// What a node has to have left for the pod. Absent: as much as the limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<AmountsSpec>,
    /// What the pod may use at most: more processor time is not given, and more memory ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<AmountsSpec>,
}

/// Amounts of processor time and memory.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AmountsSpec {
    /// Processors, in quotes where it is a mere number. Examples: `500m` (half a processor), `"2"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("quantity(self).compareTo(quantity('1m')) >= 0").message(NO_CPU))]
    pub cpu: Option<AmountText>,
    /// Memory, at least `32Mi`. Examples: `512Mi`, `2Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("quantity(self).compareTo(quantity('32Mi')) >= 0").message(LITTLE_MEMORY))]
    pub memory: Option<AmountText>,
}

/// A taint of nodes that is put up with.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.value) || !has(self.operator) || self.operator != 'Exists'").message(TOLERATION_VALUE).field_path(".value"))]
#[x_kube(validation = Rule::new("has(self.key) || (has(self.operator) && self.operator == 'Exists')").message(TOLERATION_KEY))]
pub struct TolerationSpec {
    /// The taint's key. Absent, with the operator `Exists`: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 316))]
    pub key: Option<String>,
    /// How the taint's value is compared: `Equal` (to `value`; the default) or `Exists` (any will do).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// The taint's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// The taint's effect: `NoSchedule`, `PreferNoSchedule` or `NoExecute`. Absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// Seconds that a pod stays on a node which gets a taint with the effect `NoExecute`. Absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub toleration_seconds: Option<i64>,
}

/// How a taint's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TolerationOperator {
    /// The value has to be the same.
    Equal,
    /// Any value will do.
    Exists,
}

/// What a taint does to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TaintEffect {
    /// None comes.
    NoSchedule,
    /// None comes if there is another node.
    PreferNoSchedule,
    /// None comes, and those that are there go.
    NoExecute,
}

/// The identity of the pipeline's pods.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.name) || !has(self.annotations)").message(ONE_SERVICE_ACCOUNT))]
pub struct ServiceAccountSpec {
    /// A service account that exists. Absent: the operator makes one with the pipeline's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')").message(DNS_NAME))]
    pub name: Option<String>,
    /// Annotations of the service account that the operator makes, such as those of Workload Identity.
    /// Example: `{iam.gke.io/gcp-service-account: music@project.iam.gserviceaccount.com}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "annotations_schema")]
    #[x_kube(validation = Rule::new(
        "self.all(key, !key.startsWith('app.kubernetes.io/') && !key.startsWith('streampipeline.dev/'))"
    ).message(OWN_PREFIX))]
    pub annotations: Option<BTreeMap<String, String>>,
}

fn labels_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": {
            "type": "string",
            "maxLength": 63,
            "pattern": "^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$",
        },
        "maxProperties": 32,
    })
}

fn annotations_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": "string", "maxLength": 4096 },
        "maxProperties": 32,
    })
}
