//! The autoscaler of the Flink Kubernetes operator for one source-to-sink vertex, enabled, with its defaults otherwise.

use std::collections::VecDeque;

use super::totals;
use crate::Observation;
use crate::autoscaler::Autoscaler;

/// `utilization.target`, and the band around it.
const TARGET: f64 = 0.7;
const BOUNDARY: f64 = 0.3;
/// `catch-up.duration` and `restart.time`, in seconds.
const CATCH_UP: f64 = 1_800.0;
const RESTART: f64 = 300.0;
/// A lag longer than this, in seconds of input, is a backlog: it never scales down then.
const BACKLOG: f64 = 300.0;
/// `scale-down.max-factor` and `scale-up.max-factor`.
const DOWN_FACTOR: f64 = 0.6;
const UP_FACTOR: f64 = 100_000.0;
/// `metrics.window`, `stabilization.interval` and `scale-down.interval`, in seconds.
const WINDOW: u32 = 900;
const STABILIZATION: u32 = 300;
const DOWN_INTERVAL: u32 = 3_600;
/// The operator reconciles so often, in seconds.
const RECONCILE: u32 = 60;
/// `vertex.min-parallelism` and `vertex.max-parallelism`.
const MIN: u32 = 1;
const MAX: u32 = 200;

/// What the formulas take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    /// `TARGET_DATA_RATE`: records a second to be processed.
    pub target_rate: f64,
    /// `LAG`, in records.
    pub lag: f64,
    /// `TRUE_PROCESSING_RATE` of the whole vertex, records a second.
    pub true_rate: f64,
    /// Records a second that are being processed.
    pub input_rate: f64,
}

/// What comes out of the formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluation {
    /// Parallelism for the target utilization.
    pub parallelism: u32,
    /// The load is within the band, so nothing is to be done.
    pub within_band: bool,
}

#[must_use]
pub fn evaluate(metrics: Metrics, current: u32) -> Evaluation {
    let Metrics {
        target_rate,
        lag,
        true_rate,
        input_rate,
    } = metrics;
    let capacity = |utilization: f64, restart: bool| {
        let load = if utilization > 0.0 {
            target_rate / utilization
        } else {
            f64::INFINITY
        };
        let restart = if restart {
            target_rate * RESTART / CATCH_UP
        } else {
            0.0
        };
        lag / CATCH_UP + restart + load
    };
    let backlog = lag > BACKLOG * input_rate;
    let (most, least) = if backlog {
        (1.0, 0.0)
    } else {
        (TARGET + BOUNDARY, TARGET - BOUNDARY)
    };
    let within_band = capacity(most, false) <= true_rate && true_rate <= capacity(least, true);
    let factor = (capacity(TARGET, true) / true_rate).clamp(1.0 - DOWN_FACTOR, 1.0 + UP_FACTOR);
    Evaluation {
        parallelism: ((factor * f64::from(current)).ceil() as u32).clamp(MIN, MAX),
        within_band,
    }
}

/// Aligned to the partitions: the next divisor, so that each subtask has as many; beyond half of them the half, and all
/// of them when that many are wanted.
#[must_use]
pub fn align(parallelism: u32, partitions: u32) -> u32 {
    if parallelism >= partitions {
        return partitions;
    }
    (parallelism..=partitions / 2)
        .find(|count| partitions.is_multiple_of(*count))
        .unwrap_or_else(|| partitions.div_ceil(2))
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    seconds: u32,
    end: f64,
    position: f64,
    lag: f64,
    true_rate: f64,
}

#[derive(Debug, Clone, Default)]
pub struct Flink {
    readings: VecDeque<Reading>,
    /// When the job was last (re)started, in seconds.
    restarted: u32,
    /// Since when scaling down is wanted, and the most that was.
    down: Option<(u32, u32)>,
}

impl Flink {
    fn metrics(&self) -> Option<Metrics> {
        let (first, last) = (self.readings.front()?, self.readings.back()?);
        let elapsed = f64::from(last.seconds - first.seconds);
        let input_rate = (last.position - first.position) / elapsed;
        let rates = self.readings.iter().map(|reading| reading.true_rate);
        Some(Metrics {
            // Input rate + growth of the lag: what arrives.
            target_rate: ((last.end - first.end) / elapsed).max(0.0),
            lag: last.lag,
            true_rate: rates.sum::<f64>() / self.readings.len() as f64,
            input_rate,
        })
    }
}

impl Autoscaler for Flink {
    fn interval_seconds(&self) -> u32 {
        RECONCILE
    }

    fn desired(&mut self, observation: &Observation, seconds: u32) -> u32 {
        let current = observation.desired;
        // Metrics of the time of stabilization are thrown away.
        if seconds < self.restarted + STABILIZATION {
            return current;
        }
        let totals = totals(observation);
        self.readings.push_back(Reading {
            seconds,
            end: totals.end,
            position: totals.position,
            lag: totals.lag,
            true_rate: totals.true_rate,
        });
        while self
            .readings
            .front()
            .is_some_and(|reading| seconds - reading.seconds > WINDOW)
        {
            self.readings.pop_front();
        }
        if seconds < self.restarted + STABILIZATION + WINDOW {
            return current;
        }
        let Some(metrics) = self.metrics().filter(|metrics| metrics.true_rate > 0.0) else {
            return current;
        };
        let evaluation = evaluate(metrics, current);
        let partitions = u32::try_from(observation.partitions.len()).unwrap_or(u32::MAX);
        let wanted = align(evaluation.parallelism.min(partitions), partitions);
        if evaluation.within_band || wanted == current {
            self.down = None;
            return current;
        }
        let target = if wanted > current {
            wanted
        } else {
            let (since, most) = self
                .down
                .map_or((seconds, wanted), |(since, most)| (since, most.max(wanted)));
            self.down = Some((since, most));
            if seconds - since < DOWN_INTERVAL {
                return current;
            }
            most
        };
        self.down = None;
        self.readings.clear();
        self.restarted = seconds;
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four situations: keeping up, a backlog, an idle tail, a saturated sink.
    #[test]
    fn four_situations() {
        for (lag, target_rate, current, each, parallelism, within_band) in [
            (5_000.0, 10_000.0, 5, 2_500.0, 7, true),
            (1.8e6, 10_000.0, 4, 2_500.0, 7, false),
            (200.0, 500.0, 8, 2_500.0, 4, false),
            (600e3, 10_000.0, 10, 1_000.0, 17, false),
        ] {
            let metrics = Metrics {
                target_rate,
                lag,
                true_rate: each * f64::from(current),
                input_rate: target_rate,
            };
            let expected = Evaluation {
                parallelism,
                within_band,
            };
            assert_eq!(evaluate(metrics, current), expected, "lag {lag}");
        }
    }

    /// With a backlog of more than five minutes it never goes down.
    #[test]
    fn a_backlog_keeps_it_up() {
        let metrics = Metrics {
            target_rate: 100.0,
            lag: 31_000.0,
            true_rate: 20_000.0,
            input_rate: 100.0,
        };
        assert!(evaluate(metrics, 8).within_band);
    }

    #[test]
    fn parallelism_is_aligned_to_the_partitions() {
        for (wanted, partitions, expected) in [
            (7, 24, 8),
            (5, 24, 6),
            (13, 24, 12),
            (24, 24, 24),
            (30, 24, 24),
            (3, 13, 7),
        ] {
            assert_eq!(align(wanted, partitions), expected, "{wanted} of {partitions}");
        }
    }
}
