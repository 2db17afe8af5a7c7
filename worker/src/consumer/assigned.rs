//! One partition that this worker reads: what it has read of it but not handed on yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use api::{Batch as BatchLimits, Partition};
use kafka::fetch::BatchError;
use sinks::TopicId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::records::{Record, Records};
use crate::state::Fingerprint;

/// What a record costs in memory besides its bytes.
const RECORD_OVERHEAD: usize = 56;

/// The first batch of a partition waits no longer than this: people wait for the first rows, to see that it works.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// And it has no more records than this: a partition that has changed hands stands still until its first batch is stored.
const FIRST_RECORDS: usize = 5_000;

/// A batch of so many records is large.
const FULL: usize = 10_000;

/// What the loop hands to a partition's task.
#[derive(Debug)]
pub(crate) enum Input {
    /// The oldest records that the task was not given yet.
    Batch(Batch),
    /// What stands in the way of reading on.
    Finding(Finding),
}

/// Why nothing more is read until the task says where to begin.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The log no longer has the position: look where it stands, and begin anew.
    OutOfRange,
    /// The topic was made again: its offsets mean other records.
    Recreated,
    /// What is at the position cannot be read.
    Unreadable(BatchError),
}

/// Records on their way to the sink. Their memory counts against the budget until they are dropped.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Which beginning they were read after; the task ignores those of an earlier one.
    pub(crate) attempt: u64,
    pub(crate) records: Records,
    _held: Held,
}

#[cfg(test)]
impl Batch {
    /// Records that no loop has read.
    pub(crate) fn of(attempt: u64, records: Records) -> Self {
        let budget = Arc::default();
        Self {
            attempt,
            records,
            _held: Held { budget, bytes: 0 },
        }
    }
}

/// Bytes of records that are held by batches, over all partitions.
#[derive(Debug, Default)]
pub(crate) struct Budget(AtomicUsize);

impl Budget {
    pub(super) fn held(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How a partition is read.
#[derive(Debug, PartialEq)]
pub(super) enum Phase {
    /// What comes is dropped until its task says where to begin.
    Waiting,
    /// The next record must be the one with this fingerprint, which is stored already.
    Verifying(Fingerprint),
    /// Every record is taken.
    Reading,
    /// Revoked: its task stores what it has begun.
    Draining,
    /// Its task has ended.
    Stopped,
}

/// A partition that the group has given to this worker, from its assignment until its task has ended.
#[derive(Debug)]
pub(super) struct Assigned {
    pub(super) partition: Partition,
    pub(super) phase: Phase,
    pub(super) attempt: u64,
    /// Which chunks are this beginning's; others are late.
    pub(super) generation: u64,
    /// The offset after everything that was read. Behind the last record there may be markers of transactions.
    position: i64,
    /// Batches handed to the task and not stored yet.
    pub(super) in_flight: usize,
    /// First offset that is not dealt with, and the metadata to go with it; `None` before anything is stored.
    stored: Option<(i64, String)>,
    /// What Kafka was told last.
    committed: Option<i64>,
    pub(super) stop: CancellationToken,
    pub(super) task: JoinHandle<()>,
    input: mpsc::Sender<Input>,
    filling: Records,
    opened: Option<Instant>,
    /// The log holds more than was read so far.
    more: bool,
    /// Since the last batch was closed, the log held more than was read.
    backlog: bool,
    ready: VecDeque<Records>,
    /// Only records before this are taken, and all of them as one batch, however many: the sink waits for exactly these.
    until: Option<i64>,
    /// To be told when everything that was read before it is with the task.
    finding: Option<Finding>,
    budget: Arc<Budget>,
}

fn cost(records: &Records) -> usize {
    records.byte_len() + records.len() * RECORD_OVERHEAD
}

impl Assigned {
    pub(super) fn new(
        partition: Partition,
        input: mpsc::Sender<Input>,
        stop: CancellationToken,
        task: JoinHandle<()>,
        budget: Arc<Budget>,
    ) -> Self {
        let filling = Records::new(partition.clone(), 0);
        Self {
            partition,
            phase: Phase::Waiting,
            attempt: 0,
            generation: 0,
            position: 0,
            in_flight: 0,
            stored: None,
            committed: None,
            stop,
            task,
            input,
            filling,
            opened: None,
            more: false,
            backlog: false,
            ready: VecDeque::new(),
            until: None,
            finding: None,
            budget,
        }
    }

    /// Begins to read at `offset`; what is read for it carries the generation. With an end, the records before it are one
    /// batch, and nothing is read behind it.
    pub(super) fn begin(
        &mut self,
        (attempt, generation): (u64, u64),
        offset: i64,
        until: Option<i64>,
        verify: Option<Fingerprint>,
    ) {
        self.clear();
        self.until = until;
        self.attempt = attempt;
        self.generation = generation;
        self.position = offset;
        self.in_flight = 0;
        self.filling = Records::new(self.partition.clone(), offset);
        self.phase = verify.map_or(Phase::Reading, Phase::Verifying);
    }

    /// Forgets what was read and not handed on; it will be read again.
    pub(super) fn clear(&mut self) {
        self.ready.clear();
        self.finding = None;
        self.opened = None;
        self.filling = Records::new(self.partition.clone(), self.filling.start);
        self.until = None;
    }

    /// Whether what comes is taken.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.phase, Phase::Reading | Phase::Verifying(_))
    }

    /// Everything before `position` was read; readable records end before `end`.
    pub(super) fn read_to(&mut self, position: i64, end: i64) {
        let position = position.min(self.until.unwrap_or(i64::MAX));
        let was_replaying = self.is_replaying();
        self.position = self.position.max(position);
        if self.until.is_some() {
            if was_replaying && !self.is_replaying() {
                self.close();
            }
            return;
        }
        self.more = self.position < end;
        self.backlog |= self.more;
    }

    /// Nothing more is to be read before the task knows this.
    pub(super) fn find(&mut self, finding: Finding) {
        self.finding = Some(finding);
    }

    /// The records that come next are of a batch that this leader took.
    pub(super) fn set_source(&mut self, topic_id: Option<TopicId>, leader_epoch: Option<i32>) {
        self.filling.set_source(topic_id, leader_epoch);
    }

    /// Whether a batch with a given end is not whole yet.
    pub(super) fn is_replaying(&self) -> bool {
        self.until.is_some_and(|until| self.position < until)
    }

    /// Whether nothing more is taken before the task says where to go on.
    pub(super) fn has_ended(&self) -> bool {
        self.until.is_some_and(|until| self.position >= until)
    }

    /// Takes a record. Those before the position are stored already.
    pub(super) fn push(&mut self, record: Record<'_>, now: Instant, limits: &BatchLimits) {
        if record.offset < self.filling.end() {
            return;
        }
        if let Some(until) = self.until {
            if record.offset < until {
                self.filling.push(record);
            }
            return;
        }
        self.filling.push(record);
        self.opened.get_or_insert(now);
        let most = if self.stored.is_none() {
            limits.max_records.min(FIRST_RECORDS)
        } else {
            limits.max_records
        };
        if self.filling.len() >= most || self.filling.byte_len() >= limits.max_bytes {
            self.close();
        }
    }

    fn close(&mut self) {
        self.backlog = self.more;
        let mut next = self.filling.following();
        if self.filling.len() >= FULL {
            // Under load the next batch is as large: it need not grow step by step, and be copied each time.
            next.reserve_like(&self.filling);
        }
        self.ready.push_back(std::mem::replace(&mut self.filling, next));
        self.opened = None;
    }

    /// Memory of what was read and not handed on.
    pub(super) fn buffered(&self) -> usize {
        cost(&self.filling) + self.ready.iter().map(cost).sum::<usize>()
    }

    /// When the batch that is being filled must be closed.
    pub(super) fn due(&self, limits: &BatchLimits) -> Option<Instant> {
        let wait = if self.backlog && !self.more {
            // What is left of a backlog is late already.
            Duration::ZERO
        } else if self.stored.is_none() {
            limits.max_wait.min(FIRST_WAIT)
        } else {
            limits.max_wait
        };
        self.opened.map(|opened| opened + wait)
    }

    /// Hands closed batches to the task as far as it takes them. `all` closes the one being filled too.
    pub(super) fn dispatch(&mut self, now: Instant, limits: &BatchLimits, all: bool) {
        let all = all || self.finding.is_some();
        if self.opened.is_some()
            && (all || self.due(limits).is_some_and(|due| due <= now))
            && self.ready.is_empty()
        {
            self.close();
        }
        while !self.ready.is_empty() {
            let Ok(permit) = self.input.try_reserve() else {
                break;
            };
            let Some(records) = self.ready.pop_front() else {
                break;
            };
            let bytes = cost(&records);
            self.budget.0.fetch_add(bytes, Ordering::Relaxed);
            let held = Held {
                budget: Arc::clone(&self.budget),
                bytes,
            };
            permit.send(Input::Batch(Batch {
                attempt: self.attempt,
                records,
                _held: held,
            }));
            self.in_flight += 1;
        }
        if self.ready.is_empty()
            && self.finding.is_some()
            && let Ok(permit) = self.input.try_reserve()
            && let Some(finding) = self.finding.take()
        {
            self.phase = Phase::Waiting;
            permit.send(Input::Finding(finding));
        }
    }

    /// Everything before `next` is stored.
    pub(super) fn note_stored(&mut self, next: i64, metadata: String) {
        self.stored = Some((next, metadata));
    }

    /// What Kafka does not know yet of the stored offset; it is taken as told from now on. Where all that was read is
    /// stored, markers of transactions behind it are no lag.
    pub(super) fn uncommitted(&mut self) -> Option<(i64, String)> {
        let caught_up = self.phase == Phase::Reading && self.idle();
        let (next, metadata) = self.stored.as_mut()?;
        if caught_up {
            *next = self.position.max(*next);
        }
        (self.committed.replace(*next) != Some(*next)).then(|| (*next, metadata.clone()))
    }

    /// Whether the task has nothing to do while there is a batch for it.
    pub(super) fn is_awaited(&self) -> bool {
        self.in_flight == 0 && !self.ready.is_empty()
    }

    /// Whether everything that was read is stored.
    pub(super) fn idle(&self) -> bool {
        self.in_flight == 0 && self.ready.is_empty() && self.filling.is_empty()
    }
}
