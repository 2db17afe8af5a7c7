//! `spec.batch` and `spec.deadLetters`: how records are grouped, and what becomes of those that cannot be stored.

#![allow(
    clippy::struct_field_names,
    reason = "the manifest's members are named so: maxRecords, maxBytes, maxWait"
)]

use std::time::Duration;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::duration::DurationText;
use crate::problem::Collector;
use crate::quantity::{QuantityError, QuantityText, parse_quantity};
use crate::rule::RuleText;
use crate::values::{narrow, within};

const BATCH_BYTES: RuleText = RuleText {
    problem: "a batch has to hold between 1Ki and 256Mi",
    remedy: "set maxBytes in between",
};
const BATCH_WAIT: RuleText = RuleText {
    problem: "a batch has to wait between 10ms and 10m",
    remedy: "set maxWait in between",
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

pub(crate) fn batch(spec: &BatchSpec, problems: &mut Collector) -> Option<Batch> {
    let max_bytes = parse_quantity(&spec.max_bytes.0)
        .map_err(|error| problems.add("spec.batch.maxBytes", error.to_string(), QuantityError::REMEDY))
        .ok();
    if max_bytes.is_some_and(|bytes| !(1 << 10..=256 << 20).contains(&bytes)) {
        problems.broken("spec.batch.maxBytes", BATCH_BYTES);
    }
    let waits = Duration::from_millis(10)..=Duration::from_mins(10);
    let max_wait = within(&spec.max_wait, "spec.batch.maxWait", &waits, BATCH_WAIT, problems);
    Some(Batch {
        max_records: narrow(spec.max_records),
        max_bytes: usize::try_from(max_bytes?).ok()?,
        max_wait: max_wait?,
    })
}
