//! A sink that is the bottleneck: more workers then wait for it together, and often slow it down.
//!
//! Waiting alone proves nothing, since a worker that waits for round trips is helped by a second one. What proves it is a
//! step that brought workers and not the throughput that they were to bring.

use serde::{Deserialize, Serialize};

use crate::useful;

/// From this share of waiting on the sink is suspected.
pub(crate) const SUSPECT: f64 = 0.5;
/// A step is judged when its workers have worked for so long, in seconds: two time constants of the rate's damping.
const JUDGE_AFTER: f64 = 120.0;
/// A step that brought less than this share of what it was to bring has met the sink.
const LEAST_GAIN: f64 = 0.5;
/// Workers beyond what the sink takes, so that the measured ceiling may be a little too low.
const SPARE: f64 = 1.1;
/// The sink no longer slows a worker that does this share of what it did before.
const RECOVERED: f64 = 0.97;
/// A ceiling stands at least so long, in seconds; twice as long each time it is met again, up to [`LONGEST`].
const SHORTEST: f64 = 600.0;
const LONGEST: f64 = 4.0 * 3600.0;

/// What has been learnt about the sink.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Sink {
    step: Option<Step>,
    ceiling: Option<Ceiling>,
    /// How often the ceiling has been met.
    met: u32,
    /// With how many workers it was met last.
    met_with: Option<u32>,
}

/// Workers that were added and are yet to show what they bring.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    from: u32,
    per_worker: f64,
}

/// The most that the sink takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ceiling {
    /// Workers that fill the sink.
    pub(crate) workers: u32,
    /// Records a second.
    pub(crate) per_second: f64,
    /// What a worker did before the sink slowed it, records a second.
    per_worker: f64,
    seconds: f64,
}

impl Sink {
    /// The ceiling, while there is one.
    #[must_use]
    pub(crate) fn ceiling(&self) -> Option<Ceiling> {
        self.ceiling
    }

    /// Workers that filled the sink when the ceiling was met last.
    pub(crate) fn met_with(&self) -> Option<u32> {
        self.met_with
    }

    /// Whether a step is yet to show what it brings.
    pub(crate) fn judging(&self) -> bool {
        self.step.is_some()
    }

    /// Workers were added to `from`, each of which did `per_worker` records a second.
    pub(crate) fn stepped_up(&mut self, from: u32, per_worker: Option<f64>) {
        // Of steps in quick succession the first counts: what came later was never measured.
        if self.step.is_none() && from > 0 {
            self.step = per_worker.map(|per_worker| Step { from, per_worker });
        }
    }

    /// Workers were removed: a step that was not judged yet never will be.
    pub(crate) fn stepped_down(&mut self) {
        self.step = None;
    }

    /// Judges, after `seconds` more during which `workers` of `partitions` did `per_worker` records a second each,
    /// having worked together for `settled` seconds.
    pub(crate) fn observe(
        &mut self,
        (partitions, workers): (u32, u32),
        (per_worker, wait): (f64, f64),
        settled: f64,
        seconds: f64,
    ) {
        if let Some(ceiling) = &mut self.ceiling {
            ceiling.seconds += seconds;
            let stands = (SHORTEST * f64::from(1 << self.met.saturating_sub(1).min(8))).min(LONGEST);
            if ceiling.seconds >= stands && per_worker >= RECOVERED * ceiling.per_worker {
                self.ceiling = None;
            }
            return;
        }
        let Some(step) = self.step.filter(|_| settled >= JUDGE_AFTER) else {
            return;
        };
        self.step = None;
        let added = f64::from(workers.saturating_sub(step.from)) * step.per_worker;
        let brought = f64::from(workers) * per_worker - f64::from(step.from) * step.per_worker;
        if added <= 0.0 || brought >= LEAST_GAIN * added || wait < SUSPECT {
            // Beyond the old ceiling it brought what it was to bring: that ceiling is no more.
            self.met_with = self.met_with.filter(|met| workers <= *met);
            return;
        }
        let per_second = f64::from(workers) * per_worker;
        let filling = (SPARE * per_second / step.per_worker).ceil().max(1.0) as u32;
        self.met = self.met.saturating_add(1);
        let filling = useful::at_most(partitions, filling.min(workers)).max(1);
        self.met_with = Some(filling);
        self.ceiling = Some(Ceiling {
            workers: filling,
            per_second,
            per_worker: step.per_worker,
            seconds: 0.0,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(from: u32, to: u32, before: f64, after: f64, wait: f64) -> Option<u32> {
        let mut sink = Sink::default();
        sink.stepped_up(from, Some(before));
        sink.observe((24, to), (after, wait), JUDGE_AFTER - 1.0, 10.0);
        assert_eq!(sink.ceiling(), None, "too early");
        sink.observe((24, to), (after, wait), JUDGE_AFTER, 10.0);
        sink.ceiling().map(|ceiling| ceiling.workers)
    }

    #[test]
    fn a_step_that_brings_nothing_meets_the_sink() {
        // Throughput and waiting as after a step from 1 worker of 2,500/s to 8.
        assert_eq!(judged(1, 8, 2_500.0, 750.0, 0.76), Some(3));
        // It grew worse: back to where the step began.
        assert_eq!(judged(4, 8, 1_500.0, 600.0, 0.8), Some(4));
        // The workers brought what they were to bring, however long each waits.
        assert_eq!(judged(1, 8, 2_500.0, 2_400.0, 0.8), None);
        // They did not, but not because of the sink.
        assert_eq!(judged(1, 8, 2_500.0, 750.0, 0.1), None);
    }

    #[test]
    fn the_ceiling_stands_longer_each_time_and_goes_when_the_sink_is_quick_again() {
        let mut sink = Sink::default();
        for stands in [600.0, 1_200.0, 2_400.0] {
            sink.stepped_up(3, Some(2_000.0));
            sink.observe((24, 8), (750.0, 0.8), 120.0, 10.0);
            assert!(sink.ceiling().is_some());
            sink.observe((24, 3), (2_000.0, 0.2), 500.0, stands - 10.0);
            assert!(sink.ceiling().is_some(), "{stands}");
            // Still slow: it stays.
            sink.observe((24, 3), (1_800.0, 0.4), 500.0, 10.0);
            assert!(sink.ceiling().is_some());
            sink.observe((24, 3), (2_000.0, 0.2), 500.0, 10.0);
            assert_eq!(sink.ceiling(), None, "{stands}");
        }
    }
}
