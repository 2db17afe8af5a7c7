//! The sharing of shards: a consumer group on a topic with one partition a shard. The group's committed offsets
//! are the shards' checkpoints; the topic itself stays empty.

use std::collections::BTreeSet;
use std::time::Duration;

use ::kafka::formats::checkpoint::Checkpoint;
use ::kafka::group::{self, Committed, GroupError, Member, Membership, Settings};
use ::kafka::health::ErrorReporter;
use tokio::task::JoinSet;

use super::takeover::Stored;
use super::{KafkaOutputError, KafkaTarget};

/// What rebalances did since they were last asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Shards that are held now and were not before, or that others may have had in between.
    pub(super) gained: BTreeSet<u16>,
    /// Shards that were given away; some may have come back.
    pub(super) given: BTreeSet<u16>,
}

/// Membership in the group.
pub(super) struct Group {
    member: Member,
    name: String,
    shards: u16,
}

impl Group {
    /// Joins; shards come with later polls. The work behind it becomes one of `drivers`.
    pub(super) fn join(target: &KafkaTarget, drivers: &mut JoinSet<()>) -> Result<Self, KafkaOutputError> {
        let settings = Settings {
            group: target.group.clone(),
            topic: target.shards_topic.to_string(),
            partitions: i32::from(target.shards),
            instance_id: target.keeps_shards.then(|| target.transactional_id.clone()),
        };
        let reporter = ErrorReporter::new("generator shards");
        let (member, driver) = group::join(settings, target.access()?, reporter);
        drivers.spawn(driver.run());
        Ok(Self {
            member,
            name: target.group.clone(),
            shards: target.shards,
        })
    }

    /// Takes part in the group's life, and tells what has changed. To be called only while nothing is under way.
    pub(super) fn poll(&mut self) -> Result<Changes, KafkaOutputError> {
        let changes = self.member.poll().map_err(|source| self.error(source))?;
        // Replicas with older settings may share more shards than there are any more.
        let ours = |partitions: BTreeSet<i32>| {
            let shards = partitions.into_iter().filter_map(|p| u16::try_from(p).ok());
            shards.filter(|shard| *shard < self.shards).collect()
        };
        Ok(Changes {
            gained: ours(changes.gained),
            given: ours(changes.given),
        })
    }

    /// Whether a poll would tell something, so that the group may be waiting for it.
    pub(super) fn has_news(&self) -> bool {
        self.member.has_news()
    }

    /// By which a transaction proves that this replica still holds its shards. Without it none may be begun.
    pub(super) fn membership(&self) -> Option<Membership> {
        self.member.membership().cloned()
    }

    /// Checkpoints of some shards, without those that an open transaction may still change; of none if nobody answers
    /// within `timeout`.
    pub(super) fn checkpoints(
        &self,
        shards: impl IntoIterator<Item = u16>,
        timeout: Duration,
    ) -> Result<Vec<Stored>, KafkaOutputError> {
        let asked: Vec<i32> = shards.into_iter().map(i32::from).collect();
        let committed = self.member.committed(&asked, timeout);
        let committed = committed.map_err(|source| self.error(source))?.into_iter();
        committed.map(|committed| self.decode(committed)).collect()
    }

    /// Checkpoints of all shards of the generator; `None` if some cannot be had now.
    pub(super) fn all_checkpoints(&self, timeout: Duration) -> Result<Option<Vec<Stored>>, KafkaOutputError> {
        let stored = self.checkpoints(0..self.shards, timeout)?;
        Ok((stored.len() == usize::from(self.shards)).then_some(stored))
    }

    fn decode(&self, committed: Committed) -> Result<Stored, KafkaOutputError> {
        let shard = u16::try_from(committed.partition).unwrap_or(u16::MAX);
        let checkpoint = committed.offset.map(|(offset, text)| {
            Checkpoint::decode(&text).map_err(|source| KafkaOutputError::Checkpoint {
                shard,
                offset,
                group: self.name.clone(),
                source,
            })
        });
        Ok(Stored {
            shard,
            checkpoint: checkpoint.transpose()?,
        })
    }

    /// What a transaction commits for some shards: partition, offset, and the checkpoint beside it.
    pub(super) fn offsets<'a>(
        checkpoints: impl IntoIterator<Item = (u16, &'a Checkpoint)>,
    ) -> Result<Vec<(i32, i64, String)>, KafkaOutputError> {
        let offset = |(shard, checkpoint): (u16, &Checkpoint)| {
            let metadata = checkpoint
                .encode()
                .map_err(|source| KafkaOutputError::Encode { shard, source })?;
            Ok((i32::from(shard), checkpoint.produced as i64, metadata))
        };
        checkpoints.into_iter().map(offset).collect()
    }

    fn error(&self, source: GroupError) -> KafkaOutputError {
        KafkaOutputError::Group {
            group: self.name.clone(),
            source,
        }
    }
}
