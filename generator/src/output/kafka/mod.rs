//! Events to a Kafka topic: exactly once in a real cluster, at least idempotently in the embedded broker.

mod group;
mod idempotent;
mod sender;
mod takeover;
mod transactional;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::kafka::ErrorCode;
use ::kafka::admin::{AdminError, TopicPlan, ensure_topics};
use ::kafka::broker::{Access, AccessError};
use ::kafka::client::{ClientError, client_config};
use ::kafka::formats::checkpoint::CheckpointError;
use ::kafka::group::GroupError;
use ::kafka::librdkafka::ClientConfig;
use ::kafka::produce::ProduceError;
use api::{Generator, Kafka, Pipeline};
use runtime::secrets::Secrets;

use crate::music::Music;

pub use idempotent::Idempotent;
pub use transactional::Transactional;

/// What brokers know the generator's connections by.
const CLIENT_ID: &str = "streampipeline-generator";
/// Events a second from which on batches fill by themselves.
pub(crate) const BUSY: f64 = 50_000.0;
const TOPICS_TIMEOUT: Duration = Duration::from_mins(1);

/// What a process is called among the replicas of its pipeline; never two at once are called the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replica {
    /// The name is the same after a restart. The replica then has its shards back at once, also after it was
    /// killed; when it is stopped for good, the others take its shards over after the group's session timeout.
    Stable(String),
    /// The name may be another one after a restart. The others take the replica's shards over at once when it is
    /// stopped, and after the session timeout when it was killed.
    Passing(String),
}

/// Where a Kafka output writes, and as whom.
#[derive(Debug, Clone)]
pub struct KafkaTarget {
    /// For topics; records and the group have connections of their own.
    client: ClientConfig,
    kafka: Kafka,
    secrets: Secrets,
    /// Topic of the events.
    topic: Arc<str>,
    /// Topic with a partition for each shard.
    shards_topic: Arc<str>,
    /// By which replicas share the shards, and whose offsets are their checkpoints.
    group: String,
    transactional_id: String,
    /// The replica keeps its shards while it is restarted (static membership).
    keeps_shards: bool,
    /// Checkpoints of other events are not continued.
    fingerprint: u64,
    shards: u16,
    /// So many events are expected that batches fill by themselves.
    busy: bool,
}

impl KafkaTarget {
    /// Where the manifest says, with the access that `secrets` give.
    pub fn new(
        pipeline: &Pipeline,
        generator: &Generator,
        music: &Music,
        secrets: &Secrets,
        replica: &Replica,
    ) -> Result<Self, ClientError> {
        let group = pipeline.generator_group();
        let transactional_id = match replica {
            Replica::Stable(name) => format!("{group}-{name}"),
            // Never the id of another process, not even of one that was called the same: the two would fence
            // each other. What a killed one left open ends by its timeout, as its membership does.
            Replica::Passing(name) => {
                let started = jiff::Timestamp::now().as_microsecond();
                format!("{group}-{name}-{started:x}-{:x}", std::process::id())
            }
        };
        Ok(Self {
            client: client_config(&pipeline.kafka, secrets, CLIENT_ID)?,
            kafka: pipeline.kafka.clone(),
            secrets: secrets.clone(),
            topic: generator.topic.as_str().into(),
            shards_topic: pipeline.generator_shards_topic().into(),
            transactional_id,
            keeps_shards: matches!(replica, Replica::Stable(_)),
            group,
            fingerprint: music.fingerprint(),
            shards: music.shards().count(),
            busy: false,
        })
    }

    /// A thread is to Kafka what a replica is. `busy`: it will send [`BUSY`] events a second or more.
    pub(crate) fn for_thread(&self, thread: usize, busy: bool) -> Self {
        Self {
            transactional_id: format!("{}-{thread}", self.transactional_id),
            busy,
            ..self.clone()
        }
    }

    /// The way in, for one client.
    fn access(&self) -> Result<Access, KafkaOutputError> {
        Access::new(&self.kafka, &self.secrets, CLIENT_ID).map_err(KafkaOutputError::Access)
    }

    /// Creates the topic of the events and the topic of the shards, where they are missing.
    pub async fn ensure_topics(&self, pipeline: &Pipeline) -> Result<(), AdminError> {
        let events = pipeline.topic(&self.topic).map(TopicPlan::from);
        let shards = TopicPlan {
            name: self.shards_topic.to_string(),
            partitions: i32::from(self.shards),
            replication_factor: events.as_ref().map_or(1, |plan| plan.replication_factor),
            config: BTreeMap::new(),
        };
        let topics: Vec<TopicPlan> = events.into_iter().chain([shards]).collect();
        ensure_topics(&self.client, &topics, TOPICS_TIMEOUT).await?;
        Ok(())
    }
}

/// Why events do not reach Kafka.
#[derive(Debug, thiserror::Error)]
pub enum KafkaOutputError {
    /// There is no way in.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The topic is not there, or nobody answers.
    #[error(
        "the partitions of topic {topic} cannot be counted; is the topic there, and may it be described?"
    )]
    Partitions { topic: String, source: ProduceError },
    /// Records were taken, but did not arrive.
    #[error("a record was not delivered to topic {topic}{}", remedy(source.code()))]
    Delivery { topic: String, source: ProduceError },
    /// Records are still under way.
    #[error("{records} records are not delivered to topic {topic} after {seconds} s")]
    Undelivered {
        topic: String,
        records: u64,
        /// How long was waited.
        seconds: u64,
    },
    /// The group of the replicas.
    #[error("no part in the generator's group {group}{}", group_remedy(source))]
    Group {
        group: String,
        /// What is in the way.
        source: GroupError,
    },
    /// A checkpoint does not make sense.
    #[error(
        "the checkpoint of shard {shard}, which is offset {offset} of the group {group}, cannot be continued; \
         to begin a new run, delete the group"
    )]
    Checkpoint {
        shard: u16,
        offset: i64,
        group: String,
        source: CheckpointError,
    },
    /// Too many partitions for checkpoints.
    #[error("the checkpoint of shard {shard} cannot be written")]
    Encode { shard: u16, source: CheckpointError },
    /// Transactions are refused for good.
    #[error("no transactions are possible as {id}{}", remedy(source.code()))]
    Transactions { id: String, source: ProduceError },
}

impl KafkaOutputError {
    /// Whether somebody has to do something about it; everything else passes by itself.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Access(_) | Self::Checkpoint { .. } | Self::Encode { .. } | Self::Group { .. } => true,
            Self::Undelivered { .. } => false,
            Self::Partitions { source, .. }
            | Self::Delivery { source, .. }
            | Self::Transactions { source, .. } => source.is_lasting(),
        }
    }
}

const OWN_NAME: &str = ": another process runs under the same replica id; give each its own";
const READ_GROUP: &str = ": this user needs the right to read the group";

/// The remedy, as the end of a sentence.
fn remedy(code: Option<ErrorCode>) -> &'static str {
    match code {
        Some(ErrorCode::FencedInstanceId) => OWN_NAME,
        Some(ErrorCode::GroupAuthorizationFailed) => READ_GROUP,
        Some(ErrorCode::TopicAuthorizationFailed) => ": this user needs the right to write the topic",
        Some(ErrorCode::TransactionalIdAuthorizationFailed) => {
            ": this user needs the right to write under that transactional id"
        }
        _ => "",
    }
}

/// The same for the group of the replicas.
fn group_remedy(error: &GroupError) -> &'static str {
    match error {
        GroupError::Fenced { .. } => OWN_NAME,
        GroupError::GroupNotAuthorised { .. } => READ_GROUP,
        _ => "",
    }
}
