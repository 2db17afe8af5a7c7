//! How much the whole worker could do, and how much of its busy time it waits for the sink: what the scaler decides by.
//!
//! A worker has several batches in hand at a time, so no batch by itself tells. Busy is the time in which at least one is
//! in hand. Of that time the worker itself is what takes long for as long as its threads run or wait for a processor,
//! which they also do while a limit on the container's processor time holds them back; the rest it waits for the sink.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A report covers at least so much time.
const WINDOW: Duration = Duration::from_secs(1);

/// What the worker tells of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Report {
    /// Records a second of busy time.
    pub(crate) records_per_busy_second: f64,
    /// Share of the busy time that the worker waited for the sink; 0..=1.
    pub(crate) sink_wait_share: f64,
}

/// Measures the load of one worker.
#[derive(Debug)]
pub(crate) struct Load {
    /// Threads that work on batches: with all of them at work the worker does what it can.
    threads: u32,
    /// See [`crate::processor::time`].
    processor: fn() -> Option<Duration>,
    meter: Mutex<Meter>,
}

#[derive(Debug)]
struct Meter {
    in_hand: u32,
    /// When a batch was last taken in hand or done.
    at: Instant,
    window: Window,
    /// Of the last window that was long enough.
    report: Option<Report>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    /// The processor's time at its beginning.
    processor: Option<Duration>,
    /// With at least one batch in hand.
    busy: Duration,
    /// The same, as many times as batches were in hand.
    batches: Duration,
    /// Of `batches`, decoding and SQL: what the worker surely did itself.
    computing: Duration,
    records: u64,
}

/// A batch that is worked on.
#[derive(Debug)]
pub(crate) struct InHand<'a>(&'a Load);

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0
            .locked()
            .pass(Instant::now(), |in_hand| in_hand.saturating_sub(1));
    }
}

impl Load {
    pub(crate) fn new(threads: u32, processor: fn() -> Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            threads: threads.max(1),
            processor,
            meter: Mutex::new(Meter {
                in_hand: 0,
                at: now,
                window: Window::new(now, processor()),
                report: None,
            }),
        }
    }

    /// A batch is worked on from now until what is returned is dropped.
    pub(crate) fn take_in_hand(&self) -> InHand<'_> {
        let now = Instant::now();
        let mut meter = self.locked();
        // What the process does while there is nothing to do is no part of what a batch takes.
        if meter.in_hand == 0 && now.saturating_duration_since(meter.window.since) > WINDOW {
            meter.window = Window::new(now, (self.processor)());
        }
        meter.pass(now, |in_hand| in_hand.saturating_add(1));
        InHand(self)
    }

    /// Takes what was stored, and tells how it is with the worker; `None` until there was a record. A batch may hold no more
    /// than the marks of transactions: how long it takes says nothing of records.
    pub(crate) fn stored(&self, records: u64, computing: Duration) -> Option<Report> {
        let now = Instant::now();
        let mut meter = self.locked();
        meter.pass(now, |in_hand| in_hand);
        meter.window.records = meter.window.records.saturating_add(records);
        meter.window.computing += computing;
        let complete = now.saturating_duration_since(meter.window.since) >= WINDOW;
        if meter.report.is_some() && !complete {
            return meter.report;
        }
        let processor = (self.processor)();
        let has_records = meter.window.records > 0;
        let report = has_records.then(|| meter.window.report(self.threads, processor));
        if complete {
            meter.report = report.or(meter.report);
            meter.window = Window::new(now, processor);
        }
        report.or(meter.report)
    }

    fn locked(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter {
    /// Time has passed until `now`, when the number of batches in hand changes.
    fn pass(&mut self, now: Instant, change: impl FnOnce(u32) -> u32) {
        let passed = now.saturating_duration_since(self.at.max(self.window.since));
        if self.in_hand > 0 {
            self.window.busy += passed;
            self.window.batches += passed * self.in_hand;
        }
        self.at = now;
        self.in_hand = change(self.in_hand);
    }
}

impl Window {
    fn new(since: Instant, processor: Option<Duration>) -> Self {
        Self {
            since,
            processor,
            busy: Duration::ZERO,
            batches: Duration::ZERO,
            computing: Duration::ZERO,
            records: 0,
        }
    }

    fn report(&self, threads: u32, processor: Option<Duration>) -> Report {
        let seconds = |time: Duration| time.as_secs_f64().max(1e-6);
        let ran = match (self.processor, processor) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => Duration::ZERO,
        };
        let own = ran.max(self.computing).as_secs_f64();
        // Either all threads were taken, or as many as there were batches.
        let share = (own / (seconds(self.busy) * f64::from(threads))).max(own / seconds(self.batches));
        Report {
            records_per_busy_second: self.records as f64 / seconds(self.busy),
            sink_wait_share: 1.0 - share.min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local!(static PROCESSOR: std::cell::Cell<Duration> = const { std::cell::Cell::new(Duration::ZERO) });

    fn load(threads: u32) -> Load {
        Load::new(threads, || Some(PROCESSOR.get()))
    }

    async fn pass(milliseconds: u64, processor: u64) {
        PROCESSOR.set(PROCESSOR.get() + Duration::from_millis(processor));
        tokio::time::advance(Duration::from_millis(milliseconds)).await;
    }

    fn assert_says(report: Option<Report>, rate: f64, wait: f64) {
        let report = report.unwrap();
        let near = (report.records_per_busy_second - rate).abs() < rate / 1000.0
            && (report.sink_wait_share - wait).abs() < 0.001;
        assert!(near, "{report:?} instead of {rate}/s, waiting {wait}");
    }

    #[tokio::test(start_paused = true)]
    async fn busy_time_counts_once_however_many_batches_are_in_hand() {
        let load = load(2);
        let (first, second) = (load.take_in_hand(), load.take_in_hand());
        pass(1_000, 0).await;
        assert_says(load.stored(3_000, Duration::ZERO), 3_000.0, 1.0);
        drop(first);
        pass(1_000, 0).await;
        assert_says(load.stored(2_000, Duration::ZERO), 2_000.0, 1.0);
        drop(second);
        // Waiting for records is not busy.
        pass(700, 0).await;
        let third = load.take_in_hand();
        pass(500, 0).await;
        assert_says(load.stored(1_000, Duration::ZERO), 2_000.0, 1.0);
        drop(third);
    }

    /// Marks of transactions, and nothing between them: the sink may take long for those too.
    #[tokio::test(start_paused = true)]
    async fn batches_without_records_say_nothing() {
        let load = load(1);
        let batch = load.take_in_hand();
        pass(2_000, 0).await;
        assert_eq!(load.stored(0, Duration::ZERO), None, "nothing is known yet");
        pass(1_000, 0).await;
        assert_says(load.stored(500, Duration::ZERO), 500.0, 1.0);
        pass(3_000, 0).await;
        assert_says(load.stored(0, Duration::ZERO), 500.0, 1.0);
        pass(1_000, 0).await;
        assert_says(load.stored(700, Duration::ZERO), 700.0, 1.0);
        drop(batch);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_worker_does_itself_is_no_waiting() {
        for (threads, batches, processor, wait) in [
            // One batch, which one of the two threads works on, or waits for the sink.
            (2, 1, 1_000, 0.0),
            (2, 1, 400, 0.6),
            // One thread for four batches, also when it is held back: none waits for the sink.
            (1, 4, 1_000, 0.0),
            // Eight threads: four batches can wait at the same time.
            (8, 4, 2_000, 0.5),
            (8, 4, 9_000, 0.0),
        ] {
            let load = load(threads);
            let in_hand: Vec<_> = (0..batches).map(|_| load.take_in_hand()).collect();
            pass(1_000, processor).await;
            assert_says(load.stored(500, Duration::ZERO), 500.0, wait);
            drop(in_hand);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_system_tells_nothing_computing_is_what_is_known() {
        let load = Load::new(1, || None);
        let _batch = load.take_in_hand();
        pass(2_000, 0).await;
        assert_says(load.stored(100, Duration::from_millis(500)), 50.0, 0.75);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_is_forgotten_and_short_windows_say_what_the_last_long_one_did() {
        let load = load(1);
        // Between batches the process is not quite idle.
        pass(60_000, 3_000).await;
        let batch = load.take_in_hand();
        pass(10, 1).await;
        assert_says(load.stored(20, Duration::ZERO), 2_000.0, 0.9);
        pass(990, 99).await;
        assert_says(load.stored(1_980, Duration::ZERO), 2_000.0, 0.9);
        pass(10, 10).await;
        assert_says(load.stored(500, Duration::ZERO), 2_000.0, 0.9);
        drop(batch);
    }
}
