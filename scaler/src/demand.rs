//! How many workers the load needs: forecast / target utilization + backlog / horizon + what a rebalance costs.

use crate::history::History;
use crate::policy::Policy;
use crate::readings::Readings;
use crate::useful::{self, Load};

/// Workers are sized so that besides what arrives they drain so many seconds of arrivals in the target time: room for
/// noise and for the beginning of the next step. Who gives more time for draining needs less room.
const RESERVE: f64 = 10.0;
/// However short the target time, there are at most twice the workers that the arrivals need.
const LEAST_UTILIZATION: f64 = 0.5;
/// There is too little room when the utilization is so many times what workers are sized for. The distance keeps noise
/// from mattering; where it allows for more than a worker can do, the backlog will tell.
const TOO_LITTLE_ROOM: f64 = 1.12;
/// A partition with so much of what a worker can do is hot.
const HOT: f64 = 0.95;
/// Lag that is no backlog: records fetched, not yet stored and committed. In seconds of arrivals.
const IN_FLIGHT: f64 = 5.0;
/// A partition whose position has not moved for so long, in seconds, is not waiting for more workers.
pub(crate) const STALLED: f64 = 60.0;

/// Where no partition has moved for so long, in seconds, more workers are not what is missing.
pub(crate) const NOTHING_MOVES: f64 = 15.0;

/// The time in which a backlog is to be gone, in seconds, before it is known what is possible.
fn target(policy: &Policy) -> f64 {
    policy
        .freshness
        .map_or(policy.drain_within, |freshness| {
            freshness.min(policy.drain_within)
        })
        .as_secs_f64()
        .max(1.0)
}

/// Share of its capacity that a worker is sized for.
pub(crate) fn target_utilization(policy: &Policy) -> f64 {
    (1.0 / (1.0 + RESERVE / target(policy))).max(LEAST_UTILIZATION)
}

/// The load, and the workers that it needs.
pub(crate) struct Demand {
    pub(crate) arrival: f64,
    pub(crate) forecast: f64,
    /// Records that are to be drained.
    pub(crate) excess: f64,
    pub(crate) horizon: f64,
    pub(crate) backlog: f64,
    pub(crate) rebalance: f64,
    pub(crate) capacity: f64,
    /// Workers below which there is too little room.
    pub(crate) least: u32,
    /// The same without the backlog.
    pub(crate) least_for_arrivals: u32,
    /// Workers to have when the number changes.
    pub(crate) sized: u32,
    /// Workers that would do at present.
    pub(crate) enough: u32,
    /// It is more than one worker a partition can do in time.
    pub(crate) overloaded: bool,
    /// Indices of partitions to which more arrives than a worker can do.
    pub(crate) hot: Vec<usize>,
    /// Indices of partitions that stand still.
    pub(crate) stalled: Vec<usize>,
}

/// Sizes the load for workers that do `per_worker` records a second each.
pub(crate) fn demand(
    readings: &Readings,
    policy: &Policy,
    history: &History,
    per_worker: f64,
    ready: u32,
) -> Demand {
    let lead = history.start_seconds() + history.pause_seconds();
    let arrival = history.arrival.level().unwrap_or(0.0);
    let forecast = history.arrival.forecast(lead, history.clock);
    // What takes a worker's start to be answered cannot be drained in less.
    let horizon = target(policy).max(lead);
    let sized_for = target_utilization(policy);
    let most = sized_for * TOO_LITTLE_ROOM;
    let partitions = u32::try_from(readings.partitions.len()).unwrap_or(u32::MAX);
    let capacity = useful::worth(partitions, ready) * per_worker;
    // Until further workers work, the lag grows by what the present ones leave.
    let growth = (forecast - capacity).max(0.0) * lead;
    let rebalance = arrival * (history.pause_seconds() - IN_FLIGHT).max(0.0) / horizon;

    let excess: Vec<f64> = readings
        .partitions
        .iter()
        .map(|partition| {
            let moves = partition.still < STALLED;
            let backlog = partition.lag - partition.share * arrival * IN_FLIGHT;
            if moves { backlog.max(0.0) } else { 0.0 }
        })
        .collect();
    let carry = |rate: f64, drained: f64, growth: f64| {
        let loads: Vec<Load> = readings
            .partitions
            .iter()
            .zip(&excess)
            .map(|(partition, excess)| Load {
                arrival: partition.share * rate,
                drain: partition.share * growth / horizon + drained * excess / horizon,
            })
            .collect();
        useful::carry(&loads, per_worker)
    };
    let total_excess: f64 = excess.iter().sum();
    let some = u32::from(readings.lag() > 0.0);
    let index_of = |wanted: &dyn Fn(&crate::readings::Partition) -> bool| -> Vec<usize> {
        readings
            .partitions
            .iter()
            .enumerate()
            .filter(|(_, partition)| wanted(partition))
            .map(|(index, _)| index)
            .collect()
    };
    let hot = index_of(&|partition| partition.share * arrival > HOT * per_worker);
    Demand {
        arrival,
        forecast,
        excess: total_excess,
        horizon,
        backlog: (total_excess + growth) / horizon,
        rebalance,
        capacity,
        least: carry(forecast / most, 1.0, 0.0).max(some),
        least_for_arrivals: carry(forecast / most, 0.0, 0.0),
        sized: carry(forecast / sized_for + rebalance, 1.0, growth).max(some),
        enough: carry(arrival / sized_for + rebalance, 1.0, 0.0).max(some),
        overloaded: arrival + total_excess / horizon > f64::from(partitions) * per_worker,
        // With half of them hot it is not single partitions that are the trouble.
        hot: if hot.len() * 2 > readings.partitions.len() {
            Vec::new()
        } else {
            hot
        },
        stalled: index_of(&|partition| partition.still >= STALLED && partition.lag > 0.0),
    }
}
