//! Exactly once: events and the checkpoints of their shards commit in one Kafka transaction.
//!
//! Replicas share the shards by a consumer group, and the checkpoints are that group's offsets, so that Kafka
//! itself refuses the commit of a replica that lost its shards without noticing (KIP-447). The group is polled
//! only between transactions: shards are never given away while events of theirs are under way.
//!
//! While a transaction is being committed the next one is begun already, unless the group has news: then the commit is
//! waited for first.
//!
//! There is one way to recover from whatever went wrong: forget everything, read the checkpoints, and make the
//! events after them again, which are the same ones.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::kafka::ErrorCode;
use ::kafka::formats::checkpoint::Checkpoint;
use ::kafka::produce::{Offsets, ProduceError, Transactions};
use runtime::backoff::Backoff;
use tokio::task::JoinSet;

use super::group::Group;
use super::sender::Sender;
use super::takeover::{self, Takeover};
use super::{KafkaOutputError, KafkaTarget};
use crate::output::{Holding, Output, OutputError, Record, Written};
use crate::pacer::Position;
use crate::progress::Progress;

/// From a transaction's first event to its commit, microseconds: what transactions add to the age of events.
const COMMIT_INTERVAL: i64 = 250_000;
/// The coordinator aborts a transaction that is open for longer: its replica is dead or cut off. Others wait for
/// that before they take over its shards. A commit is given up after as long.
const TIMEOUT: Duration = Duration::from_secs(10);
/// For an answer with checkpoints: longer with every attempt, so that a slow coordinator does not hold up the shards
/// that this replica has already.
const FIRST_READ: Duration = Duration::from_millis(200);
const LONGEST_READ: Duration = Duration::from_secs(5);
const RETRY: Backoff = Backoff {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(5),
};

/// Writes events in transactions.
pub struct Transactional {
    target: KafkaTarget,
    group: Group,
    sender: Sender,
    /// Whether records can be sent: not before the first connection, nor after a failure.
    connected: bool,
    /// By shard: the state after the last event that was sent.
    lanes: Vec<Option<Lane>>,
    /// Shards that are held, but whose checkpoints are not known (any more).
    waiting: BTreeSet<u16>,
    transaction: Option<Transaction>,
    /// The one before, whose commit is under way.
    committing: Option<Transaction>,
    /// The lanes are not what was announced last.
    changed: bool,
    /// Attempts in a row that failed, and when the next is made.
    attempts: u32,
    next_attempt: i64,
    now: i64,
    progress: Arc<Progress>,
}

struct Lane {
    checkpoint: Checkpoint,
    /// It has events in the open transaction.
    touched: bool,
}

struct Transaction {
    /// When its first event came; then when its commit was asked for.
    begun: i64,
    events: u64,
    bytes: u64,
}

impl fmt::Debug for Transactional {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transactional")
            .field("id", &self.target.transactional_id)
            .finish_non_exhaustive()
    }
}

impl Transactional {
    /// Joins the group; shards, and the way to the brokers, come with the ticks. The work behind both becomes some of
    /// `drivers`.
    pub fn new(
        target: KafkaTarget,
        progress: Arc<Progress>,
        drivers: &mut JoinSet<()>,
    ) -> Result<Self, KafkaOutputError> {
        let transactions = Transactions {
            id: target.transactional_id.clone(),
            group: target.group.clone(),
            timeout: TIMEOUT,
        };
        Ok(Self {
            group: Group::join(&target, drivers)?,
            sender: Sender::new(&target, Some(transactions), drivers)?,
            connected: false,
            lanes: (0..target.shards).map(|_| None).collect(),
            waiting: BTreeSet::new(),
            transaction: None,
            committing: None,
            changed: false,
            attempts: 0,
            next_attempt: i64::MIN,
            now: 0,
            progress,
            target,
        })
    }

    /// Makes records possible, and also ends what a predecessor of the same name, or this one, has left open.
    fn connect(&mut self) -> Result<(), KafkaOutputError> {
        match self.sender.start().map_err(|source| self.error(source)) {
            Ok(()) => {
                self.connected = true;
                self.attempts = 0;
                self.next_attempt = self.now;
                Ok(())
            }
            Err(error) if error.is_lasting() => Err(error),
            Err(error) => {
                tracing::warn!(
                    error = runtime::report::line(&error),
                    "no transactions are possible yet; trying again"
                );
                self.retry_later();
                Ok(())
            }
        }
    }

    fn error(&self, source: ProduceError) -> KafkaOutputError {
        match source {
            ProduceError::Topic { .. } => KafkaOutputError::Partitions {
                topic: self.target.topic.to_string(),
                source,
            },
            source => KafkaOutputError::Transactions {
                id: self.target.transactional_id.clone(),
                source,
            },
        }
    }

    fn retry_later(&mut self) {
        // The clock's microseconds are random enough to keep replicas apart.
        let random = (self.now.rem_euclid(1_000)) as f64 / 1_000.0;
        let delay = RETRY.delay(self.attempts, random);
        self.attempts = self.attempts.saturating_add(1);
        self.next_attempt = self.now.saturating_add(delay.as_micros() as i64);
    }

    /// Follows the group: forgets shards that were given away, and notes those whose checkpoints are wanted.
    fn follow_group(&mut self) -> Result<(), KafkaOutputError> {
        let changes = self.group.poll()?;
        for shard in changes.given {
            self.waiting.remove(&shard);
            if let Some(lane) = self.lanes.get_mut(usize::from(shard)) {
                self.changed |= lane.take().is_some();
            }
        }
        self.waiting.extend(changes.gained);
        Ok(())
    }

    /// Reads the checkpoints that are waited for.
    fn read_checkpoints(&mut self) -> Result<(), KafkaOutputError> {
        let timeout = FIRST_READ
            .saturating_mul(1 << self.attempts.min(8))
            .min(LONGEST_READ);
        let fingerprint = self.target.fingerprint;
        let taken = self.group.checkpoints(self.waiting.iter().copied(), timeout)?;
        let begins = taken.iter().any(|stored| stored.matching(fingerprint).is_none());
        let all = if begins {
            self.group.all_checkpoints(timeout)?
        } else {
            Some(Vec::new())
        };
        let takeover = match all {
            Some(all) if !taken.is_empty() => {
                takeover::decide(taken, &all, fingerprint, self.now, self.attempts)
            }
            _ => Takeover::Wait,
        };
        let Takeover::From {
            shards,
            anew,
            announce,
        } = takeover
        else {
            self.retry_later();
            return Ok(());
        };
        let continued = shards.len() - anew;
        for (shard, checkpoint) in shards {
            self.waiting.remove(&shard);
            if let Some(lane) = self.lanes.get_mut(usize::from(shard)) {
                let touched = announce && shard == 0;
                *lane = Some(Lane { checkpoint, touched });
            }
        }
        let held = self.lanes.iter().flatten().count();
        tracing::info!(continued, anew, held, "took over shards");
        self.attempts = 0;
        if !self.waiting.is_empty() {
            // A predecessor's transaction is open for some seconds more: these go on meanwhile.
            self.retry_later();
        }
        self.changed = true;
        if announce && self.begin() {
            self.settle()?;
        }
        Ok(())
    }

    /// Begins a transaction, if one can be begun now.
    fn begin(&mut self) -> bool {
        let is_possible = self.connected && self.group.membership().is_some() && !self.wants_a_pause();
        if is_possible {
            self.transaction = Some(Transaction {
                begun: self.now,
                events: 0,
                bytes: 0,
            });
        }
        is_possible
    }

    /// Whether the commit that is under way is to be waited for: there is something to do between two transactions.
    fn wants_a_pause(&self) -> bool {
        self.committing.is_some() && (self.group.has_news() || !self.waiting.is_empty())
    }

    /// Asks for the commit of the open transaction, if there is one and no other is under way.
    fn commit(&mut self) -> Result<(), KafkaOutputError> {
        if self.committing.is_some() {
            return Ok(());
        }
        let Some(transaction) = self.transaction.take() else {
            return Ok(());
        };
        let Some(member) = self.group.membership() else {
            let error = ProduceError::Refused {
                request: "a commit",
                code: ErrorCode::RebalanceInProgress,
            };
            return self.recover(&error);
        };
        let touched = (0..).zip(&self.lanes).filter_map(|(shard, lane)| {
            let lane = lane.as_ref().filter(|lane| lane.touched)?;
            Some((shard, &lane.checkpoint))
        });
        let offsets = Group::offsets(touched)?;
        for lane in self.lanes.iter_mut().flatten() {
            lane.touched = false;
        }
        self.sender.commit(Offsets {
            member,
            topic: self.target.shards_topic.to_string(),
            offsets,
        });
        self.committing = Some(Transaction {
            begun: self.now,
            ..transaction
        });
        Ok(())
    }

    /// Sees how the commit goes that is under way.
    fn follow_commit(&mut self) -> Result<(), KafkaOutputError> {
        let Some(begun) = self.committing.as_ref().map(|transaction| transaction.begun) else {
            return Ok(());
        };
        match self.sender.is_committing() {
            Ok(false) => self.committed(),
            Ok(true) if self.now < begun.saturating_add(TIMEOUT.as_micros() as i64) => {}
            // Without patience this gives the reason.
            Ok(true) => {
                let late = self.sender.wait(Duration::ZERO);
                return late.or_else(|error| self.recover(&error));
            }
            Err(error) => return self.recover(&error),
        }
        Ok(())
    }

    fn committed(&mut self) {
        if let Some(transaction) = self.committing.take() {
            self.progress.produced(transaction.events, transaction.bytes);
            self.progress.transaction_committed();
        }
    }

    /// Commits everything that was written, and waits for it; false if it was aborted.
    fn settle(&mut self) -> Result<bool, KafkaOutputError> {
        while self.transaction.is_some() || self.committing.is_some() {
            self.commit()?;
            if self.committing.is_none() {
                return Ok(false);
            }
            if let Err(error) = self.sender.wait(TIMEOUT) {
                self.recover(&error)?;
                return Ok(false);
            }
            self.committed();
        }
        Ok(true)
    }

    /// Nothing that was in memory counts any more.
    fn recover(&mut self, error: &ProduceError) -> Result<(), KafkaOutputError> {
        if error.is_lasting() {
            return Err(self.error(error.clone()));
        }
        if let Some(
            code @ (ErrorCode::IllegalGeneration
            | ErrorCode::RebalanceInProgress
            | ErrorCode::UnknownMemberId),
        ) = error.code()
        {
            tracing::info!(
                reason = %code,
                "shards are shared anew; the events of a transaction are produced again"
            );
        } else {
            tracing::warn!(
                reason = %error,
                "a transaction was aborted; its events are produced again"
            );
        }
        self.progress.transaction_aborted();
        (self.transaction, self.committing) = (None, None);
        self.connected = false;
        for (shard, lane) in (0..).zip(&mut self.lanes) {
            if lane.take().is_some() {
                self.waiting.insert(shard);
            }
        }
        self.changed = true;
        self.retry_later();
        Ok(())
    }

    fn holding(&self) -> Holding {
        let lanes = || {
            (0..)
                .zip(&self.lanes)
                .filter_map(|(shard, lane)| Some((shard, lane.as_ref()?)))
        };
        Holding {
            positions: lanes()
                .map(|(shard, lane)| Position {
                    shard,
                    produced: lane.checkpoint.produced,
                })
                .collect(),
            started: lanes()
                .map(|(_, lane)| lane.checkpoint.started.as_microsecond())
                .max(),
        }
    }
}

impl Output for Transactional {
    fn tick(&mut self, now: i64) -> Result<Option<Holding>, OutputError> {
        self.now = now;
        if self.connected {
            match self.sender.tick(now) {
                Ok(()) => self.follow_commit()?,
                Err(error) => self.recover(&error)?,
            }
        }
        let due = |open: &Transaction| now - open.begun >= COMMIT_INTERVAL;
        if self.transaction.as_ref().is_some_and(due) {
            self.commit()?;
        }
        if self.transaction.is_none() && self.committing.is_none() {
            self.follow_group()?;
            if now >= self.next_attempt {
                if !self.connected {
                    self.connect()?;
                } else if !self.waiting.is_empty() {
                    self.read_checkpoints()?;
                }
            }
        }
        Ok(std::mem::take(&mut self.changed).then(|| self.holding()))
    }

    fn write(&mut self, record: Record<'_>) -> Result<Written, OutputError> {
        if self.transaction.is_none() && !self.begin() {
            return Ok(Written::Full);
        }
        let (Some(transaction), Some(Some(lane))) = (
            &mut self.transaction,
            self.lanes.get_mut(usize::from(record.shard)),
        ) else {
            return Ok(Written::Full);
        };
        let checkpoint = &mut lane.checkpoint;
        let written = self
            .sender
            .send(record, checkpoint.run, &mut checkpoint.per_partition);
        if written == Written::Taken {
            checkpoint.produced += 1;
            lane.touched = true;
            transaction.events += 1;
            transaction.bytes += (record.key.len() + record.value.len()) as u64;
        }
        Ok(written)
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        // Of an aborted transaction nothing is lost: the next start makes its events again. It is ended at once, so
        // that whoever takes over need not wait until its time is over.
        if !self.settle()? {
            self.connect()?;
        }
        Ok(())
    }

    fn is_complete(&mut self, target: &dyn Fn(u16) -> u64) -> Result<bool, OutputError> {
        if !self.settle()? || !self.connected {
            return Ok(false);
        }
        let Some(all) = self.group.all_checkpoints(FIRST_READ)? else {
            return Ok(false);
        };
        Ok(all.iter().all(|stored| {
            let produced = stored
                .checkpoint
                .as_ref()
                .filter(|checkpoint| checkpoint.fingerprint == self.target.fingerprint)
                .map_or(0, |checkpoint| checkpoint.produced);
            produced >= target(stored.shard)
        }))
    }
}
