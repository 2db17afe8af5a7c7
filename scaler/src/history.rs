//! What a decision needs to know of the past: estimates and observed durations, small enough for a status.
//!
//! Durations are sums of the time between observations that can be compared, never differences of distant instants, so
//! a clock that jumps costs one reading and nothing else.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::arrival::Arrival;
use crate::capacity::Capacity;
use crate::observation::Handover;
use crate::readings::Memory;
use crate::recent::Recent;
use crate::sink::Sink;

/// Readings closer together, in seconds, are too close to measure a rate between them.
const CLOSEST: f64 = 2.0;
/// Readings further apart, in seconds, are not compared: the clock may have jumped, or nobody looked.
const FARTHEST: f64 = 300.0;
/// How long a worker takes to start, in seconds, until one has.
const START: f64 = 30.0;
/// How long a rebalance stops its partitions, in seconds, until one was measured.
const PAUSE: f64 = 5.0;
/// Bounds of both, in seconds: beyond them something else is measured.
const LONGEST_START: f64 = 900.0;
const LONGEST_PAUSE: f64 = 300.0;
/// A scale-up so soon after a scale-down, in seconds, means that the latter was wrong.
const REGRET_WITHIN: f64 = 1_800.0;
/// A wrong scale-down is forgotten after so long, in seconds.
const FORGIVEN_AFTER: f64 = 14_400.0;
/// Patience grows so many times with each wrong scale-down, of which so many count.
const REGRET: u32 = 6;
const MOST_REGRETS: u32 = 2;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct History {
    /// When the last reading was made that others are compared with.
    pub(crate) at: Option<Timestamp>,
    /// Seconds observed so far: the clock of everything here.
    pub(crate) clock: f64,
    pub(crate) arrival: Arrival,
    pub(crate) capacity: Capacity,
    pub(crate) sink: Sink,
    pub(crate) recent: Recent,
    /// Workers that were asked for at the last reading.
    desired: Option<u32>,
    /// Since when workers have been starting or stopping, in observed seconds; `None` when as many are ready as are asked for.
    changing_since: Option<f64>,
    /// When the number that works last changed, in observed seconds; `None` if it never has.
    changed_at: Option<f64>,
    /// When there were last fewer workers asked for than before, in observed seconds.
    lowered_at: Option<f64>,
    /// How many there were before that, until it has proved right or wrong.
    lowered_from: Option<u32>,
    /// How many wrong scale-downs count at present.
    regrets: u32,
    /// Records to be read yet, at the last reading.
    pub(crate) lag: Option<f64>,
    start: Option<f64>,
    pause: Option<f64>,
    /// When the last handover was that is known, milliseconds since 1970 by a worker's clock.
    handover_ms: Option<i64>,
    /// The number of workers is changing, or has just changed.
    resizing: bool,
    #[serde(skip)]
    pub(crate) memory: Vec<Memory>,
}

/// How the present reading relates to the last one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Since {
    /// So many seconds later.
    Seconds(f64),
    /// At nearly the same time: nothing can be measured yet.
    Same,
    /// There is none, or it is not known how long ago it was.
    Unknown,
}

impl History {
    pub(crate) fn since(&self, now: Timestamp) -> Since {
        let Some(at) = self.at else {
            return Since::Unknown;
        };
        let seconds = now.duration_since(at).as_secs_f64();
        if (CLOSEST..=FARTHEST).contains(&seconds) {
            Since::Seconds(seconds)
        } else if (0.0..CLOSEST).contains(&seconds) {
            Since::Same
        } else {
            Since::Unknown
        }
    }

    /// Seconds that a worker takes to start, as measured.
    #[must_use]
    pub fn start_seconds(&self) -> f64 {
        self.start.unwrap_or(START)
    }

    /// Seconds for which a rebalance stops its partitions, as measured.
    #[must_use]
    pub fn pause_seconds(&self) -> f64 {
        self.pause.unwrap_or(PAUSE)
    }

    /// `patience` as long as past scale-downs were right; more after wrong ones, and so much that rebalances take at most
    /// a tenth of the time.
    pub(crate) fn patience(&self, patience: f64) -> f64 {
        (patience * f64::from(REGRET.pow(self.regrets.min(MOST_REGRETS)))).max(10.0 * self.pause_seconds())
    }

    /// Seconds since as many workers as were asked for have been ready; `None` while they are not.
    pub(crate) fn settled(&self) -> Option<f64> {
        self.changing_since
            .is_none()
            .then_some(self.clock - self.changed_at.unwrap_or(0.0))
    }

    /// Whether the number of workers was ever seen to change.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed_at.is_some()
    }

    /// Notes the number of workers, whoever changed it.
    pub(crate) fn workers(&mut self, desired: u32, ready: u32) {
        match self.desired {
            // The first workers end a longer wait than a rebalance's.
            Some(0) => self.resizing = false,
            before => self.resizing |= before.is_some_and(|before| before != desired),
        }
        match self.desired.replace(desired) {
            Some(before) if desired > before => self.raised(before, desired),
            Some(before) if desired < before => {
                self.sink.stepped_down();
                self.lowered_at = Some(self.clock);
                self.lowered_from = Some(before);
                self.changed_at = Some(self.clock);
            }
            _ => {}
        }
        if let Some(lowered) = self.lowered_at.filter(|_| self.regrets > 0)
            && self.clock - lowered > FORGIVEN_AFTER
        {
            self.regrets -= 1;
            self.lowered_at = Some(self.clock);
        }
        if desired != ready {
            self.changing_since.get_or_insert(self.clock);
        } else if let Some(since) = self.changing_since.take() {
            let took = self.clock - since;
            // Workers that stop are no measure of how long they start.
            if self.lowered_at.is_none_or(|lowered| lowered < since) && took <= LONGEST_START {
                self.start = Some(damp(self.start, took));
            }
            self.changed_at = Some(self.clock);
        }
    }

    /// Takes the latest rebalance that workers tell of. Only that of a change of their number is what such a change
    /// costs: that a worker died shows after its session has ended.
    pub(crate) fn rebalanced(&mut self, latest: Option<Handover>) {
        let news = latest.filter(|latest| self.handover_ms.is_none_or(|known| latest.at_ms > known));
        if let Some(news) = news {
            self.handover_ms = Some(news.at_ms);
            if self.resizing && (0.0..=LONGEST_PAUSE).contains(&news.pause_seconds) {
                self.pause = Some(news.pause_seconds);
            }
        }
        if self.settled().is_some_and(|settled| settled > LONGEST_PAUSE) {
            self.resizing = false;
        }
    }

    fn raised(&mut self, before: u32, to: u32) {
        self.sink.stepped_up(before, self.capacity.per_worker());
        let soon = self
            .lowered_at
            .is_some_and(|lowered| self.clock - lowered < REGRET_WITHIN);
        // Waking up from 0 is what 0 is for, and who follows a rising load was not wrong before.
        if before > 0 && soon && !self.arrival.rises() && self.lowered_from.is_some_and(|from| to >= from) {
            self.regrets = (self.regrets + 1).min(MOST_REGRETS);
            self.lowered_from = None;
        }
    }
}

fn damp(before: Option<f64>, value: f64) -> f64 {
    before.map_or(value, |before| before + 0.5 * (value - before))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A history whose clock is at `clock`.
    fn at(history: &mut History, clock: f64, desired: u32, ready: u32) {
        history.clock = clock;
        history.workers(desired, ready);
    }

    #[test]
    fn starting_is_measured() {
        let mut history = History::default();
        at(&mut history, 0.0, 1, 1);
        at(&mut history, 10.0, 4, 1);
        assert_eq!(history.settled(), None);
        at(&mut history, 190.0, 4, 4);
        assert!((history.start_seconds() - 180.0).abs() < 1e-9);
        at(&mut history, 220.0, 4, 4);
        assert_eq!(history.settled(), Some(30.0));
    }

    #[test]
    fn patience_grows_with_regret_and_with_the_cost_of_a_rebalance() {
        let mut history = History::default();
        at(&mut history, 0.0, 4, 4);
        at(&mut history, 100.0, 2, 2);
        assert!((history.patience(300.0) - 300.0).abs() < 1e-9);
        at(&mut history, 200.0, 4, 4);
        assert!((history.patience(300.0) - 1_800.0).abs() < 1e-9);
        at(&mut history, 15_000.0, 4, 4);
        assert!((history.patience(300.0) - 300.0).abs() < 1e-9);
        history.pause = Some(90.0);
        assert!((history.patience(300.0) - 900.0).abs() < 1e-9);
    }

    #[test]
    fn a_pause_counts_where_the_number_of_workers_changed() {
        let mut history = History::default();
        let pause = |history: &mut History, at_ms: i64, pause_seconds: f64| {
            history.rebalanced(Some(Handover { at_ms, pause_seconds }));
            (history.pause_seconds() * 1_000.0).round() as i64
        };
        at(&mut history, 0.0, 2, 2);
        assert_eq!(pause(&mut history, 1_000, 3.0), 5_000, "from before this history");
        at(&mut history, 100.0, 4, 2);
        assert_eq!(pause(&mut history, 1_000, 3.0), 5_000, "the same as before");
        at(&mut history, 130.0, 4, 4);
        assert_eq!(pause(&mut history, 130_000, 0.8), 800);
        assert_eq!(pause(&mut history, 131_000, f64::NAN), 800, "nonsense");
        assert_eq!(pause(&mut history, 132_000, 1.2), 1_200, "the slowest partition");
        at(&mut history, 500.0, 4, 4);
        assert_eq!(pause(&mut history, 132_000, 1.2), 1_200);
        // One dies and is missed after its session.
        at(&mut history, 600.0, 4, 3);
        at(&mut history, 610.0, 4, 4);
        assert_eq!(pause(&mut history, 610_000, 12.0), 1_200);
    }

    #[test]
    fn only_readings_a_sane_time_apart_are_compared() {
        let start: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let history = History {
            at: Some(start),
            ..History::default()
        };
        let after = |seconds: i64| history.since(start + jiff::SignedDuration::from_secs(seconds));
        assert_eq!(after(10), Since::Seconds(10.0));
        assert_eq!(after(1), Since::Same);
        assert_eq!(after(3_600), Since::Unknown);
        assert_eq!(after(-3_600), Since::Unknown);
    }
}
