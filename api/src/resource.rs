//! The custom resource exactly as it is typed.
//!
//! Doc comments are the manual (`kubectl explain sp.spec`), attributes are what the API server holds a manifest
//! to. Bounds are in the attributes only: `validate` reads them from the schema.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::batch::{BatchSpec, DeadLettersSpec};
use crate::deletion::DeletionPolicy;
use crate::generator::{GeneratorSpec, NO_SUCH_TOPIC, TOO_MANY_PARTITIONS, WHICH_TOPIC};
use crate::image::{PullPolicy, image_rule};
use crate::kafka::KafkaSpec;
use crate::model::{ModelSpec, NO_SUCH_INTERACTIONS};
use crate::names::pipeline_name_rule;
use crate::paused::PausedSpec;
use crate::pods::PodsSpec;
use crate::reference::{NO_GENERATOR, REFERENCE_IS_TOPIC, ReferenceSpec};
use crate::report::ReportSpec;
use crate::rule::unique;
use crate::scaling::ScalingSpec;
use crate::sink::SinkSpec;
use crate::status::StreamPipelineStatus;
use crate::table::TableSpec;
use crate::topic::TopicSpec;

/// The names that share a place: a table each in the sink.
const TABLE_NAMES: &str =
    "(self.tables.map(t, t.name) + self.references.map(r, r.name) + self.models.map(m, m.name))";

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
    validation = pipeline_name_rule()
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = crate::schema::plain)]
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
    #[x_kube(validation = image_rule())]
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

impl StreamPipelineSpec {
    /// Every path of a file that the manifest has; as they are typed they are relative to its directory.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let generator = self.generator.iter_mut().flat_map(GeneratorSpec::paths_mut);
        let references = self.references.iter_mut().flat_map(ReferenceSpec::paths_mut);
        generator.chain(references).chain(self.sink.paths_mut())
    }
}
