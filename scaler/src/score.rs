//! How well a policy did on a trace: cost, lag, and SPEC's elasticity metrics against the demand in workers.

use serde::Serialize;

use crate::simulator::Run;
use crate::trace::Trace;
use crate::useful::{self, Load};

/// The demand curve is taken over so many seconds, the metrics on as many.
const WINDOW: usize = 60;
/// Changes this long after a step of the load belong to it, in seconds.
const AFTER_STEP: u32 = 1_200;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// ∫ lag dt, in millions of records × seconds.
    pub lag_seconds: f64,
    /// ∫ workers dt, in hours.
    pub replica_hours: f64,
    /// How often the number of workers changed.
    pub changes: usize,
    /// Provisioning accuracy, too few: mean of the missing share of the demand, in percent.
    pub theta_under: f64,
    /// Provisioning accuracy, too many: mean of the surplus as a share of the demand, in percent.
    pub theta_over: f64,
    /// Share of the time with too few workers, in percent.
    pub tau_under: f64,
    /// Share of the time with too many, in percent.
    pub tau_over: f64,
    /// Instability: share of the time in which workers and demand moved in different directions, in percent.
    pub upsilon: f64,
    /// Most changes that followed a step of the load until the number stayed; `None` where the load has no steps.
    pub steps: Option<usize>,
    /// Longest time with a backlog of more than ten seconds of arrivals, in seconds.
    pub longest_backlog: u32,
}

/// The fewest workers that keep up, for each minute.
#[must_use]
pub fn demand(trace: &Trace) -> Vec<u32> {
    let total: f64 = trace.weights.iter().sum();
    trace
        .arrivals
        .chunks(WINDOW)
        .map(|minute| {
            let mean = minute.iter().sum::<f64>() / minute.len() as f64;
            let served = trace.platform.sink_per_second.map_or(mean, |sink| mean.min(sink));
            let loads: Vec<Load> = trace
                .weights
                .iter()
                .map(|weight| Load {
                    arrival: served * weight / total,
                    drain: 0.0,
                })
                .collect();
            useful::carry(&loads, trace.platform.per_worker)
        })
        .collect()
}

/// Scores `run`, which was made on `trace`.
#[must_use]
pub fn score(trace: &Trace, run: &Run) -> Score {
    let demand = demand(trace);
    let supply: Vec<u32> = run
        .samples
        .iter()
        .filter(|sample| (sample.seconds as usize).is_multiple_of(WINDOW))
        .map(|sample| sample.ready)
        .collect();
    let count = demand.len().min(supply.len()).max(1) as f64;
    let (mut under, mut over, mut time_under, mut time_over) = (0.0, 0.0, 0.0, 0.0);
    for (demand, supply) in demand.iter().zip(&supply) {
        let (demand, supply) = (f64::from(*demand), f64::from(*supply));
        under += (demand - supply).max(0.0) / demand.max(1.0);
        over += (supply - demand).max(0.0) / demand.max(1.0);
        time_under += f64::from(supply < demand);
        time_over += f64::from(supply > demand);
    }
    let direction = |pair: &[u32]| match pair {
        [before, after] => after.cmp(before) as i32,
        _ => 0,
    };
    let apart = demand
        .windows(2)
        .zip(supply.windows(2))
        .filter(|(demand, supply)| direction(demand) != direction(supply))
        .count();
    let percent = |sum: f64| 100.0 * sum / count;
    Score {
        lag_seconds: run.lag_seconds / 1e6,
        replica_hours: run.replica_hours,
        changes: run.changes.len(),
        theta_under: percent(under),
        theta_over: percent(over),
        tau_under: percent(time_under),
        tau_over: percent(time_over),
        upsilon: percent(apart as f64),
        steps: trace
            .steps
            .iter()
            .map(|step| {
                let follows = |(at, _): &&(u32, u32)| (*step..step + AFTER_STEP).contains(at);
                run.changes.iter().filter(follows).count()
            })
            .max(),
        longest_backlog: run.longest_backlog,
    }
}
