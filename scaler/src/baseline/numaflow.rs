//! Numaflow's autoscaler for a source vertex, with its defaults.

use std::collections::VecDeque;

use super::totals;
use crate::Observation;
use crate::autoscaler::Autoscaler;

/// `targetProcessingSeconds`.
const TARGET_PROCESSING: f64 = 20.0;
/// `lookbackSeconds`.
const LOOKBACK: u32 = 120;
/// `scaleUpCooldownSeconds` and `scaleDownCooldownSeconds`.
const COOLDOWN: u32 = 90;
/// `zeroReplicaSleepSeconds`.
const ZERO_SLEEP: u32 = 120;
/// `replicasPerScaleUp` and `replicasPerScaleDown`.
const STEP: u32 = 2;
/// A vertex is looked at so often, in seconds.
const TASK: u32 = 30;
/// `max`; `min` is 0.
const MAX: u32 = 50;

/// Replicas that the formula asks for, before steps are limited; `None` for no change.
#[must_use]
pub fn raw(pending: f64, rate: f64, ready: u32) -> Option<u32> {
    if pending <= 0.0 && rate <= 0.0 {
        Some(0)
    } else if rate <= 0.0 {
        None
    } else {
        let desired = (pending / rate / TARGET_PROCESSING * f64::from(ready))
            .round()
            .max(1.0);
        Some(desired.min(pending.max(1.0)) as u32)
    }
}

/// At most so many more or fewer than there are.
#[must_use]
pub fn step(desired: u32, current: u32) -> u32 {
    desired.clamp(current.saturating_sub(STEP), current + STEP)
}

#[derive(Debug, Clone, Default)]
pub struct Numaflow {
    /// When (seconds), and records processed until then.
    processed: VecDeque<(u32, f64)>,
    /// When replicas last changed, in seconds.
    changed: Option<u32>,
}

impl Autoscaler for Numaflow {
    fn interval_seconds(&self) -> u32 {
        TASK
    }

    fn desired(&mut self, observation: &Observation, seconds: u32) -> u32 {
        let totals = totals(observation);
        let current = observation.desired;
        self.processed.push_back((seconds, totals.position));
        while self
            .processed
            .front()
            .is_some_and(|(then, _)| seconds - then > LOOKBACK)
        {
            self.processed.pop_front();
        }
        let rate = match (self.processed.front(), self.processed.back()) {
            (Some((from, before)), Some((to, after))) if to > from => (after - before) / f64::from(to - from),
            _ => return current,
        };
        let since = self.changed.map_or(u32::MAX, |changed| seconds - changed);
        if current == 0 {
            // It peeks whether there is something.
            return if since >= ZERO_SLEEP {
                self.changed = Some(seconds);
                1
            } else {
                0
            };
        }
        if since < COOLDOWN || observation.ready == 0 {
            return current;
        }
        let desired =
            raw(totals.lag, rate, observation.ready).map_or(current, |raw| step(raw.min(MAX), current));
        if desired != current {
            self.changed = Some(seconds);
        }
        desired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four situations: keeping up, a backlog, an idle tail, a saturated sink.
    #[test]
    fn four_situations() {
        for (pending, rate, ready, asked, stepped) in [
            (5_000.0, 10_000.0, 5, 1, 3),
            (1.8e6, 10_000.0, 4, 36, 6),
            (200.0, 500.0, 8, 1, 6),
            (600e3, 10_000.0, 10, 30, 12),
        ] {
            assert_eq!(raw(pending, rate, ready), Some(asked), "pending {pending}");
            assert_eq!(step(asked, ready), stepped, "pending {pending}");
        }
    }

    #[test]
    fn without_a_rate_nothing_changes_and_without_records_nothing_runs() {
        assert_eq!(raw(100.0, 0.0, 3), None);
        assert_eq!(raw(0.0, 0.0, 3), Some(0));
        // No more workers than records.
        assert_eq!(raw(3.0, 0.001, 4), Some(3));
    }
}
