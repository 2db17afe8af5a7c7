//! The custom resource exactly as it is typed: one type for each object of the manifest.
//!
//! Doc comments are the manual (`kubectl explain sp.spec`), attributes are what the API server holds a manifest
//! to. Bounds stand here only: `validate` reads them from the schema. A union is an object with one optional
//! member for each kind and a rule that one is set, since neither CEL nor a structural schema sees more.

#![allow(
    unreachable_pub,
    reason = "KubeSchema repeats each struct inside a function, where its pub reaches nothing"
)]

mod generator;
mod kafka;
mod pods;
mod question;
mod reference;
mod rule;
mod running;
mod schema;
mod sink;
mod status;
mod table;
mod topic;
mod yaml;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use generator::*;
pub use kafka::*;
pub use pods::*;
pub use question::*;
pub use reference::*;
pub(crate) use rule::*;
pub use running::*;
pub use schema::{ColumnName, Nothing, Reserved};
pub use sink::*;
pub use status::{ModelStatus, StreamPipelineStatus, TopicStatus};
pub use table::*;
pub use topic::*;
pub use yaml::{RELEASE, crd_yaml, definition};

use crate::DeletionPolicy;

pub(crate) const PIPELINE_NAME: RuleText = RuleText {
    problem: "this is not a pipeline name",
    remedy: "use at most 40 lower-case letters, digits and '-', beginning with a letter and not ending with '-'",
};
/// The names that share a place: a table each in the sink.
const TABLE_NAMES: &str =
    "(self.tables.map(t, t.name) + self.references.map(r, r.name) + self.models.map(m, m.name))";
pub(crate) const REFERENCE_IS_TOPIC: RuleText = RuleText {
    problem: "a reference has the name of a topic",
    remedy: "rename the reference",
};
pub(crate) const WHICH_TOPIC: RuleText = RuleText {
    problem: "there are several topics",
    remedy: "say which one the generator fills",
};
pub(crate) const NO_SUCH_TOPIC: RuleText = RuleText {
    problem: "this does not name a topic of the pipeline",
    remedy: "name one of spec.topics",
};
pub(crate) const TOO_MANY_PARTITIONS: RuleText = RuleText {
    problem: "a topic that the generator fills has more than 400 partitions",
    remedy: "lower its partitions",
};
pub(crate) const NO_GENERATOR: RuleText = RuleText {
    problem: "a reference takes a table of generator.music, which is not set",
    remedy: "add generator.music, or load the reference from csv",
};
pub(crate) const NO_SUCH_INTERACTIONS: RuleText = RuleText {
    problem: "a recommender's interactions do not name a table of the pipeline",
    remedy: "name one of spec.tables",
};

/// A stream pipeline: Kafka topics, SQL, and tables that the rows go to, exactly once.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[kube(
    group = "streampipeline.dev",
    version = "v1alpha1",
    kind = "StreamPipeline",
    namespaced,
    shortname = "sp",
    category = "streaming",
    status = "StreamPipelineStatus",
    derive = "PartialEq",
    doc = "A stream pipeline: Kafka topics, SQL, and the tables that the rows go to, exactly once.",
    scale(
        spec_replicas_path = ".spec.scaling.replicas",
        status_replicas_path = ".status.workers",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Rate",
        type_ = "number",
        json_path = ".status.rate",
        description = "Records a second into the sink"
    ),
    printcolumn(
        name = "Lag",
        type_ = "integer",
        json_path = ".status.lag",
        description = "Records that wait in the topics"
    ),
    printcolumn(name = "Workers", type_ = "integer", json_path = ".status.workers"),
    printcolumn(
        name = "Audit",
        type_ = "string",
        json_path = ".status.audit",
        description = "Records that are missing or doubled"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$')").message(PIPELINE_NAME)
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = schema::plain)]
#[x_kube(validation = Rule::new(
    "has(self.generator) && !has(self.generator.topic) ? self.topics.size() == 1 : true"
).message(WHICH_TOPIC).field_path(".generator"))]
#[x_kube(validation = Rule::new(
    "has(self.generator) && has(self.generator.topic) ? self.topics.exists(t, t.name == self.generator.topic) : true"
).message(NO_SUCH_TOPIC).field_path(".generator.topic"))]
#[x_kube(validation = Rule::new(
    "has(self.generator) ? self.topics.all(t, t.partitions <= 400 || (has(self.generator.topic) && t.name != self.generator.topic)) : true"
).message(TOO_MANY_PARTITIONS).field_path(".topics"))]
#[x_kube(validation = unique(TABLE_NAMES, "name"))]
#[x_kube(validation = Rule::new(
    "!self.references.exists(r, self.topics.exists(t, t.name == r.name))"
).message(REFERENCE_IS_TOPIC).field_path(".references"))]
#[x_kube(validation = Rule::new(
    "(has(self.generator) && has(self.generator.music)) || !self.references.exists(r, has(r.from.generated))"
).message(NO_GENERATOR).field_path(".references"))]
#[x_kube(validation = Rule::new(
    "self.models.all(m, !has(m.recommender) || self.tables.exists(t, t.name == m.recommender.interactions))"
).message(NO_SUCH_INTERACTIONS).field_path(".models"))]
pub struct StreamPipelineSpec {
    /// Where Kafka is and how to authenticate.
    pub kafka: KafkaSpec,
    /// Topics that records come from. They are created when they are not there.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub topics: Vec<TopicSpec>,
    /// Synthetic events for one of the topics. Absent: others fill the topics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<GeneratorSpec>,
    /// Tables that are loaded once, before any record is read.
    #[serde(default)]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub references: Vec<ReferenceSpec>,
    /// Tables that records are turned into.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub tables: Vec<TableSpec>,
    /// Scheduled work over the sink's tables.
    #[serde(default)]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub models: Vec<ModelSpec>,
    /// Named questions over the sink's tables.
    #[serde(default)]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub reports: Vec<ReportSpec>,
    /// Where rows go.
    pub sink: SinkSpec,
    /// How records are grouped.
    #[serde(default)]
    pub batch: BatchSpec,
    /// What is done about records that cannot be stored.
    #[serde(default)]
    pub dead_letters: DeadLettersSpec,
    /// How many workers there are.
    #[serde(default)]
    pub scaling: ScalingSpec,
    /// What stands still. Absent: nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PausedSpec>,
    /// The image of the pipeline's pods, which has to hold `streampipeline-worker` and `streampipeline-generator`.
    /// Absent: the operator's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([A-Za-z0-9._/:@-]*[A-Za-z0-9])?$')").message(IMAGE))]
    pub image: Option<String>,
    /// When a node fetches the image: `Always`, `IfNotPresent` or `Never`. Absent: the operator's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// How pods are made in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodsSpec>,
    /// What becomes of topics and offsets when the pipeline is deleted: `Retain` (they stay; the default) or
    /// `Delete` (they go). The sink's tables stay in both cases.
    #[serde(default = "retain")]
    pub deletion_policy: DeletionPolicy,
}

fn retain() -> DeletionPolicy {
    DeletionPolicy::Retain
}
