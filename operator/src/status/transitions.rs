//! Which changes of conditions become events.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// A change that is worth an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transition {
    /// The condition's type, or another word in CamelCase for what has changed.
    pub(crate) kind: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// Whether somebody should look.
    pub(crate) warning: bool,
}

/// The one condition that is bad news when it is true.
pub(super) const SINK_SATURATED: &str = "SinkSaturated";

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
pub(crate) fn transitions(old: &[Condition], new: &[Condition]) -> Vec<Transition> {
    let changed = new.iter().filter_map(|new| {
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
    changed.collect()
}
