//! One policy on one trace.

use super::Group;
use crate::autoscaler::Autoscaler;
use crate::trace::Trace;

/// Seconds between two samples.
pub(super) const SAMPLE_SECONDS: u32 = 10;

#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Every ten seconds.
    pub samples: Vec<Sample>,
    /// ∫ lag dt, in records × seconds.
    pub lag_seconds: f64,
    /// ∫ workers dt, in hours; starting ones count.
    pub replica_hours: f64,
    /// When the number of workers was changed (seconds), and to what.
    pub changes: Vec<(u32, u32)>,
    /// Longest time for which more than ten seconds of arrivals were unread, in seconds.
    pub longest_backlog: u32,
}

/// The state at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Since the beginning.
    pub seconds: u32,
    /// Records that arrived in the last second.
    pub arrivals: f64,
    /// Records to be read yet.
    pub lag: f64,
    /// Workers, ready or not.
    pub workers: u32,
    /// Ready workers.
    pub ready: u32,
}

/// Runs `scaler` on `trace`.
pub fn simulate(trace: &Trace, scaler: &mut dyn Autoscaler, seed: u64) -> Run {
    let mut group = Group::new(trace.platform.clone(), &trace.weights, seed);
    let mut run = Run {
        samples: Vec::new(),
        lag_seconds: 0.0,
        replica_hours: 0.0,
        changes: Vec::new(),
        longest_backlog: 0,
    };
    let mut worker_seconds: u64 = 0;
    let mut backlog_for = 0;
    for (seconds, arrivals) in (0..).zip(trace.arrivals.iter().copied()) {
        if seconds % scaler.interval_seconds() == 0 {
            let desired = scaler.desired(&group.observe(), seconds);
            if desired != group.desired() {
                run.changes.push((seconds, desired));
                group.scale(desired);
            }
        }
        group.second(arrivals);
        let lag = group.lag();
        run.lag_seconds += lag;
        worker_seconds += u64::from(group.desired());
        backlog_for = if lag > (10.0 * arrivals).max(1_000.0) {
            backlog_for + 1
        } else {
            0
        };
        run.longest_backlog = run.longest_backlog.max(backlog_for);
        if seconds % SAMPLE_SECONDS == 0 {
            run.samples.push(Sample {
                seconds,
                arrivals,
                lag,
                workers: group.desired(),
                ready: group.ready(),
            });
        }
    }
    run.replica_hours = worker_seconds as f64 / 3_600.0;
    run
}
