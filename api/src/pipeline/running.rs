//! How a pipeline runs: batches, dead letters, workers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a batch is closed: at the first of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Records of one partition.
    pub max_records: usize,
    /// Bytes of keys and values of one partition.
    pub max_bytes: usize,
    /// Time since its first record arrived.
    pub max_wait: Duration,
}

/// What is done about records that cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeadLetterPolicy {
    /// Share of a batch's records (0..=1) above which the partition halts instead of filling the dead letters:
    /// so many bad records at once mean a wrong manifest or table rather than bad data. 1 never halts.
    pub halt_above: f64,
}

/// How many workers there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    /// Fewest workers; 0 lets an idle pipeline have none.
    pub min: u32,
    /// Most workers.
    pub max: u32,
    /// A backlog is to be gone within this time.
    pub drain_within: Duration,
    /// The oldest event that is not stored is to be at most so old.
    pub freshness: Option<Duration>,
    /// For how long fewer workers must have been enough before there are fewer.
    pub patience: Duration,
    /// Times with other bounds; the first that is open counts.
    pub windows: Vec<ScalingWindow>,
    /// Whether decisions are applied.
    pub mode: ScalingMode,
    /// Set: exactly so many workers, whatever the scaler thinks.
    pub replicas: Option<u32>,
}

/// A time with other bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalingWindow {
    /// When it begins: five cron fields, UTC.
    pub schedule: String,
    /// How long it lasts.
    pub duration: Duration,
    /// Fewest workers within; absent means as at other times.
    pub min: Option<u32>,
    /// Most workers within; absent means as at other times.
    pub max: Option<u32>,
}

/// Whether the scaler's decisions are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScalingMode {
    /// Applied.
    Auto,
    /// Only reported.
    Recommend,
    /// Not made.
    Off,
}

/// What stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paused {
    /// Nothing is generated; [`Generator::paused`] says the same.
    pub generator: bool,
    /// Nothing is stored.
    pub workers: bool,
}
