//! Kafka, as far as the operator needs it: topics made ready, lag and the workers' reports read, leftovers deleted.
//!
//! All of it happens off the reconcile path: a reconcile hands over what it desires and gets what was observed last
//! ([`Monitors::ensure`]).

mod broker;
mod history;
mod monitor;
mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::kafka::admin::TopicPlan;
use api::Pipeline;
use futures::future::BoxFuture;
use runtime::secrets::{Secrets as SecretSource, variable_name};
use serde_json::json;

pub use broker::Brokers;
pub(crate) use history::LagHistory;
pub use monitor::MonitorConfig;
pub(crate) use monitor::{KafkaObservation, Monitors};
pub use reading::{Reading, TopicReading, WorkerLoad, partition_reading};

use crate::hash;
use crate::secrets::SecretContents;
use crate::validate::secret_uses;

/// What the operator asks of Kafka; no call may take longer than its timeout by much. Tests put something else in its
/// place.
pub trait KafkaClient: Send + Sync + 'static {
    /// Partitions of each topic; `None` for one that is not there.
    fn partitions<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Option<i32>>, KafkaError>>;
    /// Creates topics and raises partitions; gives the partitions of each.
    fn ensure<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<i32>, KafkaError>>;
    /// Reads how far the workers are.
    fn read<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Reading, KafkaError>>;
    /// Deletes the pipeline's topics and groups.
    fn delete<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), KafkaError>>;
}

/// Why Kafka has not done what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct KafkaError {
    /// Decides whether it is asked again by itself, and the reason in conditions.
    pub kind: KafkaErrorKind,
    /// What is wrong and the remedy, in one line.
    pub message: String,
}

/// Whether Kafka has answered at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaErrorKind {
    /// No answer.
    Unreachable,
    /// An answer, but no.
    Refused,
}

impl KafkaErrorKind {
    /// The reason in conditions and the label of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "KafkaUnreachable",
            Self::Refused => "KafkaRefused",
        }
    }
}

/// The topics of one pipeline as they should be, and what else of it is in Kafka.
#[derive(Debug, Clone)]
pub struct DesiredTopics {
    /// The pipeline's.
    pub uid: String,
    /// Where they are.
    pub access: KafkaAccess,
    /// In the order of the manifest.
    pub topics: Vec<TopicPlan>,
    /// The group that workers commit as.
    pub group: String,
    /// The groups that are deleted with the topics.
    pub groups: Vec<String>,
    /// The topic of the generator's shards, which is deleted as well.
    pub shards_topic: Option<String>,
    /// Changes when topics have to be looked at anew.
    pub topics_hash: String,
}

/// Brokers, and how to get in. Equal for pipelines that may share connections.
#[derive(Debug, Clone, PartialEq)]
pub struct KafkaAccess {
    /// As the manifest has it.
    pub kafka: api::Kafka,
    /// Those that `kafka` names.
    pub secrets: SecretContents,
}

impl DesiredTopics {
    /// What `pipeline` needs in Kafka; `uid` is that of its object.
    #[must_use]
    pub fn new(uid: &str, pipeline: &Pipeline, secrets: &SecretContents) -> Self {
        let named = secret_uses(pipeline).into_iter().filter(|named| named.kafka);
        let access = KafkaAccess {
            kafka: pipeline.kafka.clone(),
            secrets: named
                .filter_map(|named| secrets.get_key_value(&named.name))
                .map(|(name, secret)| (name.clone(), Arc::clone(secret)))
                .collect(),
        };
        let hashes: BTreeMap<_, _> = access
            .secrets
            .iter()
            .map(|(name, secret)| (name, &secret.hash))
            .collect();
        let topics: Vec<TopicPlan> = pipeline.topics.iter().map(TopicPlan::from).collect();
        let described = format!("{:?} {topics:?}", access.kafka);
        let mut groups = vec![pipeline.worker_group()];
        groups.extend(pipeline.generator.as_ref().map(|_| pipeline.generator_group()));
        Self {
            uid: uid.to_owned(),
            topics_hash: hash::of(&json!([described, hashes])),
            access,
            topics,
            group: pipeline.worker_group(),
            groups,
            shards_topic: pipeline
                .generator
                .as_ref()
                .map(|_| pipeline.generator_shards_topic()),
        }
    }
}

impl KafkaAccess {
    /// Where clients read the secrets.
    fn source(&self) -> SecretSource {
        let mut variables = BTreeMap::new();
        for (name, secret) in &self.secrets {
            for (key, value) in &secret.data {
                variables.insert(variable_name(name, key), value.clone());
            }
        }
        SecretSource::new(None, move |name| variables.get(name).cloned())
    }
}
