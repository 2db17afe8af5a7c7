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
use api::Pipeline;
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
    /// Creates topics and raises partitions; gives the partitions of each.
    fn ensure<'a>(&'a self, wish: &'a Wish, timeout: Duration) -> BoxFuture<'a, Result<Vec<i32>, Problem>>;
    /// Reads how far the workers are. `keep`: the connection is used again soon.
    fn read<'a>(
        &'a self,
        wish: &'a Wish,
        keep: bool,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Reading, Problem>>;
    /// Deletes the pipeline's topics and groups.
    fn delete<'a>(&'a self, wish: &'a Wish, timeout: Duration) -> BoxFuture<'a, Result<(), Problem>>;
    /// Closes the connections of a pipeline.
    fn forget(&self, wish: &Wish);
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
    /// Brokers and access.
    pub kafka: api::Kafka,
    /// Passwords and certificates.
    pub secrets: SecretSource,
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
    /// Changes when connections have to be made anew.
    pub access_hash: String,
}

impl Wish {
    /// What `pipeline` needs.
    #[must_use]
    pub fn new(uid: &str, pipeline: &Pipeline, secrets: &Secrets) -> Self {
        let mut variables = BTreeMap::new();
        let mut hashes = BTreeMap::new();
        for (name, secret) in secrets {
            hashes.insert(name, &secret.hash);
            for (key, value) in &secret.data {
                variables.insert(variable_name(name, key), value.clone());
            }
        }
        let variables = Arc::new(variables);
        let security = &pipeline.kafka.security;
        let access = json!([
            pipeline.kafka.bootstrap_servers,
            format!(
                "{:?} {:?} {:?} {:?}",
                security.protocol, security.sasl, security.ca, security.certificate
            ),
            hashes,
        ]);
        let topics: Vec<TopicPlan> = pipeline.topics.iter().map(TopicPlan::from).collect();
        let access_hash = hash_of(&access);
        let described: Vec<String> = topics.iter().map(|topic| format!("{topic:?}")).collect();
        let mut groups = vec![pipeline.worker_group()];
        groups.extend(pipeline.generator.as_ref().map(|_| pipeline.generator_group()));
        Self {
            uid: uid.to_owned(),
            kafka: pipeline.kafka.clone(),
            secrets: SecretSource::new(None, move |name| variables.get(name).cloned()),
            topics_hash: hash_of(&json!([access_hash, described])),
            topics,
            group: pipeline.worker_group(),
            groups,
            shards_topic: pipeline
                .generator
                .as_ref()
                .map(|_| pipeline.generator_shards_topic()),
            access_hash,
        }
    }
}
