//! Exactly once: events and the checkpoints of their shards commit in one Kafka transaction.
//!
//! Replicas share the shards by a consumer group, and the checkpoints are that group's offsets, so that Kafka
//! itself refuses the commit of a replica that lost its shards without noticing (KIP-447). The group is polled
//! only between transactions: shards are never given away while events of theirs are under way.
//!
//! There is one way to recover from whatever went wrong: forget everything, read the checkpoints, and make the
//! events after them again, which are the same ones.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::kafka::checkpoint::Checkpoint;
use ::kafka::context::ErrorReporter;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer;
use runtime::backoff::Backoff;

use super::group::Group;
use super::sender::{Sender, producer_config};
use super::takeover::{self, Takeover};
use super::transaction::{self, Failure};
use super::{KafkaOutputError, KafkaTarget, is_lasting};
use crate::output::{Holding, Output, OutputError, Record, Written};
use crate::pacer::Position;
use crate::progress::Progress;

/// From a transaction's first event to its commit, microseconds: what transactions add to the age of events.
const COMMIT_INTERVAL: i64 = 250_000;
const CONNECT: Duration = Duration::from_secs(10);
/// Reading checkpoints: longer with every attempt, so that a predecessor's open transaction does not hold up the
/// shards that this replica has already.
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
    /// Of every producer, one after the other.
    config: ClientConfig,
    reporter: ErrorReporter,
    /// Absent before the first connection and after a failure that a producer does not survive.
    sender: Option<Sender>,
    /// By shard: the state after the last event that was sent.
    lanes: Vec<Option<Lane>>,
    /// Shards that are held, but whose checkpoints are not known (any more).
    waiting: BTreeSet<u16>,
    transaction: Option<Transaction>,
    failure: Option<Failure>,
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
    /// Joins the group; shards, and the producer, come with the ticks.
    pub fn new(target: KafkaTarget, progress: Arc<Progress>) -> Result<Self, KafkaOutputError> {
        let (mut config, reporter) = producer_config(&target);
        config.set("transactional.id", &target.transactional_id).set(
            "transaction.timeout.ms",
            transaction::TIMEOUT.as_millis().to_string(),
        );
        Ok(Self {
            group: Group::join(&target)?,
            config,
            reporter,
            sender: None,
            lanes: (0..target.shards).map(|_| None).collect(),
            waiting: BTreeSet::new(),
            transaction: None,
            failure: None,
            changed: false,
            attempts: 0,
            next_attempt: i64::MIN,
            now: 0,
            progress,
            target,
        })
    }

    /// A new producer, which also ends what its predecessor of the same name has left open.
    fn connect(&mut self) -> Result<(), KafkaOutputError> {
        let new = Sender::new(&self.config, &self.reporter, &self.target.topic, self.now);
        let connected = new.and_then(|sender| {
            let begun = sender.producer().init_transactions(CONNECT);
            begun
                .map(|()| sender)
                .map_err(|source| KafkaOutputError::Transactions {
                    id: self.target.transactional_id.clone(),
                    source,
                })
        });
        match connected {
            Ok(sender) => {
                self.sender = Some(sender);
                self.attempts = 0;
                self.next_attempt = self.now;
                Ok(())
            }
            Err(error) if error.is_lasting() => Err(error),
            Err(error) => {
                tracing::warn!(
                    error = runtime::report::lines(&error),
                    "no transactions are possible yet; trying again"
                );
                self.retry_later();
                Ok(())
            }
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
        let all = match &taken {
            Some(taken) if taken.iter().any(|stored| stored.matching(fingerprint).is_none()) => {
                self.group.all_checkpoints(timeout)?
            }
            _ => Some(Vec::new()),
        };
        let takeover = match (taken, all) {
            (Some(taken), Some(all)) => takeover::decide(taken, &all, fingerprint, self.now, self.attempts),
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
            if let Some(lane) = self.lanes.get_mut(usize::from(shard)) {
                let touched = announce && shard == 0;
                *lane = Some(Lane { checkpoint, touched });
            }
        }
        let held = self.lanes.iter().flatten().count();
        tracing::info!(continued, anew, held, "took over shards");
        self.waiting.clear();
        self.attempts = 0;
        self.changed = true;
        if announce && self.begin() {
            self.commit()?;
        }
        Ok(())
    }

    /// Begins a transaction; whether that was possible. If not, the failure is dealt with at the next tick.
    fn begin(&mut self) -> bool {
        let begun = match &self.sender {
            Some(sender) => sender.producer().begin_transaction(),
            None => return false,
        };
        self.failure = begun.err().map(Failure::Broken);
        self.transaction = Some(Transaction {
            begun: self.now,
            events: 0,
            bytes: 0,
        });
        self.failure.is_none()
    }

    /// Commits the open transaction, if there is one; false if it was aborted.
    fn commit(&mut self) -> Result<bool, KafkaOutputError> {
        let Some(transaction) = self.transaction.take() else {
            return Ok(true);
        };
        let outcome = match (&self.sender, self.failure.take()) {
            (Some(sender), None) => {
                let touched = (0..).zip(&self.lanes).filter_map(|(shard, lane)| {
                    let lane = lane.as_ref().filter(|lane| lane.touched)?;
                    Some((shard, &lane.checkpoint))
                });
                let offsets = self.group.offsets(touched)?;
                transaction::commit(sender, &offsets, self.group.metadata().as_ref())
            }
            (Some(sender), Some(Failure::Aborted(reason))) => transaction::abort(sender, reason),
            (_, failure) => Err(failure.unwrap_or(Failure::Broken(KafkaError::Canceled))),
        };
        match outcome {
            Ok(()) => {
                for lane in self.lanes.iter_mut().flatten() {
                    lane.touched = false;
                }
                self.progress.produced(transaction.events, transaction.bytes);
                self.progress.transaction_committed();
                if let Some(sender) = &self.sender {
                    sender.works();
                }
                Ok(true)
            }
            Err(failure) => {
                self.progress.transaction_aborted();
                self.recover(&failure)?;
                Ok(false)
            }
        }
    }

    /// Nothing that was in memory counts any more.
    fn recover(&mut self, failure: &Failure) -> Result<(), KafkaOutputError> {
        let undelivered = self.sender.as_ref().and_then(Sender::take_failure);
        let cause = undelivered.as_ref().unwrap_or(failure.error());
        if is_lasting(cause) {
            return Err(KafkaOutputError::Transactions {
                id: self.target.transactional_id.clone(),
                source: cause.clone(),
            });
        }
        // librdkafka's text repeats itself for every shard; the code says as much.
        let code = cause.rdkafka_error_code();
        let reason = code.map_or_else(|| cause.to_string(), |code| code.to_string());
        if let Some(Code::IllegalGeneration | Code::RebalanceInProgress | Code::UnknownMemberId) = code {
            tracing::info!(
                reason,
                "shards are shared anew; the events of a transaction are produced again"
            );
        } else {
            tracing::warn!(reason, "a transaction was aborted; its events are produced again");
        }
        if matches!(failure, Failure::Broken(_)) {
            self.sender = None;
        }
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
        let due = |open: &Transaction| now - open.begun >= COMMIT_INTERVAL;
        if self.failure.is_some() || self.transaction.as_ref().is_some_and(due) {
            self.commit()?;
        }
        if self.transaction.is_none() {
            self.follow_group()?;
            if let Some(sender) = &mut self.sender {
                sender.tick(now);
                if !self.waiting.is_empty() && now >= self.next_attempt {
                    self.read_checkpoints()?;
                }
            } else if now >= self.next_attempt {
                self.connect()?;
            }
        }
        Ok(std::mem::take(&mut self.changed).then(|| self.holding()))
    }

    fn write(&mut self, record: Record<'_>) -> Result<Written, OutputError> {
        if self.failure.is_some() || (self.transaction.is_none() && !self.begin()) {
            return Ok(Written::Full);
        }
        let (Some(sender), Some(Some(lane))) = (&self.sender, self.lanes.get_mut(usize::from(record.shard)))
        else {
            return Ok(Written::Full);
        };
        let checkpoint = &mut lane.checkpoint;
        match sender.send(record, checkpoint.run, &mut checkpoint.per_partition) {
            Ok(Written::Full) => Ok(Written::Full),
            Ok(Written::Taken) => {
                checkpoint.produced += 1;
                lane.touched = true;
                if let Some(transaction) = &mut self.transaction {
                    transaction.events += 1;
                    transaction.bytes += (record.key.len() + record.value.len()) as u64;
                }
                Ok(Written::Taken)
            }
            Err(error) => {
                self.failure = Some(Failure::Aborted(error));
                Ok(Written::Full)
            }
        }
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        // Of an aborted transaction nothing is lost: the next start makes its events again.
        self.commit()?;
        Ok(())
    }

    fn is_complete(&mut self, target: &dyn Fn(u16) -> u64) -> Result<bool, OutputError> {
        if !self.commit()? || self.sender.is_none() {
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
