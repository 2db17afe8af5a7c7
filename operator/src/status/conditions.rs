//! Conditions: what is said, and when it began to hold.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One condition without its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) kind: &'static str,
    pub(crate) truth: Truth,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Said {
    pub(crate) fn new(
        kind: &'static str,
        truth: Truth,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            truth,
            reason,
            message: message.into(),
        }
    }
}

/// The conditions as they are written: exactly those that are said.
pub(super) fn merge(
    said: Vec<Said>,
    previous: &[Condition],
    generation: Option<i64>,
    now: &Time,
) -> Vec<Condition> {
    said.into_iter()
        .map(|said| condition(said, previous, generation, now))
        .collect()
}

/// Replaces those that are said; the others stay as they are, with the generation that they were about.
pub(super) fn merge_some(
    said: Vec<Said>,
    previous: &[Condition],
    generation: Option<i64>,
    now: &Time,
) -> Vec<Condition> {
    let mut conditions = merge(said, previous, generation, now);
    let others = previous
        .iter()
        .filter(|old| !conditions.iter().any(|new| new.type_ == old.type_));
    let others: Vec<Condition> = others.cloned().collect();
    conditions.extend(others);
    conditions
}

fn condition(said: Said, previous: &[Condition], generation: Option<i64>, now: &Time) -> Condition {
    let status = said.truth.as_str();
    let since = previous
        .iter()
        .find(|old| old.type_ == said.kind && old.status == status)
        .map_or_else(|| now.clone(), |old| old.last_transition_time.clone());
    Condition {
        type_: said.kind.to_owned(),
        status: status.to_owned(),
        reason: said.reason.to_owned(),
        message: said.message,
        observed_generation: generation,
        last_transition_time: since,
    }
}

/// A condition that changed, worth an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The condition.
    pub kind: String,
    /// Its new reason.
    pub reason: String,
    /// Its new sentence.
    pub message: String,
    /// Whether somebody should look.
    pub warning: bool,
}

/// The one condition that is bad news when it is true.
pub(crate) const SINK_SATURATED: &str = "SinkSaturated";

/// Reasons that belong to the ordinary course of things.
const ORDINARY: [&str; 15] = [
    "SinkKeepsUp",
    "Paused",
    "NotConfigured",
    "Complete",
    "Preparing",
    "Starting",
    "Updating",
    "Connecting",
    "WaitingForTopics",
    "WaitingForPrepare",
    "WaitingForWorkers",
    "NothingStored",
    "NotNumbered",
    "NotReached",
    "Deleting",
];

/// What has changed from `old` to `new` so that somebody may want to read it: something holds now, or no longer, or is wrong
/// in another way. The steps on the way there are in the conditions; as events they would be a page of each start.
#[must_use]
pub fn transitions(old: &[Condition], new: &[Condition]) -> Vec<Transition> {
    let told = new.iter().filter_map(|new| {
        let before = old.iter().find(|old| old.type_ == new.type_);
        let held = before.is_some_and(|old| old.status == "True");
        let other_reason = before.is_none_or(|old| old.reason != new.reason);
        let ordinary = ORDINARY.contains(&new.reason.as_str());
        let is_news = match new.status.as_str() {
            "True" => !held || (other_reason && new.type_ == "Ready"),
            "False" => held || (other_reason && !ordinary),
            // At the beginning everything is unknown.
            _ => held,
        };
        is_news.then(|| Transition {
            kind: new.type_.clone(),
            reason: new.reason.clone(),
            message: new.message.clone(),
            warning: (new.status == "True") == (new.type_ == SINK_SATURATED) && !ordinary,
        })
    });
    told.collect()
}
