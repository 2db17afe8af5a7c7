//! The group: partitions that come and go, and the offsets that it is told.

use std::time::{Duration, Instant};

use api::Partition;
use kafka::health::{ErrorReporter, KafkaHealth};
use kafka::librdkafka::{CommitMode, Rebalance};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Spawn;
use super::assigned::{Assigned, Phase};
use super::event_loop::EventLoop;

/// Longest that revoked partitions may take to store what they have begun. Far below
/// `max.poll.interval.ms`, at which the group would go on without us.
pub(super) const DRAIN_DEADLINE: Duration = Duration::from_secs(20);

/// How often stored offsets are told to Kafka.
const COMMIT_INTERVAL: Duration = Duration::from_millis(500);

/// Partitions that were revoked together, and until when they may drain.
pub(super) struct Revocation {
    partitions: Vec<Partition>,
    deadline: Instant,
}

impl<S: Spawn> EventLoop<'_, S> {
    pub(super) fn rebalance(&mut self, rebalance: Rebalance) {
        match rebalance {
            Rebalance::Assign(partitions) => {
                if let Err(error) = self.reader.subscriber.take_over(&partitions) {
                    tracing::error!(%error, "taking over partitions");
                }
                for partition in partitions {
                    tracing::info!(%partition, "assigned");
                    let (sender, input) = mpsc::channel(1);
                    let stop = CancellationToken::new();
                    let task = self.reader.spawn.spawn(partition.clone(), input, stop.clone());
                    let assigned = Assigned::new(partition, sender, stop, task, self.budget());
                    self.assignment.insert(assigned);
                }
                self.reader.spawn.assigned(self.assignment.len());
            }
            Rebalance::Revoke(partitions) => {
                for partition in &partitions {
                    tracing::info!(%partition, "revoked");
                    self.assignment.of(partition).into_iter().for_each(drain);
                }
                self.revocations.push(Revocation {
                    partitions,
                    deadline: Instant::now() + DRAIN_DEADLINE,
                });
            }
        }
    }

    /// Gives up revoked partitions whose tasks have ended or taken too long.
    pub(super) fn settle_revocations(&mut self, now: Instant) {
        let mut waiting = Vec::new();
        for revocation in std::mem::take(&mut self.revocations) {
            let partitions = &revocation.partitions;
            let stopped = self
                .assignment
                .iter()
                .filter(|assigned| partitions.contains(&assigned.partition))
                .all(|assigned| assigned.phase == Phase::Stopped);
            if !stopped && now < revocation.deadline {
                waiting.push(revocation);
                continue;
            }
            if !self.reader.subscriber.has_lost_assignment() {
                self.commit(CommitMode::Sync, now);
            }
            for partition in partitions {
                self.reader.fetcher.remove(partition);
                if let Some(assigned) = self.assignment.remove(partition) {
                    // A batch that is still on its way is rolled back, or fenced by the next owner's claim.
                    assigned.task.abort();
                }
            }
            if let Err(error) = self.reader.subscriber.give_up(&revocation.partitions) {
                tracing::error!(%error, "giving up partitions");
            }
            self.reader.spawn.assigned(self.assignment.len());
        }
        self.revocations.extend(waiting);
    }

    /// Tells Kafka the stored offsets, for the scaler and for people.
    pub(super) fn commit(&mut self, mode: CommitMode, now: Instant) {
        if matches!(mode, CommitMode::Async) && now.duration_since(self.committed) < COMMIT_INTERVAL {
            return;
        }
        self.committed = now;
        let group = membership(self.reader.subscriber.health());
        self.reader
            .kafka_health
            .set(group.and_then(|()| reading(&self.reader.errors)));
        let mut offsets = Vec::with_capacity(self.assignment.len());
        for assigned in self.assignment.iter_mut() {
            if let Some((offset, metadata)) = assigned.uncommitted() {
                offsets.push((assigned.partition.clone(), offset, metadata));
            }
        }
        let offsets = offsets
            .iter()
            .map(|(partition, offset, metadata)| (partition, *offset, metadata.as_str()));
        if let Err(error) = self.reader.subscriber.commit(offsets, mode) {
            tracing::debug!(%error, "committing offsets to Kafka");
        }
    }

    /// Leaves the group.
    pub(super) fn leave(mut self) {
        let now = Instant::now();
        self.commit(CommitMode::Sync, now);
        for assigned in self.assignment.iter() {
            assigned.task.abort();
        }
        self.reader.subscriber.close();
        for revocation in self.revocations.drain(..) {
            if let Err(error) = self.reader.subscriber.give_up(&revocation.partitions) {
                tracing::debug!(%error, "giving up partitions while closing");
            }
        }
        self.reader.subscriber.unsubscribe();
    }
}

/// Lets a partition's task end after the batch that it is at.
pub(super) fn drain(assigned: &mut Assigned) {
    if assigned.phase != Phase::Stopped {
        assigned.phase = Phase::Draining;
        assigned.clear();
        assigned.stop.cancel();
    }
}

/// What the group's connection is like, as a condition of readiness.
fn membership(health: KafkaHealth) -> Result<(), String> {
    match health {
        KafkaHealth::Working => Ok(()),
        KafkaHealth::Connecting => Err("connecting".to_owned()),
        KafkaHealth::Failing(issue) => Err(issue.to_string()),
    }
}

/// What keeps records from coming. A worker without partitions has no connection for them, and is well.
fn reading(errors: &ErrorReporter) -> Result<(), String> {
    match errors.health() {
        KafkaHealth::Working | KafkaHealth::Connecting => Ok(()),
        KafkaHealth::Failing(issue) => Err(issue.to_string()),
    }
}
