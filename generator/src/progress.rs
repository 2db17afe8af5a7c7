//! How far the generator is, for the live view, the metrics and the summary: counters that everyone may read at
//! any time and that the threads of the generator bring up to date some hundred times a second.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared counters of one process.
#[derive(Debug)]
pub struct Progress {
    /// When the first shard was held, microseconds since 1970; 0 before.
    begun: AtomicI64,
    events: AtomicU64,
    bytes: AtomicU64,
    /// By thread, microseconds.
    behind: Box<[AtomicI64]>,
    interruptions: AtomicU64,
    committed: AtomicU64,
    aborted: AtomicU64,
    /// By shard: the number of its next event plus 1; 0 while the shard is not held.
    positions: Box<[AtomicU64]>,
}

impl Progress {
    /// For a generator of so many shards and threads.
    #[must_use]
    pub fn new(shards: u16, threads: usize) -> Self {
        Self {
            begun: AtomicI64::new(0),
            events: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            behind: (0..threads).map(|_| AtomicI64::new(0)).collect(),
            interruptions: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            aborted: AtomicU64::new(0),
            positions: (0..shards).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Events that this process has produced: committed ones, where the output has transactions.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Bytes of their keys and values.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How late the next event is, at most; nothing when the rate is kept.
    #[must_use]
    pub fn behind(&self) -> Duration {
        let micros = self
            .behind
            .iter()
            .map(|behind| behind.load(Ordering::Relaxed))
            .max();
        Duration::from_micros(micros.unwrap_or(0).max(0) as u64)
    }

    /// How often the generator fell so far behind that it went on at its rate instead of catching up.
    #[must_use]
    pub fn interruptions(&self) -> u64 {
        self.interruptions.load(Ordering::Relaxed)
    }

    /// Kafka transactions that were committed.
    #[must_use]
    pub fn committed_transactions(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    /// Kafka transactions that were aborted, their events being produced again.
    #[must_use]
    pub fn aborted_transactions(&self) -> u64 {
        self.aborted.load(Ordering::Relaxed)
    }

    /// Shards that this process holds.
    #[must_use]
    pub fn shards(&self) -> u64 {
        self.positions().flatten().count() as u64
    }

    /// For each shard the number of its next event; `None` for those that another process holds.
    pub fn positions(&self) -> impl Iterator<Item = Option<u64>> + '_ {
        self.positions
            .iter()
            .map(|position| position.load(Ordering::Relaxed).checked_sub(1))
    }

    /// When this process began to produce, microseconds since 1970; `None` while it waits for shards.
    #[must_use]
    pub fn begun(&self) -> Option<i64> {
        Some(self.begun.load(Ordering::Relaxed)).filter(|begun| *begun != 0)
    }

    /// Shards are held; only the first time counts.
    pub(crate) fn begin(&self, now: i64) {
        let _ = self
            .begun
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn produced(&self, events: u64, bytes: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_behind(&self, thread: usize, micros: i64) {
        if let Some(behind) = self.behind.get(thread) {
            behind.store(micros, Ordering::Relaxed);
        }
    }

    pub(crate) fn interrupted(&self) {
        self.interruptions.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn transaction_committed(&self) {
        self.committed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn transaction_aborted(&self) {
        self.aborted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_position(&self, shard: u16, position: Option<u64>) {
        if let Some(slot) = self.positions.get(usize::from(shard)) {
            slot.store(
                position.map_or(0, |position| position.saturating_add(1)),
                Ordering::Relaxed,
            );
        }
    }
}

/// Events a second between two looks.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    events: u64,
    looked: Instant,
}

impl Meter {
    /// Begins now.
    #[must_use]
    pub fn new(progress: &Progress) -> Self {
        Self {
            events: progress.events(),
            looked: Instant::now(),
        }
    }

    /// Events a second since the last look.
    pub fn rate(&mut self, progress: &Progress) -> f64 {
        let events = progress.events();
        let now = Instant::now();
        let seconds = now.saturating_duration_since(self.looked).as_secs_f64();
        let rate = events.saturating_sub(self.events) as f64 / seconds.max(1e-6);
        *self = Self { events, looked: now };
        rate
    }
}
