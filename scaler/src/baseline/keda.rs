//! KEDA's `kafka` scaler and the autoscaler that it feeds, with the defaults of a `ScaledObject`.

use super::Hpa;
use crate::Observation;
use crate::autoscaler::Autoscaler;
use crate::observation::{Committed, PartitionReading};

/// `lagThreshold`.
pub const LAG_THRESHOLD: f64 = 10.0;
/// `pollingInterval`: how often it looks whether to wake, in seconds.
const POLLING: u32 = 30;
/// `cooldownPeriod` before it goes to 0, in seconds.
const COOLDOWN: u32 = 300;
/// `maxReplicaCount`; `minReplicaCount` is 0.
const MAX: u32 = 100;

#[derive(Debug, Clone)]
pub struct Keda {
    lag_threshold: f64,
    hpa: Hpa,
    active_at: u32,
}

impl Default for Keda {
    fn default() -> Self {
        Self::with_threshold(LAG_THRESHOLD)
    }
}

impl Keda {
    /// The defaults, but for `lagThreshold`.
    #[must_use]
    pub fn with_threshold(lag_threshold: f64) -> Self {
        Self {
            lag_threshold,
            hpa: Hpa::default(),
            active_at: 0,
        }
    }
}

/// Lag as the scaler counts it: the end of the log less the committed offset, 1 where nothing was committed
/// (`offsetResetPolicy: latest`), 0 where the broker does not answer. Nothing is clamped.
#[must_use]
pub fn lag(partition: &PartitionReading) -> f64 {
    match (partition.log, partition.committed) {
        (Some(log), Committed::At(offset)) if offset >= 0 => (log.end - offset) as f64,
        (Some(_), _) => 1.0,
        (None, _) => 0.0,
    }
}

/// The metric: the total lag, at most so much that it asks for one worker a partition.
#[must_use]
pub fn metric(total_lag: f64, partitions: u32, threshold: f64) -> f64 {
    if (total_lag / threshold).floor() > f64::from(partitions) {
        f64::from(partitions) * threshold
    } else {
        total_lag
    }
}

impl Autoscaler for Keda {
    fn interval_seconds(&self) -> u32 {
        Hpa::SYNC_SECONDS
    }

    fn desired(&mut self, observation: &Observation, seconds: u32) -> u32 {
        let partitions = u32::try_from(observation.partitions.len()).unwrap_or(u32::MAX);
        let total: f64 = observation.partitions.iter().map(lag).sum();
        let current = observation.desired;
        if total > 0.0 {
            self.active_at = seconds;
        }
        match current {
            0 if total > 0.0 && seconds.is_multiple_of(POLLING) => 1,
            0 => 0,
            _ if seconds - self.active_at >= COOLDOWN && seconds.is_multiple_of(POLLING) => 0,
            _ => {
                let metric = metric(total, partitions, self.lag_threshold);
                self.hpa.sync(metric, self.lag_threshold, current, MAX, seconds)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(lag: f64, threshold: f64, current: u32) -> u32 {
        Hpa::raw(metric(lag, 24, threshold), threshold, current)
    }

    /// Four situations with 24 partitions: keeping up, a backlog, an idle tail, a saturated sink.
    #[test]
    fn four_situations() {
        for (lag, current, with_10, with_1000) in [
            (5_000.0, 5, 24, 5),
            (1.8e6, 4, 24, 24),
            (200.0, 8, 20, 1),
            (600e3, 10, 24, 24),
        ] {
            assert_eq!(asked(lag, 10.0, current), with_10, "lag {lag}");
            assert_eq!(asked(lag, 1_000.0, current), with_1000, "lag {lag}");
        }
    }

    /// The metric is capped at P × threshold and a ratio up to 1.1 changes nothing: with any lag it can stay below P.
    #[test]
    fn the_dead_zone_at_the_cap() {
        for (partitions, stuck) in [
            (8, 8),
            (10, 10),
            (12, 11),
            (16, 15),
            (24, 22),
            (32, 30),
            (48, 44),
            (64, 59),
            (100, 91),
        ] {
            let stays = |current: u32| Hpa::raw(metric(1e9, partitions, 10.0), 10.0, current) == current;
            assert_eq!(
                (1..=partitions).find(|count| stays(*count)),
                Some(stuck),
                "{partitions}"
            );
        }
    }
}
