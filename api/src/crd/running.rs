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
    /// Fewest workers. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
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
    /// What becomes of the scaler's decisions: `Auto` (they are applied; the default), `Recommend` (they are only
    /// reported) or `"Off"` (none are made; in quotes, since YAML reads a bare Off as `false`). Without `Auto` and
    /// without `replicas` there are `min` workers.
    #[serde(default = "auto")]
    pub mode: ScalingMode,
    /// Exactly so many workers, whatever the scaler thinks. `kubectl scale` sets it; absent, the scaler decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub replicas: Option<i64>,
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
            mode: auto(),
            replicas: None,
        }
    }
}
