//! What was decided, and everything that led to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many workers there are to be, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Workers that there are to be.
    pub replicas: u32,
    /// Workers that there would be in mode Auto and without a pin.
    pub recommended: u32,
    pub reason: Reason,
    /// What kept the number from being another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// More workers do not help, since the sink takes no more.
    pub sink_saturated: bool,
    /// The earliest time at which the number may change if the load stays as it is.
    pub earliest_change: Timestamp,
    pub terms: Terms,
    /// All of it for people.
    pub text: String,
}

/// Why a number was decided. A closed set, fit for conditions, events and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The workers suit the load.
    Steady,
    /// More arrives than the workers can do with room to spare.
    Demand,
    /// The backlog would not be gone in time.
    Backlog,
    /// Events are processed later than they may be.
    Freshness,
    /// There is lag and no worker.
    Wake,
    /// Fewer workers would do, but not for long enough yet.
    SurplusObserved,
    /// Fewer workers have been enough for long enough.
    Surplus,
    /// Nothing arrives and nothing is left to do.
    Idle,
    /// Workers are still starting or stopping.
    WaitingForWorkers,
    /// Workers have just changed partitions; what that cost is yet to be seen.
    Settling,
    /// The bounds have changed.
    Bounds,
    /// The sink takes no more.
    SinkSaturated,
    /// More arrives in single partitions than a worker can do, which no number of workers changes.
    HotPartition,
    /// Nothing is processed although there is lag: more workers would do nothing, too.
    NoProgress,
    /// Offsets are unknown, too old, or not numbers.
    ReadingsMissing,
    /// One more reading is needed: for the rates, or to tell a step of the load from an outlier.
    Measuring,
    /// The number is pinned.
    Pinned,
    /// Decisions are not applied.
    NotApplied,
}

/// What kept a decision from another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Bound {
    /// The fewest that are allowed.
    Min,
    /// The most that are allowed.
    Max,
    /// A schedule window's fewest or most.
    Window,
    /// There are no more partitions.
    Partitions,
    /// Single partitions have more than a worker can do.
    HotPartition,
    /// What the sink takes.
    Sink,
    /// Workers wait for the sink: one step, to see what it brings.
    SinkProbe,
    /// A rebalance would delay the backlog for longer than more workers would shorten it.
    RebalanceCost,
}

/// The terms of the formula; see `docs/scaling.md`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// Partitions of all topics.
    pub partitions: u32,
    /// Workers that were ready.
    pub ready: u32,
    /// Records to be read yet.
    pub lag_records: u64,
    /// The lag as a time: how long its records took to arrive, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<f64>,
    /// Records that arrive a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival_per_second: Option<f64>,
    /// Records that will arrive a second when a worker that is asked for now works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast_per_second: Option<f64>,
    /// Records a second that drain the backlog in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog_per_second: Option<f64>,
    /// Records a second that make up for the rebalance which a change costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalance_per_second: Option<f64>,
    /// Records a second that the workers are to be able to do: forecast / target utilization + backlog + rebalance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demand_per_second: Option<f64>,
    /// Records a second that one worker can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_worker_per_second: Option<f64>,
    /// Records a second that the present workers can do, the slowest one having ⌈P/N⌉ partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_per_second: Option<f64>,
    /// Workers that the load needs, before bounds and waiting: the present ones while they suit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<u32>,
    /// Share of its capacity that a worker is to be used.
    pub target_utilization: f64,
    /// Time in which the backlog is to be gone, in seconds: `drainWithin` (or `freshness`, if less), but no less than a
    /// worker takes to start.
    pub drain_horizon_seconds: f64,
    /// Time that a worker takes to start, in seconds, as measured.
    pub start_seconds: f64,
    /// Time for which a rebalance stops its partitions, in seconds, as measured.
    pub rebalance_pause_seconds: f64,
    /// For how long fewer workers must be enough, in seconds.
    pub patience_seconds: f64,
    /// Share of their busy time that workers wait for the sink; 0..=1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink_wait_share: Option<f64>,
    /// Records a second that the sink was found to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink_per_second: Option<f64>,
    /// Age of the oldest unprocessed event, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_event_seconds: Option<f64>,
    /// Partitions to which more arrives than a worker can do; the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hot_partitions: Vec<String>,
    /// Partitions whose position stands still although there is lag; the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stalled_partitions: Vec<String>,
}

impl Reason {
    pub const ALL: [Self; 18] = [
        Self::Steady,
        Self::Demand,
        Self::Backlog,
        Self::Freshness,
        Self::Wake,
        Self::SurplusObserved,
        Self::Surplus,
        Self::Idle,
        Self::WaitingForWorkers,
        Self::Settling,
        Self::Bounds,
        Self::SinkSaturated,
        Self::HotPartition,
        Self::NoProgress,
        Self::ReadingsMissing,
        Self::Measuring,
        Self::Pinned,
        Self::NotApplied,
    ];

    /// The code as it stands in status.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Steady => "Steady",
            Self::Demand => "Demand",
            Self::Backlog => "Backlog",
            Self::Freshness => "Freshness",
            Self::Wake => "Wake",
            Self::SurplusObserved => "SurplusObserved",
            Self::Surplus => "Surplus",
            Self::Idle => "Idle",
            Self::WaitingForWorkers => "WaitingForWorkers",
            Self::Settling => "Settling",
            Self::Bounds => "Bounds",
            Self::SinkSaturated => "SinkSaturated",
            Self::HotPartition => "HotPartition",
            Self::NoProgress => "NoProgress",
            Self::ReadingsMissing => "ReadingsMissing",
            Self::Measuring => "Measuring",
            Self::Pinned => "Pinned",
            Self::NotApplied => "NotApplied",
        }
    }
}
