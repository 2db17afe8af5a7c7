//! What a decision of the scaler means for people: a condition, and an event.

use api::crd::Reserved;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use scaler::Decision;

use super::condition::{Condition, ConditionStatus};
use super::transitions::{SINK_SATURATED, Transition};
use crate::scaling;

/// The event of a changed number of workers.
#[must_use]
pub(crate) fn transition(old: Option<&Decision>, new: Option<&Decision>) -> Option<Transition> {
    let new = new.filter(|new| old.is_some_and(|old| old.replicas != new.replicas))?;
    Some(Transition {
        kind: "Scale".to_owned(),
        reason: new.reason.code().to_owned(),
        message: new.text.clone(),
        warning: false,
    })
}

/// The condition about the sink, once it has ever been saturated.
pub(super) fn sink_saturated(scaling: Option<&Reserved>, previous: &[meta::Condition]) -> Option<Condition> {
    let decision = scaling::last_reported(scaling)?;
    let known = previous.iter().any(|condition| condition.type_ == SINK_SATURATED);
    if decision.sink_saturated {
        Some(Condition::new(
            SINK_SATURATED,
            ConditionStatus::True,
            "SinkSaturated",
            decision.text,
        ))
    } else {
        let text = "the sink takes what the workers give it";
        known.then(|| Condition::new(SINK_SATURATED, ConditionStatus::False, "SinkKeepsUp", text))
    }
}
