//! The sharing of shards: a consumer group on a topic with one partition a shard. The group's committed offsets
//! are the shards' checkpoints; the topic itself stays empty.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::kafka::checkpoint::Checkpoint;
use ::kafka::context::ErrorReporter;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::takeover::Stored;
use super::{KafkaOutputError, KafkaTarget, is_lasting};

/// The consumer's context. Its callbacks run within [`Group::poll`], on the calling thread.
pub(super) struct Sharing {
    reporter: ErrorReporter,
    changes: Mutex<Changes>,
}

/// What rebalances did since they were last asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Shards that are held now and were not before, or had been given away in between.
    pub(super) gained: BTreeSet<u16>,
    /// Shards that were given away; some may have come back.
    pub(super) given: BTreeSet<u16>,
}

impl ClientContext for Sharing {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.reporter.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reporter.error(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.reporter.statistics(statistics);
    }
}

impl ConsumerContext for Sharing {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let shards = partitions
            .elements()
            .iter()
            .filter_map(|element| u16::try_from(element.partition()).ok())
            .collect::<Vec<_>>();
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let done = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            changes.gained.extend(shards);
            // The topic is empty: nothing is ever read, so no position is looked up either.
            partitions
                .set_all_offsets(Offset::Offset(0))
                .and_then(|()| consumer.incremental_assign(partitions))
                .and_then(|()| consumer.pause(partitions))
        } else {
            for shard in shards {
                changes.gained.remove(&shard);
                changes.given.insert(shard);
            }
            consumer.incremental_unassign(partitions)
        };
        if let Err(error) = done {
            tracing::error!(%error, "shards could not be taken over or given away");
        }
    }
}

/// Membership in the group.
pub(super) struct Group {
    consumer: BaseConsumer<Sharing>,
    topic: String,
    name: String,
    shards: u16,
}

impl Group {
    /// Joins; shards come with later polls.
    pub(super) fn join(target: &KafkaTarget) -> Result<Self, KafkaOutputError> {
        let mut config = target.client.clone();
        config
            .set("group.id", &target.group)
            // Replicas keep the shards that they have when others come and go.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            // Checkpoints of a transaction whose outcome is open are waited for, not overlooked.
            .set("isolation.level", "read_committed")
            // A replica that dies is replaced after so long.
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "3000");
        if target.keeps_shards {
            config.set("group.instance.id", &target.transactional_id);
        }
        let reporter = ErrorReporter::new("generator shards", &mut config);
        let context = Sharing {
            reporter,
            changes: Mutex::default(),
        };
        let consumer: BaseConsumer<Sharing> = config
            .create_with_context(context)
            .map_err(KafkaOutputError::Client)?;
        let group = Self {
            consumer,
            topic: target.shards_topic.to_string(),
            name: target.group.clone(),
            shards: target.shards,
        };
        group
            .consumer
            .subscribe(&[&group.topic])
            .map_err(|source| group.error(source))?;
        Ok(group)
    }

    /// Takes part in the group's life, and tells what has changed.
    pub(super) fn poll(&self) -> Result<Changes, KafkaOutputError> {
        // One call may serve one rebalance only; more than a few at once do not happen.
        for _ in 0..8 {
            match self.consumer.poll(Duration::ZERO) {
                None => break,
                Some(Ok(_)) => {}
                Some(Err(error)) if is_lasting(&error) => return Err(self.error(error)),
                Some(Err(error)) => tracing::debug!(%error, "the group of the generators"),
            }
        }
        let mut changes = self
            .consumer
            .context()
            .changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        changes.gained.retain(|shard| *shard < self.shards);
        Ok(std::mem::take(&mut *changes))
    }

    /// By which a transaction proves that this replica still holds its shards.
    pub(super) fn metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }

    /// Checkpoints of some shards; `None` if they cannot be had within `timeout`, because nobody answers or
    /// because a transaction that writes them is still open.
    pub(super) fn checkpoints(
        &self,
        shards: impl IntoIterator<Item = u16>,
        timeout: Duration,
    ) -> Result<Option<Vec<Stored>>, KafkaOutputError> {
        let mut asked = TopicPartitionList::new();
        for shard in shards {
            asked.add_partition(&self.topic, i32::from(shard));
        }
        if asked.count() == 0 {
            return Ok(Some(Vec::new()));
        }
        let answered = match self.consumer.committed_offsets(asked, timeout) {
            Ok(answered) => answered,
            Err(error) if is_lasting(&error) => return Err(self.error(error)),
            Err(error) => {
                tracing::debug!(%error, "checkpoints cannot be read yet");
                return Ok(None);
            }
        };
        let mut stored = Vec::with_capacity(answered.count());
        for element in answered.elements() {
            if let Err(error) = element.error() {
                tracing::debug!(%error, shard = element.partition(), "a checkpoint cannot be read yet");
                return Ok(None);
            }
            let shard = u16::try_from(element.partition()).unwrap_or(u16::MAX);
            let checkpoint = match element.offset() {
                Offset::Offset(offset) => Some(self.decode(shard, offset, element.metadata())?),
                _ => None,
            };
            stored.push(Stored { shard, checkpoint });
        }
        Ok(Some(stored))
    }

    /// Checkpoints of all shards of the generator.
    pub(super) fn all_checkpoints(&self, timeout: Duration) -> Result<Option<Vec<Stored>>, KafkaOutputError> {
        self.checkpoints(0..self.shards, timeout)
    }

    fn decode(&self, shard: u16, offset: i64, metadata: &str) -> Result<Checkpoint, KafkaOutputError> {
        Checkpoint::decode(metadata).map_err(|source| KafkaOutputError::Checkpoint {
            shard,
            offset,
            group: self.name.clone(),
            source,
        })
    }

    /// What a transaction commits for some shards.
    pub(super) fn offsets<'a>(
        &self,
        checkpoints: impl IntoIterator<Item = (u16, &'a Checkpoint)>,
    ) -> Result<TopicPartitionList, KafkaOutputError> {
        let mut offsets = TopicPartitionList::new();
        for (shard, checkpoint) in checkpoints {
            let metadata = checkpoint
                .encode()
                .map_err(|source| KafkaOutputError::Encode { shard, source })?;
            let mut element = offsets.add_partition(&self.topic, i32::from(shard));
            element
                .set_offset(Offset::Offset(checkpoint.produced as i64))
                .map_err(|source| self.error(source))?;
            element.set_metadata(metadata);
        }
        Ok(offsets)
    }

    fn error(&self, source: KafkaError) -> KafkaOutputError {
        KafkaOutputError::Group {
            group: self.name.clone(),
            source,
        }
    }
}
