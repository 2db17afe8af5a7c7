//! The validated model: what operator, worker, generator and command line work with.
//!
//! Every default is filled in, every name is checked, every reference between parts of the manifest
//! resolves. Only `validate` makes a [`Pipeline`]; nothing optional is left that need not be.

use crate::batch::{Batch, DeadLetterPolicy};
use crate::deletion::DeletionPolicy;
use crate::generator::Generator;
use crate::image::PullPolicy;
use crate::kafka::Kafka;
use crate::model::Model;
use crate::names::PipelineName;
use crate::paused::Paused;
use crate::pods::Pods;
use crate::reference::Reference;
use crate::report::Report;
use crate::scaling::Scaling;
use crate::secret::SecretUse;
use crate::sink::Sink;
use crate::table::Table;
use crate::topic::Topic;

/// A whole pipeline, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// `metadata.name`.
    pub name: PipelineName,
    /// `metadata.namespace`, absent for a manifest that runs without a cluster.
    pub namespace: Option<String>,
    /// Where Kafka is and how to authenticate.
    pub kafka: Kafka,
    /// At least one; names are unique.
    pub topics: Vec<Topic>,
    /// Absent when others fill the topics.
    pub generator: Option<Generator>,
    /// Tables that are loaded once, in the order of the manifest.
    pub references: Vec<Reference>,
    /// At least one; names are unique over tables and references.
    pub tables: Vec<Table>,
    /// Scheduled work over the sink's tables.
    pub models: Vec<Model>,
    /// Named questions over the sink's tables.
    pub reports: Vec<Report>,
    /// Where rows go.
    pub sink: Sink,
    /// How records are grouped.
    pub batch: Batch,
    /// What is done about records that cannot be stored.
    pub dead_letters: DeadLetterPolicy,
    /// How many workers there are.
    pub scaling: Scaling,
    /// What becomes of topics and offsets when the pipeline is deleted.
    pub deletion_policy: DeletionPolicy,
    /// What stands still.
    pub paused: Paused,
    /// The image of the pods; absent means the operator's default.
    pub image: Option<String>,
    /// When a node fetches the image; absent means the operator's default.
    pub pull_policy: Option<PullPolicy>,
    /// How pods are made in a cluster.
    pub pods: Pods,
    pub(crate) sealed: Sealed,
}

/// Keeps `Pipeline` from being built anywhere but in this crate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sealed;

impl Pipeline {
    /// The topic of this name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.iter().find(|topic| topic.name.as_str() == name)
    }

    /// The table of this name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name.as_str() == name)
    }

    /// Every secret that the pipeline needs; one may be there for several things.
    #[must_use]
    pub fn secrets(&self) -> Vec<SecretUse> {
        self.kafka.secrets().chain(self.sink.secrets()).collect()
    }

    /// The consumer group of the workers: `streampipeline-<name>`.
    #[must_use]
    pub fn worker_group(&self) -> String {
        format!("streampipeline-{}", self.name)
    }

    /// The consumer group by which generator replicas share the shards: `streampipeline-<name>-generator`.
    #[must_use]
    pub fn generator_group(&self) -> String {
        format!("streampipeline-{}-generator", self.name)
    }

    /// The topic whose partitions stand for the generator's shards. It holds no records: a shard's checkpoint
    /// is the generator group's committed offset of its partition.
    #[must_use]
    pub fn generator_shards_topic(&self) -> String {
        format!("streampipeline-{}-generator-shards", self.name)
    }
}
