//! Conditions, and what makes a pipeline ready.

use super::*;

#[test]
fn a_pipeline_at_work() {
    let situation = at_work("");
    let status = situation.status();
    assert_eq!(
        situation.conditions(&[
            "Ready",
            "TopicsReady",
            "Prepared",
            "SinkReady",
            "Processing",
            "Generating",
            "Audited"
        ]),
        [
            "Ready=True RowsFlow",
            "TopicsReady=True AsDeclared",
            "Prepared=True Complete",
            "SinkReady=True Stored",
            "Processing=True UpToDate",
            "Generating=True Producing",
            "Audited=True Exact",
        ]
    );
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(
        (status.lag, status.lag_seconds, status.dead_letters),
        (Some(0), Some(0.0), Some(10))
    );
    assert_eq!(status.audit.as_deref(), Some("missing 0, doubled 0"));
    assert_eq!(status.rows.get("stored"), Some(&90));
    assert_eq!((status.workers, status.observed_generation), (Some(2), Some(3)));
    assert_eq!(
        status.selector.as_deref(),
        Some(
            "app.kubernetes.io/component=worker,app.kubernetes.io/instance=music,app.kubernetes.io/name=streampipeline"
        )
    );
}

/// Ready means that rows flow: each of these alone stops that.
#[test]
fn whatever_stops_rows_is_not_ready() {
    let mut situations: Vec<(&str, Situation, &str, &str)> = Vec::new();
    let mut situation = at_work("");
    situation.kafka.topics = Some(Err(KafkaError {
        kind: KafkaErrorKind::Refused,
        message: "no permission".to_owned(),
    }));
    situations.push(("topics refused", situation, "Ready=False KafkaRefused", "Failing"));
    let mut situation = at_work("");
    situation.kafka.error = Some(KafkaError {
        kind: KafkaErrorKind::Unreachable,
        message: "away".to_owned(),
    });
    situations.push(("Kafka away", situation, "Ready=False KafkaUnreachable", "Failing"));
    let mut situation = at_work("");
    situation.now += Duration::from_mins(2);
    situations.push((
        "no reading for two minutes",
        situation,
        "Ready=False Connecting",
        "Failing",
    ));
    let mut situation = at_work("");
    situation.job = Some(JobState {
        complete: false,
        failed: true,
    });
    situation.current = false;
    situations.push((
        "tables refused",
        situation,
        "Ready=False PrepareFailed",
        "Failing",
    ));
    let mut situation = at_work("");
    situation.job = None;
    situation.current = false;
    situations.push(("a new manifest", situation, "Ready=False Preparing", "Preparing"));
    let mut situation = at_work("");
    situation.worker = Some(DeploymentState {
        available: 0,
        ..running(2)
    });
    situations.push(("workers start", situation, "Ready=False Starting", "Starting"));
    let mut situation = at_work("");
    situation.worker = Some(DeploymentState {
        available: 0,
        ..running(2)
    });
    situation.pods.failure = Some("music-worker-1: boom".to_owned());
    situations.push((
        "workers crash",
        situation,
        "Ready=False WorkersFailing",
        "Failing",
    ));
    let mut situation = at_work("");
    situation.worker = Some(DeploymentState {
        replicas: 3,
        updated: 1,
        available: 2,
        ..running(2)
    });
    situations.push(("only old workers", situation, "Ready=False Starting", "Starting"));
    let mut situation = at_work("");
    situation.worker = Some(DeploymentState {
        observed_generation: 0,
        ..running(2)
    });
    situations.push((
        "not looked at by its controller",
        situation,
        "Ready=False Starting",
        "Starting",
    ));
    let mut situation = at_work("");
    situation.generator = Some(DeploymentState {
        available: 0,
        ..running(1)
    });
    situations.push(("no generator", situation, "Ready=False Starting", "Starting"));
    let situation = at_work("paused: {workers: true}");
    situations.push(("paused", situation, "Ready=False Paused", "Paused"));
    let mut situation = at_work("");
    situation.blocker = Some(Blocker {
        reason: "NameConflict",
        message: "x".to_owned(),
    });
    situations.push((
        "a name that is taken",
        situation,
        "Ready=False NameConflict",
        "Blocked",
    ));
    for (name, situation, ready, phase) in situations {
        assert_eq!(situation.conditions(&["Ready"]), [ready], "{name}");
        assert_eq!(situation.phase(), phase, "{name}");
    }
}

#[test]
fn a_rollout_with_a_new_worker_at_work_is_ready() {
    let mut situation = at_work("");
    situation.worker = Some(DeploymentState {
        replicas: 3,
        updated: 2,
        available: 2,
        ..running(2)
    });
    assert_eq!(situation.conditions(&["Ready"]), ["Ready=True RowsFlow"]);
}

#[test]
fn records_that_wait_while_nothing_is_stored_are_a_stall() {
    let mut situation = at_work("");
    situation.kafka.history = KafkaObservation::default().history;
    let begin = situation.now;
    let at = |second| begin + Duration::from_secs(second);
    situation.kafka.history.push(reading(at(0), 0, 100, ""));
    assert_eq!(
        situation.conditions(&["Processing"]),
        ["Processing=Unknown Starting"]
    );
    situation.kafka.history.push(reading(at(10), 50, 200, ""));
    situation.now = at(10);
    assert_eq!(
        situation.conditions(&["Processing", "Ready"]),
        ["Processing=True Storing", "Ready=True RowsFlow"]
    );
    for second in (20..=60).step_by(10) {
        situation.kafka.history.push(reading(at(second), 50, 200, ""));
        situation.now = at(second);
        assert_eq!(
            situation.conditions(&["Processing"]),
            ["Processing=True Storing"],
            "{second}"
        );
    }
    situation.kafka.history.push(reading(at(75), 50, 200, ""));
    situation.now = at(75);
    assert_eq!(
        situation.conditions(&["Processing", "SinkReady"]),
        ["Processing=False Stalled", "SinkReady=Unknown WorkersFailing"]
    );
    assert_eq!(
        situation.message("Processing"),
        "150 record(s) wait and none has been stored for a minute; look at the workers: kubectl logs -n streams -l \
         app.kubernetes.io/component=worker,app.kubernetes.io/instance=music,app.kubernetes.io/name=streampipeline"
    );
}

#[test]
fn what_is_complete_or_rests_is_no_failure() {
    let mut situation = at_work("");
    situation.complete = true;
    situation.generator = Some(running(0));
    assert_eq!(
        situation.conditions(&["Ready", "Generating"]),
        ["Ready=True Complete", "Generating=False Complete"]
    );
    assert_eq!(situation.phase(), "Complete");
    let mut situation = at_work("paused: {generator: true}");
    situation.generator = Some(running(0));
    assert_eq!(
        situation.conditions(&["Ready", "Generating"]),
        ["Ready=True RowsFlow", "Generating=False Paused"]
    );
}

/// `min: 0`: no worker, as long as nothing waits.
#[test]
fn no_worker_is_right_where_nothing_waits() {
    let mut situation = at_work("");
    situation.worker = Some(running(0));
    assert_eq!(
        situation.conditions(&["Processing", "Ready"]),
        ["Processing=True Idle", "Ready=True RowsFlow"]
    );
    situation.kafka.history.push(reading(situation.now, 100, 101, ""));
    assert_eq!(
        situation.conditions(&["Processing", "Ready"]),
        ["Processing=False Starting", "Ready=False Starting"]
    );
}
