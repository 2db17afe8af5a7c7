//! `spec.scaling`: how many workers there are.

use std::time::Duration;

use cron::Schedule;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::DurationText;
use crate::problem::Collector;
use crate::rule::RuleText;
use crate::topic::TopicSpec;
use crate::values::{narrow, schedule, within};

const MIN_ABOVE_MAX: RuleText = RuleText {
    problem: "max is less than min",
    remedy: "raise max or lower min",
};
const REPLICAS_OUTSIDE: RuleText = RuleText {
    problem: "replicas is outside min and max",
    remedy: "set replicas from min to max, or widen them",
};
const DRAIN_WITHIN: RuleText = RuleText {
    problem: "a backlog has to be gone within 1s to 24h",
    remedy: "set drainWithin in between",
};
const FRESHNESS: RuleText = RuleText {
    problem: "events have to be stored within 1s to 24h",
    remedy: "set freshness in between",
};
const PATIENCE: RuleText = RuleText {
    problem: "fewer workers have to be enough for 10s to 24h",
    remedy: "set patience in between",
};
const WINDOW_LENGTH: RuleText = RuleText {
    problem: "a window lasts from 1m to 7 days",
    remedy: "set duration in between, or change min and max for good",
};
const WINDOW_BOUNDS: RuleText = RuleText {
    problem: "a window has neither min nor max",
    remedy: "set one of them, or remove the window",
};

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

fn one() -> i64 {
    1
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
    /// When it begins.
    pub schedule: Schedule,
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

pub(crate) fn scaling(spec: &ScalingSpec, topics: &[TopicSpec], problems: &mut Collector) -> Option<Scaling> {
    if spec.max.is_some_and(|max| max < spec.min) {
        problems.broken("spec.scaling.max", MIN_ABOVE_MAX);
    }
    if spec
        .replicas
        .is_some_and(|replicas| replicas < spec.min || spec.max.is_some_and(|max| replicas > max))
    {
        problems.broken("spec.scaling.replicas", REPLICAS_OUTSIDE);
    }
    let day = Duration::from_secs(1)..=Duration::from_hours(24);
    let drain_within = within(
        &spec.drain_within,
        "spec.scaling.drainWithin",
        &day,
        DRAIN_WITHIN,
        problems,
    );
    let freshness = spec
        .freshness
        .as_ref()
        .map(|text| within(text, "spec.scaling.freshness", &day, FRESHNESS, problems));
    let patient = Duration::from_secs(10)..=Duration::from_hours(24);
    let patience = within(
        &spec.patience,
        "spec.scaling.patience",
        &patient,
        PATIENCE,
        problems,
    );
    let windows: Vec<Option<ScalingWindow>> = spec
        .windows
        .iter()
        .enumerate()
        .map(|(index, window)| {
            self::window(window, spec, &format!("spec.scaling.windows[{index}]"), problems)
        })
        .collect();
    // A worker more than there are partitions would have nothing to do.
    let partitions = topics
        .iter()
        .fold(0, |sum: i64, topic| sum.saturating_add(topic.partitions));
    let useful = partitions.max(spec.min).max(spec.replicas.unwrap_or(0));
    Some(Scaling {
        min: narrow(spec.min),
        max: narrow(spec.max.unwrap_or(useful)),
        drain_within: drain_within?,
        // The outer is whether it is set, the inner whether it could be read.
        freshness: match freshness {
            Some(freshness) => Some(freshness?),
            None => None,
        },
        patience: patience?,
        windows: windows.into_iter().collect::<Option<_>>()?,
        mode: spec.mode,
        replicas: spec.replicas.map(narrow),
    })
}

fn window(
    spec: &ScalingWindowSpec,
    scaling: &ScalingSpec,
    path: &str,
    problems: &mut Collector,
) -> Option<ScalingWindow> {
    let schedule = schedule(&spec.schedule, &format!("{path}.schedule"), problems);
    let (min, max) = (spec.min.unwrap_or(scaling.min), spec.max.or(scaling.max));
    if spec.min.is_none() && spec.max.is_none() {
        problems.broken(path, WINDOW_BOUNDS);
    } else if max.is_some_and(|max| max < min) {
        problems.broken(format!("{path}.max"), MIN_ABOVE_MAX);
    }
    let lasting = Duration::from_mins(1)..=Duration::from_hours(7 * 24);
    let duration = within(
        &spec.duration,
        &format!("{path}.duration"),
        &lasting,
        WINDOW_LENGTH,
        problems,
    )?;
    Some(ScalingWindow {
        schedule: schedule?,
        duration,
        min: spec.min.map(narrow),
        max: spec.max.map(narrow),
    })
}
