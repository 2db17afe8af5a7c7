//! The loop: it hears from the tasks and from Kafka, hands on batches that are due, and waits for more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Partition;
use kafka::fetch::{BatchError, Chunk, Fetched, PartitionError, PartitionErrorKind, Scratch};
use kafka::formats::sequence::{HEADER, RecordSequence};
use kafka::librdkafka::CommitMode;
use sinks::TopicId;

use super::assigned::{Assigned, Budget, Finding, Phase};
use super::assignment::Assignment;
use super::membership::{DRAIN_DEADLINE, Revocation, drain};
use super::{Command, Inbox, Reader, Spawn};
use crate::records::Record;
use crate::state::Fingerprint;

/// Memory of all records between the fetcher and the sink.
const MEMORY_BUDGET: usize = 46 * 1024 * 1024;

/// The group's business and a batch that is due soon wait no longer than this.
const IDLE: Duration = Duration::from_millis(50);

/// Chunks taken between two looks at everything else.
const CHUNKS_AT_ONCE: usize = 8;

/// And no longer than this: a worker that its processor limit holds back needs seconds for a chunk, and the group waits for
/// all of its members.
const SLICE: Duration = Duration::from_millis(20);

/// The consumer thread's loop.
pub(super) struct EventLoop<'a, S> {
    pub(super) reader: &'a Reader<S>,
    inbox: Inbox,
    budget: Arc<Budget>,
    pub(super) assignment: Assignment,
    pub(super) revocations: Vec<Revocation>,
    pub(super) committed: Instant,
    /// Set at shutdown: until when tasks may drain.
    stopping: Option<Instant>,
    scratch: Scratch,
}

/// What the loop waited for.
enum Heard {
    Command(Command),
    Fetched(Fetched),
    Nothing,
}

impl<'a, S: Spawn> EventLoop<'a, S> {
    pub(super) fn new(reader: &'a Reader<S>, inbox: Inbox) -> Self {
        Self {
            reader,
            inbox,
            budget: Arc::new(Budget::default()),
            assignment: Assignment::default(),
            revocations: Vec::new(),
            committed: Instant::now(),
            stopping: None,
            scratch: Scratch::default(),
        }
    }

    pub(super) fn run(mut self) {
        while self.once() {}
        self.leave();
    }

    pub(super) fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.budget)
    }

    /// Goes round once; `false` when the loop is to end.
    fn once(&mut self) -> bool {
        let now = Instant::now();
        self.reader.heartbeat.beat();
        while let Ok(command) = self.inbox.commands.try_recv() {
            self.handle(command);
        }
        self.poll_group();
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
        let held = self.held();
        for assigned in self.assignment.iter_mut().filter(|assigned| assigned.is_read()) {
            assigned.dispatch(now, &self.reader.limits, false);
        }
        if held > MEMORY_BUDGET {
            self.assignment
                .flush_early(now, &self.reader.limits, self.reader.concurrency);
        }
        self.commit(CommitMode::Async, now);
        match self.wait(now, self.is_full(held)) {
            Heard::Command(command) => self.handle(command),
            Heard::Fetched(fetched) => self.take_all(fetched),
            Heard::Nothing => {}
        }
        true
    }

    /// Bytes of all records that are not stored yet.
    fn held(&self) -> usize {
        let buffered: usize = self.assignment.iter().map(Assigned::buffered).sum();
        buffered + self.budget.held()
    }

    /// Whether there is no room for more. A batch with a given end must be read whole: nothing smaller can be stored, and
    /// make room. None takes more than the budget, since it was read within it before.
    fn is_full(&self, held: usize) -> bool {
        let is_replaying = self.assignment.iter().any(Assigned::is_replaying);
        held > if is_replaying {
            2 * MEMORY_BUDGET
        } else {
            MEMORY_BUDGET
        }
    }

    /// Lets the group call back, and does what it has called for.
    fn poll_group(&mut self) {
        let Reader {
            subscriber, spawn, ..
        } = self.reader;
        subscriber.serve(|error| spawn.kafka_error(error));
        while let Some(rebalance) = subscriber.next_rebalance() {
            self.rebalance(rebalance);
        }
    }

    /// Waits for something to do. While batches hold too much memory, no more is taken from Kafka.
    fn wait(&mut self, now: Instant, is_full: bool) -> Heard {
        let due = self
            .assignment
            .iter()
            .filter_map(|assigned| assigned.due(&self.reader.limits))
            .min();
        let patience = due.map_or(IDLE, |due| due.saturating_duration_since(now).min(IDLE));
        let Inbox { commands, chunks } = &mut self.inbox;
        self.reader.tokio.block_on(async {
            tokio::select! {
                biased;
                Some(command) = commands.recv() => Heard::Command(command),
                Some(fetched) = chunks.recv(), if !is_full => Heard::Fetched(fetched),
                () = tokio::time::sleep(patience) => Heard::Nothing,
            }
        })
    }

    fn take_all(&mut self, first: Fetched) {
        let now = Instant::now();
        self.take(first, now);
        for _ in 1..CHUNKS_AT_ONCE {
            if self.is_full(self.held())
                || now.elapsed() > SLICE
                || self.assignment.iter().any(Assigned::is_awaited)
            {
                break;
            }
            let Ok(fetched) = self.inbox.chunks.try_recv() else {
                break;
            };
            self.take(fetched, now);
        }
    }

    fn take(&mut self, fetched: Fetched, now: Instant) {
        let (partition, generation) = match &fetched {
            Fetched::Chunk(chunk) => (&chunk.partition, chunk.generation),
            Fetched::Error(error) => (&error.partition, error.generation),
        };
        let Some(assigned) = self
            .assignment
            .of(partition)
            .filter(|assigned| assigned.is_read() && assigned.generation == generation)
        else {
            return;
        };
        match fetched {
            Fetched::Chunk(chunk) => match read(&chunk, assigned, &mut self.scratch, |assigned, record| {
                assigned.push(record, now, &self.reader.limits);
            }) {
                Ok(()) => {
                    assigned.read_to(chunk.next, chunk.last_stable_offset);
                    if assigned.has_ended() {
                        self.reader.fetcher.remove(&chunk.partition);
                    }
                }
                Err(finding) => {
                    self.reader.fetcher.remove(&chunk.partition);
                    assigned.find(finding);
                }
            },
            Fetched::Error(error) => note(assigned, error),
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Begin {
                partition,
                attempt,
                offset,
                until,
                verify,
            } => self.begin(&partition, (attempt, offset, until), verify),
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
                    .filter(|assigned| assigned.is_read())
                {
                    assigned.phase = Phase::Waiting;
                    assigned.clear();
                    self.reader.fetcher.remove(&partition);
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

    fn begin(
        &mut self,
        partition: &Partition,
        (attempt, offset, until): (u64, i64, Option<i64>),
        verify: Option<Fingerprint>,
    ) {
        let Some(assigned) = self.assignment.of(partition) else {
            return;
        };
        if matches!(assigned.phase, Phase::Draining | Phase::Stopped) {
            return;
        }
        let from = verify.as_ref().map_or(offset, |stored| stored.offset);
        let generation = self.reader.fetcher.set(partition.clone(), from);
        assigned.begin((attempt, generation), offset, until, verify);
    }
}

/// Passes on a chunk's records, once it is sure that they are of the log that was read before.
fn read(
    chunk: &Chunk,
    assigned: &mut Assigned,
    scratch: &mut Scratch,
    mut push: impl FnMut(&mut Assigned, Record<'_>),
) -> Result<(), Finding> {
    let topic_id = chunk.topic_id.map(TopicId);
    for batch in chunk.batches() {
        let batch = batch.map_err(Finding::Unreadable)?;
        assigned.set_source(topic_id, batch.leader_epoch());
        for record in batch.records(scratch).map_err(Finding::Unreadable)? {
            let record = record.and_then(numbered).map_err(Finding::Unreadable)?;
            match &assigned.phase {
                Phase::Verifying(stored) if record.offset < stored.offset => {}
                Phase::Verifying(stored)
                    if record.offset == stored.offset && Fingerprint::of(record) != *stored =>
                {
                    return Err(Finding::Recreated);
                }
                // Compaction may have taken the stored record; then there is nothing to compare.
                Phase::Verifying(_) => {
                    assigned.phase = Phase::Reading;
                    push(assigned, record);
                }
                _ => push(assigned, record),
            }
        }
    }
    Ok(())
}

/// The record with the generator's number, if it carries one.
fn numbered(record: kafka::fetch::Record<'_>) -> Result<Record<'_>, BatchError> {
    let number = record.header(HEADER.as_bytes())?;
    Ok(Record {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key,
        value: record.value,
        sequence: number.and_then(|bytes| RecordSequence::decode(bytes).ok()),
    })
}

fn note(assigned: &mut Assigned, error: PartitionError) {
    let PartitionError {
        partition,
        offset,
        kind,
        ..
    } = error;
    match kind {
        PartitionErrorKind::Missing => {
            tracing::warn!(%partition, offset, "the partition is not there; waiting for it");
        }
        PartitionErrorKind::OutOfRange => assigned.find(Finding::OutOfRange),
        PartitionErrorKind::Recreated => assigned.find(Finding::Recreated),
        PartitionErrorKind::Unreadable(error) => assigned.find(Finding::Unreadable(error)),
    }
}
