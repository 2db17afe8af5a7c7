//! `spec.batch`, `spec.deadLetters` and `spec.scaling`: how the pipeline runs.

#![allow(
    clippy::struct_field_names,
    reason = "the manifest's members are named so: maxRecords, maxBytes, maxWait"
)]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rule::RuleText;
use super::topic::one;
use crate::ScalingMode;
use crate::duration::DurationText;
use crate::quantity::QuantityText;

pub(crate) const BATCH_BYTES: RuleText = RuleText {
    problem: "a batch has to hold between 1Ki and 256Mi",
    remedy: "set maxBytes in between",
};
pub(crate) const BATCH_WAIT: RuleText = RuleText {
    problem: "a batch has to wait between 10ms and 10m",
    remedy: "set maxWait in between",
};
pub(crate) const MIN_ABOVE_MAX: RuleText = RuleText {
    problem: "max is less than min",
    remedy: "raise max or lower min",
};
pub(crate) const REPLICAS_OUTSIDE: RuleText = RuleText {
    problem: "replicas is outside min and max",
    remedy: "set replicas from min to max, or widen them",
};
pub(crate) const DRAIN_WITHIN: RuleText = RuleText {
    problem: "a backlog has to be gone within 1s to 24h",
    remedy: "set drainWithin in between",
};

pub(crate) const FRESHNESS: RuleText = RuleText {
    problem: "events have to be stored within 1s to 24h",
    remedy: "set freshness in between",
};
pub(crate) const PATIENCE: RuleText = RuleText {
    problem: "fewer workers have to be enough for 10s to 24h",
    remedy: "set patience in between",
};
pub(crate) const WINDOW_LENGTH: RuleText = RuleText {
    problem: "a window lasts from 1m to 7 days",
    remedy: "set duration in between, or change min and max for good",
};
pub(crate) const WINDOW_BOUNDS: RuleText = RuleText {
    problem: "a window has neither min nor max",
    remedy: "set one of them, or remove the window",
};

/// When a batch is closed: at the first of the three. A batch is what becomes visible in the sink at once.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchSpec {
    /// Records of one partition, from 1 to 1000000. Default 50000.
    #[serde(default = "fifty_thousand")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_records: i64,
    /// Bytes of keys and values of one partition, from `1Ki` to `256Mi`. Default `16Mi`.
    #[serde(default = "sixteen_mebibytes")]
    #[x_kube(validation = Rule::new(
        "quantity(self).compareTo(quantity('1Ki')) >= 0 && quantity(self).compareTo(quantity('256Mi')) <= 0"
    ).message(BATCH_BYTES))]
    pub max_bytes: QuantityText,
    /// Time since the batch's first record arrived, from `10ms` to `10m`: the longest that a record waits for
    /// others. Default `1s`.
    #[serde(default = "a_second")]
    #[x_kube(validation = Rule::new(
        "duration(self) >= duration('10ms') && duration(self) <= duration('10m')"
    ).message(BATCH_WAIT))]
    pub max_wait: DurationText,
}

impl Default for BatchSpec {
    fn default() -> Self {
        Self {
            max_records: fifty_thousand(),
            max_bytes: sixteen_mebibytes(),
            max_wait: a_second(),
        }
    }
}

fn fifty_thousand() -> i64 {
    50_000
}

fn sixteen_mebibytes() -> QuantityText {
    "16Mi".into()
}

fn a_second() -> DurationText {
    "1s".into()
}

/// What is done about records that cannot be stored. They go to the table `streampipeline_dead_letters` with their
/// topic, partition, offset, bytes and error.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeadLettersSpec {
    /// Share of a batch's records, from 0 to 1, above which the partition halts instead of filling the dead
    /// letters: so many bad records at once mean a wrong manifest rather than bad data. 1 never halts. Default 0.5.
    #[serde(default = "half")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub halt_above: f64,
}

impl Default for DeadLettersSpec {
    fn default() -> Self {
        Self { halt_above: half() }
    }
}

fn half() -> f64 {
    0.5
}

/// How many workers there are.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.max) || self.min <= self.max").message(MIN_ABOVE_MAX).field_path(".max"))]
#[x_kube(validation = Rule::new(
    "!has(self.replicas) || (self.replicas >= self.min && (!has(self.max) || self.replicas <= self.max))"
).message(REPLICAS_OUTSIDE).field_path(".replicas"))]
pub struct ScalingSpec {
    /// Fewest workers. With 0 an idle pipeline has none until records come, which then wait for a worker to start.
    /// Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 10_000))]
    pub min: i64,
    /// Most workers. Absent: the number of partitions of all topics together, since a further worker would have
    /// nothing to do (or `min` or `replicas`, if that is more).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max: Option<i64>,
    /// Time within which a backlog is to be gone; shorter means more workers. From `1s` to `24h`. Default `60s`.
    #[serde(default = "a_minute")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')").message(DRAIN_WITHIN))]
    pub drain_within: DurationText,
    /// How old the oldest event may be that is not stored yet; shorter than `drainWithin` means more workers. Needs
    /// topics with `eventTime`. From `1s` to `24h`. Absent: events may be as old as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')").message(FRESHNESS))]
    pub freshness: Option<DurationText>,
    /// For how long fewer workers must have been enough before there are fewer. From `10s` to `24h`. Default `3m`.
    #[serde(default = "three_minutes")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('24h')").message(PATIENCE))]
    pub patience: DurationText,
    /// Times with other bounds; the first that is open counts. Example: twelve workers or more from 18:00 to 23:00 UTC,
    /// `[{schedule: "0 18 * * *", duration: 5h, min: 12}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub windows: Vec<ScalingWindowSpec>,
    /// What becomes of the scaler's decisions: `Auto` (they are applied; the default), `Recommend` (they are only
    /// reported) or `"Off"` (none are made; in quotes, since YAML reads a bare Off as `false`). Without `Auto` and
    /// without `replicas` there are `min` workers.
    #[serde(default = "auto")]
    pub mode: ScalingMode,
    /// Exactly so many workers, whatever the scaler thinks. `kubectl scale` sets it; absent, the scaler decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub replicas: Option<i64>,
}

/// A time with other bounds.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max").message(MIN_ABOVE_MAX).field_path(".max"))]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max)").message(WINDOW_BOUNDS))]
pub struct ScalingWindowSpec {
    /// When it begins, as five cron fields in UTC: minute, hour, day of month, month, day of week.
    #[schemars(length(min = 1, max = 128))]
    pub schedule: String,
    /// How long it lasts, from `1m` to `168h`.
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('168h')").message(WINDOW_LENGTH))]
    pub duration: DurationText,
    /// Fewest workers within. Absent: as at other times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub min: Option<i64>,
    /// Most workers within. Absent: as at other times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max: Option<i64>,
}

fn three_minutes() -> DurationText {
    "3m".into()
}

fn a_minute() -> DurationText {
    "60s".into()
}

fn auto() -> ScalingMode {
    ScalingMode::Auto
}

impl Default for ScalingSpec {
    fn default() -> Self {
        Self {
            min: one(),
            max: None,
            drain_within: a_minute(),
            freshness: None,
            patience: three_minutes(),
            windows: Vec::new(),
            mode: auto(),
            replicas: None,
        }
    }
}
