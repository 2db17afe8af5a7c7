//! Conditions, and since when each has its status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{self as meta, Time};

/// `Unknown` is not `False`: nobody could tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConditionStatus {
    True,
    False,
    Unknown,
}

impl ConditionStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition as it follows from one observation: without its times, which depend on what was written before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) kind: &'static str,
    pub(crate) status: ConditionStatus,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Condition {
    pub(crate) fn new(
        kind: &'static str,
        status: ConditionStatus,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            status,
            reason,
            message: message.into(),
        }
    }
}

/// The conditions as they are written: exactly `new`.
pub(super) fn merge(
    new: Vec<Condition>,
    previous: &[meta::Condition],
    generation: Option<i64>,
    now: &Time,
) -> Vec<meta::Condition> {
    new.into_iter()
        .map(|condition| written(condition, previous, generation, now))
        .collect()
}

/// Replaces those of the same kind; the others stay as they are, with the generation that they were about.
pub(super) fn merge_some(
    new: Vec<Condition>,
    previous: &[meta::Condition],
    generation: Option<i64>,
    now: &Time,
) -> Vec<meta::Condition> {
    let mut conditions = merge(new, previous, generation, now);
    let others = previous
        .iter()
        .filter(|old| !conditions.iter().any(|new| new.type_ == old.type_));
    let others: Vec<meta::Condition> = others.cloned().collect();
    conditions.extend(others);
    conditions
}

fn written(
    condition: Condition,
    previous: &[meta::Condition],
    generation: Option<i64>,
    now: &Time,
) -> meta::Condition {
    let status = condition.status.as_str();
    let since = previous
        .iter()
        .find(|old| old.type_ == condition.kind && old.status == status)
        .map_or_else(|| now.clone(), |old| old.last_transition_time.clone());
    meta::Condition {
        type_: condition.kind.to_owned(),
        status: status.to_owned(),
        reason: condition.reason.to_owned(),
        message: condition.message,
        observed_generation: generation,
        last_transition_time: since,
    }
}
