//! The thread's side: records go into the open batch of their partition.

use std::sync::Arc;
use std::time::Duration;

use super::builder::{BatchBuilder, Record};
use super::error::ProduceError;
use super::offsets::Offsets;
use super::shared::Shared;
use super::state::State;

/// Writes records to one topic. Owned by one thread, which its methods may block where they say so.
pub struct Producer {
    shared: Arc<Shared>,
    /// By partition.
    open: Vec<Open>,
    /// Bytes in them.
    open_bytes: usize,
    /// Batches are closed when they would grow beyond so many bytes.
    batch_bytes: usize,
    /// That the open batches belong to.
    transaction: u64,
    /// Microseconds since 1970, as of the last tick.
    now: i64,
}

/// Whether a record was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Offer {
    /// It was.
    Taken,
    /// There is no room now: offer it again.
    Full,
}

#[derive(Default)]
struct Open {
    builder: BatchBuilder,
    /// When it got its first record.
    since: i64,
    /// The last transaction that the driver knows to have records here.
    touched: u64,
}

impl Producer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            open: Vec::new(),
            open_bytes: 0,
            batch_bytes: 0,
            transaction: 0,
            now: 0,
        }
    }

    /// Begins, or begins again after a failure: what was not committed is forgotten, and aborted if some of it has
    /// arrived; predecessors with the same transactional id write no more. Blocks until records can be written.
    pub fn start(&mut self, patience: Duration) -> Result<(), ProduceError> {
        self.open.clear();
        self.open_bytes = 0;
        (self.transaction, self.batch_bytes) = self.shared.change(|state| {
            state.start();
            (state.transaction(), state.batch_bytes())
        });
        let topic = &self.shared.settings.topic;
        let outcome = self.shared.wait(patience, |state| {
            if let Some(error) = state.failure() {
                Some(Err(error.clone()))
            } else if let Some(code) = state.topic_error() {
                let topic = topic.clone();
                Some(Err(ProduceError::Topic { topic, code }))
            } else {
                state.is_ready().then_some(Ok(()))
            }
        });
        outcome.unwrap_or_else(|| Err(self.late("finding the topic and its coordinator", patience)))?;
        self.follow_partitions();
        Ok(())
    }

    /// Partitions of the topic; none before the start.
    #[must_use]
    pub fn partitions(&self) -> i32 {
        self.open.len() as i32
    }

    /// Does what is to be done from time to time, some hundred times a second: sends what has waited for long enough,
    /// and notices partitions that were added. `now` is in microseconds since 1970.
    pub fn tick(&mut self, now: i64) -> Result<(), ProduceError> {
        self.now = now;
        self.follow_partitions();
        let linger = i64::try_from(self.shared.settings.linger.as_micros()).unwrap_or(i64::MAX);
        let is_due = |open: &Open| !open.builder.is_empty() && now - open.since >= linger;
        if self.open.iter().any(is_due) {
            // Those whose predecessors still wait grow on.
            let free: Vec<bool> = self
                .shared
                .look(|state| (0..self.open.len()).map(|place| state.is_open(place)).collect());
            self.close(|place, open| is_due(open) && free.get(place).copied().unwrap_or(true));
        }
        self.check()
    }

    /// Takes a record that is made now.
    #[inline]
    pub fn write(&mut self, partition: i32, record: &Record<'_>) -> Offer {
        let Some(open) = self.open.get_mut(partition as usize) else {
            return Offer::Full;
        };
        if self.open_bytes + self.shared.held() >= self.shared.settings.budget {
            return Offer::Full;
        }
        if open.builder.is_empty() {
            open.since = self.now;
            if open.touched != self.transaction {
                open.touched = self.transaction;
                let (partition, transaction) = (partition as usize, self.transaction);
                self.shared.change(|state| state.touch(partition, transaction));
            }
        }
        let before = open.builder.len();
        open.builder.append(record, self.now / 1_000);
        let length = open.builder.len();
        self.open_bytes += length - before;
        // A batch holds at least one record, and the next one would not fit any more.
        if 2 * length - before > self.batch_bytes {
            self.close(|place, _| place == partition as usize);
        }
        Offer::Taken
    }

    /// Asks for a commit of everything that was written since the last one, with `offsets`. What is written from now on
    /// belongs to the next transaction. There must be no other commit under way.
    pub fn commit(&mut self, offsets: Option<Offsets>) {
        self.close(|_, open| !open.builder.is_empty());
        self.transaction += 1;
        self.shared.change(|state| state.commit(offsets));
    }

    /// Whether a commit is under way.
    pub fn is_committing(&self) -> Result<bool, ProduceError> {
        self.check()?;
        Ok(self.shared.look(State::transaction) < self.transaction)
    }

    /// Blocks until the commit that is under way is done.
    pub fn wait(&self, patience: Duration) -> Result<(), ProduceError> {
        let outcome = self.shared.wait(patience, |state| match state.failure() {
            Some(error) => Some(Err(error.clone())),
            None => (state.transaction() >= self.transaction).then_some(Ok(())),
        });
        outcome.unwrap_or_else(|| Err(self.late("a commit", patience)))
    }

    /// Blocks until everything that was written has arrived; without transactions.
    pub fn flush(&mut self, patience: Duration) -> Result<(), ProduceError> {
        self.close(|_, open| !open.builder.is_empty());
        let outcome = self.shared.wait(patience, |state| match state.failure() {
            Some(error) => Some(Err(error.clone())),
            None => (state.under_way() == 0).then_some(Ok(())),
        });
        outcome.unwrap_or_else(|| Err(self.late("delivery", patience)))
    }

    /// Records that were sent, or are to be, and of which it is not known that they have arrived.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        self.shared.look(State::under_way)
    }

    /// Queues the open batches that `closes` says yes to.
    fn close(&mut self, closes: impl Fn(usize, &Open) -> bool) {
        let (open, transaction) = (&mut self.open, self.transaction);
        let closed = self.shared.change(|state| {
            let mut bytes = 0;
            for (place, open) in open.iter_mut().enumerate() {
                if closes(place, open) {
                    let next = BatchBuilder::reusing(state.buffer());
                    let builder = std::mem::replace(&mut open.builder, next);
                    bytes += builder.len();
                    state.push(place, transaction, builder);
                }
            }
            bytes
        });
        self.open_bytes -= closed;
    }

    fn follow_partitions(&mut self) {
        let partitions = self.shared.look(State::partitions);
        // Never fewer within a session: open batches would be lost.
        if partitions > self.open.len() {
            self.open.resize_with(partitions, Open::default);
        }
    }

    fn check(&self) -> Result<(), ProduceError> {
        self.shared
            .look(|state| state.failure().cloned())
            .map_or(Ok(()), Err)
    }

    fn late(&self, doing: &'static str, after: Duration) -> ProduceError {
        let last = self.shared.look(|state| state.last_error().map(str::to_owned));
        ProduceError::TimedOut { doing, after, last }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.gone.cancel();
    }
}
