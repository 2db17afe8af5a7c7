//! Reading Kafka: one thread owns the consumer, and one task a partition stores what it reads.
//!
//! ```text
//! assigned ─► Waiting ─Begin─► [Verifying] ─► Reading ─revoked─► Draining ─► Stopped ─► unassigned
//!                ▲                             │
//!                └─ Hold (paused) ─────────────┘  fenced, sink away, halted: what is buffered is read again
//! ```
//!
//! The position comes from the sink: the task of a new partition claims it there and says where to begin. Kafka's committed offsets are written for people and for the scaler; nothing is read back from them.
//! Memory is bounded by not polling while batches hold more than the budget; partitions whose task cannot store
//! are paused, so that they hold nothing and the others go on.

mod assignment;
mod context;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use api::{Batch as BatchLimits, Partition};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use runtime::health::{Condition, Heartbeat};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::records::Record;
use crate::state::Fingerprint;
use assignment::{Assigned, Assignment, Phase};
use context::Rebalance;
use kafka::sequence::{HEADER, RecordSequence};

pub(crate) use assignment::{Batch, Budget, Input};
pub(crate) use context::Context;

/// Memory of all records between Kafka and the sink.
const MEMORY_BUDGET: usize = 40 * 1024 * 1024;

/// Longest that revoked partitions may take to store what they have begun. Far below
/// `max.poll.interval.ms`, at which the group would go on without us.
const DRAIN_DEADLINE: Duration = Duration::from_secs(20);

/// How often stored offsets are told to Kafka.
const COMMIT_INTERVAL: Duration = Duration::from_millis(500);

/// Messages taken between two looks at everything else.
const MESSAGES_A_TURN: usize = 2_000;

/// What a partition's task tells the loop.
#[derive(Debug)]
pub(crate) enum Command {
    /// Read from `offset` on; first check that the record with the fingerprint is still the one that was stored.
    Begin {
        partition: Partition,
        attempt: u64,
        offset: i64,
        verify: Option<Fingerprint>,
    },
    /// A batch is stored up to `next`; `metadata` goes with the committed offset.
    Stored {
        partition: Partition,
        attempt: u64,
        next: i64,
        metadata: String,
    },
    /// Nothing can be stored for the time being: forget what is buffered, and pause.
    Hold { partition: Partition },
    /// The task has ended.
    Stopped { partition: Partition },
}

/// Makes the task of a newly assigned partition.
pub(crate) trait Spawn: Send {
    /// Starts the task, which takes its work from `input`, obeys `stop` and sends [`Command`]s.
    fn spawn(
        &self,
        partition: Partition,
        input: mpsc::Receiver<Input>,
        stop: CancellationToken,
    ) -> tokio::task::JoinHandle<()>;

    /// The number of partitions that are assigned now.
    fn assigned(&self, partitions: usize);

    /// The consumer's error reports: a topic or right is missing.
    fn kafka_error(&self, error: &KafkaError);
}

/// The consumer's thread.
pub(crate) struct Reader<S> {
    pub(crate) consumer: Arc<BaseConsumer<Context>>,
    pub(crate) limits: BatchLimits,
    pub(crate) spawn: S,
    pub(crate) commands: Receiver<Command>,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) kafka_health: Condition,
    pub(crate) shutdown: CancellationToken,
    pub(crate) topics: Vec<Arc<str>>,
}

/// Partitions that were revoked together, and until when they may drain.
struct Revocation {
    partitions: TopicPartitionList,
    deadline: Instant,
}

impl<S: Spawn> Reader<S> {
    /// Reads until shutdown; then stores what was begun, tells Kafka, and leaves the group.
    pub(crate) fn run(self) {
        let mut turn = Turn {
            budget: Arc::new(Budget::default()),
            assignment: Assignment::default(),
            revocations: Vec::new(),
            pending_begins: Vec::new(),
            committed: Instant::now(),
            stopping: None,
            reader: &self,
        };
        while turn.once() {}
        turn.leave();
    }
}

/// The loop's own state.
struct Turn<'a, S> {
    reader: &'a Reader<S>,
    budget: Arc<Budget>,
    assignment: Assignment,
    revocations: Vec<Revocation>,
    /// Beginnings that librdkafka refused, to be tried again.
    pending_begins: Vec<(Partition, u64, i64, Option<Fingerprint>)>,
    committed: Instant,
    /// Set at shutdown: until when tasks may drain.
    stopping: Option<Instant>,
}

impl<S: Spawn> Turn<'_, S> {
    /// One turn; `false` when the loop is to end.
    fn once(&mut self) -> bool {
        let now = Instant::now();
        self.reader.heartbeat.beat();
        while let Ok(command) = self.reader.commands.try_recv() {
            self.obey(command);
        }
        for (partition, attempt, offset, verify) in std::mem::take(&mut self.pending_begins) {
            self.begin(partition, attempt, offset, verify);
        }
        while let Some(rebalance) = self.reader.consumer.context().next_rebalance() {
            self.rebalance(rebalance);
        }
        self.settle_revocations(now);
        if self.reader.shutdown.is_cancelled() && self.stopping.is_none() {
            self.stopping = Some(now + DRAIN_DEADLINE);
            self.assignment.iter_mut().for_each(drain);
        }
        if let Some(deadline) = self.stopping {
            let all_stopped = self
                .assignment
                .iter()
                .all(|assigned| assigned.phase == Phase::Stopped);
            if all_stopped || now >= deadline {
                return false;
            }
        }
        let buffered: usize = self.assignment.iter().map(Assigned::buffered).sum();
        let over_budget = buffered + self.budget.held() > MEMORY_BUDGET;
        for assigned in self
            .assignment
            .iter_mut()
            .filter(|assigned| assigned.phase == Phase::Reading)
        {
            assigned.dispatch(now, &self.reader.limits, over_budget);
        }
        self.commit(CommitMode::Async, now);
        if over_budget {
            self.wait_for_command();
        } else {
            self.poll(now);
        }
        true
    }

    /// Waits for a task to finish a batch instead of reading more.
    fn wait_for_command(&mut self) {
        match self.reader.commands.recv_timeout(Duration::from_millis(10)) {
            Ok(command) => self.obey(command),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    fn poll(&mut self, now: Instant) {
        let due = self
            .assignment
            .iter()
            .filter_map(|assigned| assigned.due(&self.reader.limits))
            .min();
        let idle = Duration::from_millis(if self.assignment.iter().all(Assigned::idle) {
            50
        } else {
            5
        });
        let mut patience = due.map_or(idle, |due| due.saturating_duration_since(now).min(idle));
        let consumer = Arc::clone(&self.reader.consumer);
        for _ in 0..MESSAGES_A_TURN {
            match consumer.poll(patience) {
                Some(Ok(message)) => self.take(&message, now),
                Some(Err(error)) => {
                    self.error(&error);
                    break;
                }
                None => break,
            }
            patience = Duration::ZERO;
        }
    }

    fn take(&mut self, message: &BorrowedMessage<'_>, now: Instant) {
        let Some(assigned) = self.assignment.get_mut(message.topic(), message.partition()) else {
            return;
        };
        let record = Record {
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
            key: message.key(),
            value: message.payload(),
            sequence: sequence(message),
        };
        match &assigned.phase {
            Phase::Reading => assigned.push(record, now, &self.reader.limits),
            Phase::Verifying(stored) if record.offset < stored.offset => {}
            Phase::Verifying(stored) => {
                // Compaction may have taken the stored record; then there is nothing to compare.
                if record.offset == stored.offset && Fingerprint::of(record) != *stored {
                    assigned.phase = Phase::Waiting;
                    assigned.tell(Input::Recreated);
                    let partition = assigned.partition.clone();
                    self.pause(&partition);
                } else {
                    assigned.phase = Phase::Reading;
                    assigned.push(record, now, &self.reader.limits);
                }
            }
            Phase::Waiting | Phase::Draining | Phase::Stopped => {}
        }
    }

    fn error(&mut self, error: &KafkaError) {
        match error.rdkafka_error_code() {
            // The position is no longer in the log, or the topic is gone and may come back as another: the
            // error does not say which partition, so each task looks where its own stands.
            Some(
                RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicId,
            ) => {
                self.reader.spawn.kafka_error(error);
                for assigned in self
                    .assignment
                    .iter_mut()
                    .filter(|assigned| assigned.phase == Phase::Reading)
                {
                    assigned.tell(Input::Recheck);
                }
            }
            _ => self.reader.spawn.kafka_error(error),
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Begin {
                partition,
                attempt,
                offset,
                verify,
            } => self.begin(partition, attempt, offset, verify),
            Command::Stored {
                partition,
                attempt,
                next,
                metadata,
            } => {
                if let Some(assigned) = self.assignment.of(&partition) {
                    assigned.note_stored(next, metadata);
                    if assigned.attempt == attempt {
                        assigned.in_flight = assigned.in_flight.saturating_sub(1);
                    }
                }
            }
            Command::Hold { partition } => {
                if let Some(assigned) = self
                    .assignment
                    .of(&partition)
                    .filter(|assigned| assigned.phase == Phase::Reading)
                {
                    assigned.phase = Phase::Waiting;
                    assigned.clear();
                    self.pause(&partition);
                }
            }
            Command::Stopped { partition } => {
                if let Some(assigned) = self.assignment.of(&partition) {
                    assigned.phase = Phase::Stopped;
                    assigned.clear();
                }
            }
        }
    }

    fn begin(&mut self, partition: Partition, attempt: u64, offset: i64, verify: Option<Fingerprint>) {
        let consumer = &self.reader.consumer;
        let Some(assigned) = self.assignment.of(&partition) else {
            return;
        };
        if matches!(assigned.phase, Phase::Draining | Phase::Stopped) {
            return;
        }
        let from = verify.as_ref().map_or(offset, |stored| stored.offset);
        // Assigned anew rather than sought: a seek is refused once a partition has stopped for want of a valid
        // offset, and takes a second after a pause.
        let outcome = list_at(&partition, from).and_then(|anew| {
            consumer.incremental_unassign(&anew)?;
            consumer.incremental_assign(&anew)?;
            consumer.resume(&anew)
        });
        match outcome {
            Ok(()) => {
                assigned.begin(attempt, offset, verify);
                assigned.in_flight = 0;
            }
            Err(error) => {
                tracing::warn!(%partition, %error, "cannot begin yet");
                self.pending_begins.push((partition, attempt, offset, verify));
            }
        }
    }

    fn pause(&self, partition: &Partition) {
        if let Err(error) = self.reader.consumer.pause(&list(partition)) {
            tracing::warn!(%partition, %error, "pausing");
        }
    }

    fn rebalance(&mut self, rebalance: Rebalance) {
        match rebalance {
            Rebalance::Assign(mut partitions) => {
                let consumer = &self.reader.consumer;
                // The end keeps librdkafka from asking for the committed offset, which is not the truth. What is
                // read from there is dropped until the partition's task says where to begin.
                let outcome = partitions
                    .set_all_offsets(Offset::End)
                    .and_then(|()| consumer.incremental_assign(&partitions));
                if let Err(error) = outcome {
                    tracing::error!(%error, "taking over partitions");
                }
                for partition in self.named(&partitions) {
                    tracing::info!(%partition, "assigned");
                    let (sender, input) = mpsc::channel(1);
                    let stop = CancellationToken::new();
                    let task = self.reader.spawn.spawn(partition.clone(), input, stop.clone());
                    let assigned = Assigned::new(partition, sender, stop, task, Arc::clone(&self.budget));
                    self.assignment.insert(assigned);
                }
                self.reader.spawn.assigned(self.assignment.len());
            }
            Rebalance::Revoke(partitions) => {
                for partition in self.named(&partitions) {
                    tracing::info!(%partition, "revoked");
                    self.assignment.of(&partition).into_iter().for_each(drain);
                }
                self.revocations.push(Revocation {
                    partitions,
                    deadline: Instant::now() + DRAIN_DEADLINE,
                });
            }
        }
    }

    fn named(&self, partitions: &TopicPartitionList) -> Vec<Partition> {
        partitions
            .elements()
            .iter()
            .filter_map(|element| {
                let topic = self
                    .reader
                    .topics
                    .iter()
                    .find(|topic| ***topic == *element.topic())?;
                Some(Partition {
                    topic: Arc::clone(topic),
                    number: element.partition(),
                })
            })
            .collect()
    }

    /// Gives up revoked partitions whose tasks have ended or taken too long.
    fn settle_revocations(&mut self, now: Instant) {
        let mut waiting = Vec::new();
        for revocation in std::mem::take(&mut self.revocations) {
            let partitions = self.named(&revocation.partitions);
            let stopped = self
                .assignment
                .iter()
                .filter(|assigned| partitions.contains(&assigned.partition))
                .all(|assigned| assigned.phase == Phase::Stopped);
            if !stopped && now < revocation.deadline {
                waiting.push(revocation);
                continue;
            }
            if !self.reader.consumer.assignment_lost() {
                self.commit(CommitMode::Sync, now);
            }
            for partition in &partitions {
                if let Some(assigned) = self.assignment.remove(partition) {
                    // A batch that is still on its way is rolled back, or fenced by the next owner's claim.
                    assigned.task.abort();
                }
            }
            if let Err(error) = self.reader.consumer.incremental_unassign(&revocation.partitions) {
                tracing::error!(%error, "giving up partitions");
            }
            self.reader.spawn.assigned(self.assignment.len());
        }
        self.revocations.extend(waiting);
    }

    /// Tells Kafka the stored offsets, for the scaler and for people.
    fn commit(&mut self, mode: CommitMode, now: Instant) {
        if matches!(mode, CommitMode::Async) && now.duration_since(self.committed) < COMMIT_INTERVAL {
            return;
        }
        self.committed = now;
        let consumer = &self.reader.consumer;
        self.reader.kafka_health.set(consumer.context().readiness());
        if let Ok(positions) = consumer.position() {
            self.note_positions(&positions);
        }
        let mut offsets = TopicPartitionList::with_capacity(self.assignment.len());
        for assigned in self.assignment.iter_mut() {
            let Some((offset, metadata)) = assigned.uncommitted() else {
                continue;
            };
            let Partition { topic, number } = &assigned.partition;
            let mut element = offsets.add_partition(topic, *number);
            element.set_metadata(metadata);
            if let Err(error) = element.set_offset(Offset::Offset(offset)) {
                tracing::debug!(%error, "committing offsets to Kafka");
            }
        }
        if offsets.count() == 0 {
            return;
        }
        if let Err(error) = self.reader.consumer.commit(&offsets, mode) {
            tracing::debug!(%error, "committing offsets to Kafka");
        }
    }

    /// Transactions end with markers that have offsets and no records: where everything before the position is
    /// stored, the position is what is left to read from, and so the lag falls to zero.
    fn note_positions(&mut self, positions: &TopicPartitionList) {
        for element in positions.elements() {
            if let (Some(assigned), Offset::Offset(position)) = (
                self.assignment.get_mut(element.topic(), element.partition()),
                element.offset(),
            ) {
                assigned.note_position(position);
            }
        }
    }

    /// Leaves the group.
    fn leave(mut self) {
        let now = Instant::now();
        self.commit(CommitMode::Sync, now);
        for assigned in self.assignment.iter() {
            assigned.task.abort();
        }
        self.reader.consumer.context().close();
        for revocation in self.revocations.drain(..) {
            if let Err(error) = self.reader.consumer.incremental_unassign(&revocation.partitions) {
                tracing::debug!(%error, "giving up partitions while closing");
            }
        }
        self.reader.consumer.unsubscribe();
    }
}

/// Lets a partition's task end after the batch that it is at.
fn drain(assigned: &mut Assigned) {
    if assigned.phase != Phase::Stopped {
        assigned.phase = Phase::Draining;
        assigned.clear();
        assigned.stop.cancel();
    }
}

fn list(partition: &Partition) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(&partition.topic, partition.number);
    list
}

fn list_at(partition: &Partition, offset: i64) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(offset))?;
    Ok(list)
}

/// The generator's number of a record, if it carries one.
fn sequence(message: &BorrowedMessage<'_>) -> Option<RecordSequence> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == HEADER)?;
    RecordSequence::decode(header.value?).ok()
}
