//! Kafka, as far as the operator needs it: topics made ready, lag and the workers' reports read, leftovers deleted.
//!
//! All of it happens off the reconcile path: a reconcile says what it wants to be kept ([`Links::want`]) and looks at
//! what was seen last ([`Links::seen`]).

mod broker;
mod link;
mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::kafka::admin::TopicPlan;
use api::{Pipeline, SecretPurpose};
use futures::future::BoxFuture;
use runtime::secrets::{Secrets as SecretSource, variable_name};
use serde_json::json;

pub use broker::Brokers;
pub use link::{Links, LinksConfig, Seen};
pub use reading::{Held, History, Reading, TopicReading};

use crate::build::hash_of;
use crate::dereference::Secrets;

/// What the operator asks of Kafka. Tests put something else in its place.
pub trait Kafka: Send + Sync + 'static {
    /// Partitions of each topic; `None` for one that is not there.
    fn partitions<'a>(
        &'a self,
        wish: &'a Wish,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Option<i32>>, Problem>>;
    /// Creates topics and raises partitions; gives the partitions of each.
    fn ensure<'a>(&'a self, wish: &'a Wish, timeout: Duration) -> BoxFuture<'a, Result<Vec<i32>, Problem>>;
    /// Reads how far the workers are.
    fn read<'a>(&'a self, wish: &'a Wish, timeout: Duration) -> BoxFuture<'a, Result<Reading, Problem>>;
    /// Deletes the pipeline's topics and groups.
    fn delete<'a>(&'a self, wish: &'a Wish, timeout: Duration) -> BoxFuture<'a, Result<(), Problem>>;
}

/// What went wrong with Kafka.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// What is wrong and what would do, in one line.
    pub message: String,
}

/// Kinds of problems with Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// No answer.
    Unreachable,
    /// An answer, but no.
    Refused,
}

impl ProblemKind {
    /// The reason in conditions and the label of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "KafkaUnreachable",
            Self::Refused => "KafkaRefused",
        }
    }
}

/// What one pipeline needs of Kafka.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Which pipeline.
    pub uid: String,
    /// Brokers, and how to get in.
    pub access: Access,
    /// Topics as they should be.
    pub topics: Vec<TopicPlan>,
    /// The group that workers commit as.
    pub group: String,
    /// What is deleted besides the topics: groups, and the topic of the generator's shards.
    pub groups: Vec<String>,
    /// The topic of the generator's shards.
    pub shards_topic: Option<String>,
    /// Changes when topics have to be looked at anew.
    pub topics_hash: String,
}

/// Brokers, and how to get in. Equal for pipelines that may share connections.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// As the manifest has it.
    pub kafka: api::Kafka,
    /// Those that it names.
    pub secrets: Secrets,
}

impl Wish {
    /// What `pipeline` needs.
    #[must_use]
    pub fn new(uid: &str, pipeline: &Pipeline, secrets: &Secrets) -> Self {
        let uses = pipeline.secrets().into_iter();
        let named = uses.filter(|needed| needed.purpose == SecretPurpose::Kafka);
        let access = Access {
            kafka: pipeline.kafka.clone(),
            secrets: named
                .filter_map(|named| secrets.get_key_value(&named.secret.name))
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
            topics_hash: hash_of(&json!([described, hashes])),
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

impl Access {
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
