//! `spec.generator.rate` and `spec.generator.shape`: how many events a second.

use std::time::Duration;

use kube::KubeSchema;
use kube::core::Rule;
use serde::{Deserialize, Serialize};

use crate::duration::DurationText;
use crate::problem::Collector;
use crate::rule::RuleText;
use crate::union::Union;
use crate::values::duration;

const SHAPES: Union = Union::of("shape", &["bursts", "day"]);

/// Most events a second.
const MAX_RATE: f64 = 1e7;

const RATE: RuleText = RuleText {
    problem: "a rate has to be more than 0 and at most 10000000 events a second",
    remedy: "set a rate in between; paused: true produces nothing",
};
const BURST_TOO_LONG: RuleText = RuleText {
    problem: "a burst lasts longer than the time until the next one",
    remedy: "make lasting shorter than every",
};
const DAY_WITHOUT_EVENTS: RuleText = RuleText {
    problem: "all weights are 0",
    remedy: "give at least one hour a weight above 0",
};
const DAY_PERIOD: RuleText = RuleText {
    problem: "a day of no length has no hours",
    remedy: "set a period of at least 1s",
};

/// How the rate varies over time.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = SHAPES.rule())]
pub struct ShapeSpec {
    /// A higher (or lower) rate for a while, again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bursts: Option<BurstsSpec>,
    /// The rise and fall of a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<DaySpec>,
}

/// Every `every`, `rate` events a second for `lasting`; the generator's own rate in between.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("duration(self.lasting) < duration(self.every)").message(BURST_TOO_LONG).field_path(".lasting"))]
pub struct BurstsSpec {
    /// Time from the beginning of a burst to the beginning of the next. Example: `5m`.
    pub every: DurationText,
    /// Length of a burst, shorter than `every`. Example: `30s`.
    pub lasting: DurationText,
    /// Events a second during a burst.
    #[x_kube(validation = rate_rule())]
    pub rate: f64,
}

/// Relative weights of the hours of a day in UTC, linear in between; the mean rate stays the generator's.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DaySpec {
    /// Weight of each of the 24 hours, beginning with midnight; 0 or more. Only their proportions count.
    #[schemars(length(min = 24, max = 24), inner(range(min = 0.0, max = 1_000_000_000.0)))]
    #[x_kube(validation = Rule::new("self.exists(w, w > 0.0)").message(DAY_WITHOUT_EVENTS))]
    pub weights: Vec<f64>,
    /// Length of the "day"; shorter for a demonstration. Default `24h`.
    #[serde(default = "a_day")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message(DAY_PERIOD))]
    pub period: DurationText,
}

fn a_day() -> DurationText {
    "24h".into()
}

pub(crate) fn rate_rule() -> Rule {
    Rule::new("self > 0.0 && self <= 10000000.0").message(RATE)
}

/// How the rate varies around its mean.
#[derive(Debug, Clone, PartialEq)]
pub enum RateShape {
    /// Always the same.
    Constant,
    /// Every `every`, `rate` events a second for `lasting`; `Generator::rate` in between.
    Bursts {
        /// Period; longer than `lasting`.
        every: Duration,
        /// Length of a burst.
        lasting: Duration,
        /// Events a second during a burst.
        rate: f64,
    },
    /// Relative weights of the hours of a day in UTC, repeated; linear in between. 24 weights, mean more than 0.
    Day {
        /// Weight of each hour.
        weights: Vec<f64>,
        /// Length of the "day"; 24 h unless a faster one is wanted for a demonstration.
        period: Duration,
    },
}

/// NaN is refused as well.
pub(crate) fn rate(rate: f64, path: &str, problems: &mut Collector) {
    if !(rate > 0.0 && rate <= MAX_RATE) {
        problems.broken(path, RATE);
    }
}

pub(crate) fn shape(spec: &ShapeSpec, problems: &mut Collector) -> Option<RateShape> {
    let path = "spec.generator.shape";
    SHAPES.check(spec, path, problems);
    let bursts = spec
        .bursts
        .as_ref()
        .map(|bursts| self::bursts(bursts, &format!("{path}.bursts"), problems));
    let day = spec
        .day
        .as_ref()
        .map(|day| self::day(day, &format!("{path}.day"), problems));
    bursts.or(day).flatten()
}

fn bursts(spec: &BurstsSpec, path: &str, problems: &mut Collector) -> Option<RateShape> {
    rate(spec.rate, &format!("{path}.rate"), problems);
    let every = duration(&spec.every, &format!("{path}.every"), problems);
    let lasting = duration(&spec.lasting, &format!("{path}.lasting"), problems);
    let (every, lasting) = every.zip(lasting)?;
    if lasting >= every {
        problems.broken(format!("{path}.lasting"), BURST_TOO_LONG);
    }
    Some(RateShape::Bursts {
        every,
        lasting,
        rate: spec.rate,
    })
}

fn day(spec: &DaySpec, path: &str, problems: &mut Collector) -> Option<RateShape> {
    if !spec.weights.iter().any(|weight| *weight > 0.0) {
        problems.broken(format!("{path}.weights"), DAY_WITHOUT_EVENTS);
    }
    let period = duration(&spec.period, &format!("{path}.period"), problems)?;
    if period.as_secs() < 1 {
        problems.broken(format!("{path}.period"), DAY_PERIOD);
    }
    Some(RateShape::Day {
        weights: spec.weights.clone(),
        period,
    })
}
