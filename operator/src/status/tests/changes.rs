//! What a change does to times and events.

use super::*;

/// Times say since when something holds, not when it was last looked at.
#[test]
fn times_are_those_of_changes() {
    let mut situation = at_work("");
    let mut first = situation.status();
    for condition in &mut first.conditions {
        condition.last_transition_time = Time(Timestamp::from_second(10).unwrap());
    }
    let since = |status: &StreamPipelineStatus, kind: &str| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == kind)
            .unwrap()
            .last_transition_time
            .0
            .as_second()
    };
    assert_eq!(since(&situation.status_after(&first), "Ready"), 10);
    situation.worker = None;
    let after = situation.status_after(&first);
    assert_eq!((since(&after, "Ready"), since(&after, "TopicsReady")), (1000, 10));
}

#[test]
fn a_manifest_that_cannot_be_used_leaves_the_rest_as_it_was() {
    let situation = at_work("");
    let before = situation.status();
    let blocker = Blocker {
        reason: "InvalidManifest",
        message: "spec.x: wrong".to_owned(),
    };
    let after = invalid(Some(4), blocker, Timestamp::from_second(2000).unwrap(), &before);
    let ready = after
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .unwrap();
    assert_eq!(
        (
            ready.status.as_str(),
            ready.message.as_str(),
            ready.observed_generation
        ),
        ("False", "spec.x: wrong", Some(4))
    );
    assert_eq!(after.rows, before.rows);
    assert_eq!(after.phase.as_deref(), Some("Invalid"));
    let others = |status: &StreamPipelineStatus| -> Vec<_> {
        status
            .conditions
            .iter()
            .filter(|condition| condition.type_ != "Ready")
            .cloned()
            .collect()
    };
    assert_eq!(others(&after), others(&before));
}

#[test]
fn only_news_are_events() {
    let situation = at_work("");
    let first = situation.status();
    let begun = transitions(&[], &first.conditions);
    assert!(begun.iter().any(|event| event.kind == "Ready" && !event.warning));
    assert_eq!(transitions(&first.conditions, &first.conditions), []);
    let mut waiting = at_work("");
    waiting.job = Some(JobState::default());
    waiting.worker = None;
    waiting.generator = None;
    let waiting = waiting.status();
    let kinds = |events: &[Transition]| events.iter().map(|event| event.kind.clone()).collect::<Vec<_>>();
    assert_eq!(
        kinds(&transitions(&[], &waiting.conditions)),
        ["TopicsReady", "Audited"],
        "what holds, and no step on the way"
    );
    assert_eq!(
        kinds(&transitions(&waiting.conditions, &first.conditions)),
        ["Ready", "Prepared", "SinkReady", "Processing", "Generating"]
    );
    let mut situation = at_work("");
    situation.worker = Some(DeploymentState {
        available: 0,
        ..running(2)
    });
    situation.pods.failure = Some("music-worker-1: boom".to_owned());
    let failing = situation.status_after(&first);
    let events = transitions(&first.conditions, &failing.conditions);
    let ready = events.iter().find(|event| event.kind == "Ready").unwrap();
    assert!(ready.warning);
    assert_eq!(
        (ready.reason.as_str(), ready.message.as_str()),
        ("WorkersFailing", "music-worker-1: boom")
    );
}
