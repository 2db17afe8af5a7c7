//! What is said about a pipeline in each situation.

use ::kafka::lag::{PartitionLag, Range};
use api::crd::StreamPipelineStatus;

use super::*;
use crate::kafka::{Problem, ProblemKind, Reading};
use crate::testing::valid;
use crate::watch::index::{CronJobState, DeploymentState};

struct Scene {
    valid: Valid,
    kafka: Seen,
    job: Option<JobState>,
    pods: PodsSeen,
    worker: Option<DeploymentState>,
    generator: Option<DeploymentState>,
    models: Vec<ModelSeen>,
    current: bool,
    complete: bool,
    obstacle: Option<Obstacle>,
    now: Instant,
}

fn running(replicas: i32) -> DeploymentState {
    DeploymentState {
        wanted: replicas,
        replicas,
        updated: replicas,
        available: replicas,
        observed_generation: 1,
        replicas_set_by: None,
    }
}

fn look(at: Instant, stored: i64, end: i64, report: &str) -> Reading {
    let partition = PartitionLag {
        partition: 0,
        range: Some(Range { start: 0, end }),
        committed: Some(stored),
        metadata: (!report.is_empty()).then(|| report.to_owned()),
    };
    Reading::new(at, &[("plays".to_owned(), vec![partition])])
}

/// A pipeline at work: topics, tables, a worker, a generator, everything stored.
fn at_work(more: &str) -> Scene {
    let now = Instant::now();
    let mut kafka = Seen {
        topics: Some(Ok(vec![4])),
        ..Seen::default()
    };
    kafka
        .history
        .push(look(now, 100, 100, r#"{"n":{"stored":90},"d":10}"#));
    Scene {
        valid: valid(&format!("generator: {{music: {{}}, rate: 5}}\n  {more}")),
        kafka,
        job: Some(JobState {
            complete: true,
            failed: false,
        }),
        pods: PodsSeen::default(),
        worker: Some(running(2)),
        generator: Some(running(1)),
        models: Vec::new(),
        current: true,
        complete: false,
        obstacle: None,
        now,
    }
}

impl Scene {
    fn status(&self) -> StreamPipelineStatus {
        self.status_after(&StreamPipelineStatus::default())
    }

    fn status_after(&self, previous: &StreamPipelineStatus) -> StreamPipelineStatus {
        let workload = |state: &Option<DeploymentState>| Workload {
            state: state.clone(),
            generation: 1,
            current: self.current,
            wanted: state.as_ref().map_or(0, |state| state.wanted as u32),
            pods: &self.pods,
        };
        let observed = Observed {
            generation: Some(3),
            valid: Some(&self.valid),
            obstacle: self.obstacle.clone(),
            kafka: &self.kafka,
            interval: Duration::from_secs(10),
            job: self.job.clone(),
            retry_in: None,
            job_pods: &self.pods,
            worker: workload(&self.worker),
            generator: workload(&self.generator),
            models: self.models.clone(),
            complete: self.complete,
            scaling: None,
            now: self.now,
            time: Timestamp::from_second(1000).unwrap(),
        };
        status(&observed, previous)
    }

    /// Conditions as `Ready=True RowsFlow`, only those asked for.
    fn says(&self, kinds: &[&str]) -> Vec<String> {
        let status = self.status();
        let find = |kind: &&str| {
            status
                .conditions
                .iter()
                .find(|said| said.type_ == **kind)
                .unwrap()
                .clone()
        };
        kinds
            .iter()
            .map(find)
            .map(|said| format!("{}={} {}", said.type_, said.status, said.reason))
            .collect()
    }

    fn message(&self, kind: &str) -> String {
        self.status()
            .conditions
            .iter()
            .find(|said| said.type_ == kind)
            .unwrap()
            .message
            .clone()
    }

    fn phase(&self) -> String {
        self.status().phase.unwrap()
    }
}

#[test]
fn a_pipeline_at_work() {
    let scene = at_work("");
    let status = scene.status();
    assert_eq!(
        scene.says(&[
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
    let mut scenes: Vec<(&str, Scene, &str, &str)> = Vec::new();
    let mut scene = at_work("");
    scene.kafka.topics = Some(Err(Problem {
        kind: ProblemKind::Refused,
        message: "no permission".to_owned(),
    }));
    scenes.push(("topics refused", scene, "Ready=False KafkaRefused", "Failing"));
    let mut scene = at_work("");
    scene.kafka.problem = Some(Problem {
        kind: ProblemKind::Unreachable,
        message: "away".to_owned(),
    });
    scenes.push(("Kafka away", scene, "Ready=False KafkaUnreachable", "Failing"));
    let mut scene = at_work("");
    scene.now += Duration::from_mins(2);
    scenes.push((
        "no look for two minutes",
        scene,
        "Ready=False Connecting",
        "Failing",
    ));
    let mut scene = at_work("");
    scene.job = Some(JobState {
        complete: false,
        failed: true,
    });
    scene.current = false;
    scenes.push(("tables refused", scene, "Ready=False PrepareFailed", "Failing"));
    let mut scene = at_work("");
    scene.job = None;
    scene.current = false;
    scenes.push(("a new manifest", scene, "Ready=False Preparing", "Preparing"));
    let mut scene = at_work("");
    scene.worker = Some(DeploymentState {
        available: 0,
        ..running(2)
    });
    scenes.push(("workers start", scene, "Ready=False Starting", "Starting"));
    let mut scene = at_work("");
    scene.worker = Some(DeploymentState {
        available: 0,
        ..running(2)
    });
    scene.pods.trouble = Some("music-worker-1: boom".to_owned());
    scenes.push(("workers crash", scene, "Ready=False WorkersFailing", "Failing"));
    let mut scene = at_work("");
    scene.worker = Some(DeploymentState {
        replicas: 3,
        updated: 1,
        available: 2,
        ..running(2)
    });
    scenes.push(("only old workers", scene, "Ready=False Starting", "Starting"));
    let mut scene = at_work("");
    scene.worker = Some(DeploymentState {
        observed_generation: 0,
        ..running(2)
    });
    scenes.push((
        "not looked at by its controller",
        scene,
        "Ready=False Starting",
        "Starting",
    ));
    let mut scene = at_work("");
    scene.generator = Some(DeploymentState {
        available: 0,
        ..running(1)
    });
    scenes.push(("no generator", scene, "Ready=False Starting", "Starting"));
    let scene = at_work("paused: {workers: true}");
    scenes.push(("paused", scene, "Ready=False Paused", "Paused"));
    let mut scene = at_work("");
    scene.obstacle = Some(Obstacle {
        reason: "NameConflict",
        message: "x".to_owned(),
    });
    scenes.push((
        "a name that is taken",
        scene,
        "Ready=False NameConflict",
        "Blocked",
    ));
    for (name, scene, ready, phase) in scenes {
        assert_eq!(scene.says(&["Ready"]), [ready], "{name}");
        assert_eq!(scene.phase(), phase, "{name}");
    }
}

#[test]
fn a_rollout_with_a_new_worker_at_work_is_ready() {
    let mut scene = at_work("");
    scene.worker = Some(DeploymentState {
        replicas: 3,
        updated: 2,
        available: 2,
        ..running(2)
    });
    assert_eq!(scene.says(&["Ready"]), ["Ready=True RowsFlow"]);
}

#[test]
fn records_that_wait_while_nothing_is_stored_are_a_stall() {
    let mut scene = at_work("");
    scene.kafka.history = crate::kafka::History::default();
    let begin = scene.now;
    let at = |second| begin + Duration::from_secs(second);
    scene.kafka.history.push(look(at(0), 0, 100, ""));
    assert_eq!(scene.says(&["Processing"]), ["Processing=Unknown Starting"]);
    scene.kafka.history.push(look(at(10), 50, 200, ""));
    scene.now = at(10);
    assert_eq!(
        scene.says(&["Processing", "Ready"]),
        ["Processing=True Storing", "Ready=True RowsFlow"]
    );
    for second in (20..=60).step_by(10) {
        scene.kafka.history.push(look(at(second), 50, 200, ""));
        scene.now = at(second);
        assert_eq!(
            scene.says(&["Processing"]),
            ["Processing=True Storing"],
            "{second}"
        );
    }
    scene.kafka.history.push(look(at(75), 50, 200, ""));
    scene.now = at(75);
    assert_eq!(
        scene.says(&["Processing", "SinkReady"]),
        ["Processing=False Stalled", "SinkReady=Unknown WorkersFailing"]
    );
    assert_eq!(
        scene.message("Processing"),
        "150 record(s) wait and none has been stored for a minute; look at the workers: kubectl logs -n streams -l \
         app.kubernetes.io/component=worker,app.kubernetes.io/instance=music,app.kubernetes.io/name=streampipeline"
    );
}

/// Numbers about this moment are only told while they are known.
#[test]
fn when_kafka_is_away_sums_stay_and_the_moment_does_not() {
    let mut scene = at_work("");
    scene.now += Duration::from_mins(5);
    let status = scene.status();
    assert_eq!((status.lag, status.rate, status.lag_seconds), (None, None, None));
    assert_eq!((status.dead_letters, status.rows.len()), (Some(10), 1));
    assert_eq!(scene.says(&["Audited"]), ["Audited=True Exact"]);
}

#[test]
fn missing_records_are_told_but_rows_flow() {
    let mut scene = at_work("");
    scene
        .kafka
        .history
        .push(look(scene.now, 100, 100, r#"{"a":{"m":2,"d":1}}"#));
    assert_eq!(
        scene.says(&["Audited", "Ready"]),
        ["Audited=False Inexact", "Ready=True RowsFlow"]
    );
    assert_eq!(
        scene.message("Audited"),
        "missing 2, doubled 1; `streampipeline audit` names the records"
    );
    assert_eq!(scene.status().audit.as_deref(), Some("missing 2, doubled 1"));
}

#[test]
fn what_is_complete_or_rests_is_no_failure() {
    let mut scene = at_work("");
    scene.complete = true;
    scene.generator = Some(running(0));
    assert_eq!(
        scene.says(&["Ready", "Generating"]),
        ["Ready=True Complete", "Generating=False Complete"]
    );
    assert_eq!(scene.phase(), "Complete");
    let mut scene = at_work("paused: {generator: true}");
    scene.generator = Some(running(0));
    assert_eq!(
        scene.says(&["Ready", "Generating"]),
        ["Ready=True RowsFlow", "Generating=False Paused"]
    );
}

/// Times tell since when something holds, not when it was last looked at.
#[test]
fn times_are_those_of_changes() {
    let mut scene = at_work("");
    let mut first = scene.status();
    for condition in &mut first.conditions {
        condition.last_transition_time = Time(Timestamp::from_second(10).unwrap());
    }
    let since = |status: &StreamPipelineStatus, kind: &str| {
        status
            .conditions
            .iter()
            .find(|said| said.type_ == kind)
            .unwrap()
            .last_transition_time
            .0
            .as_second()
    };
    assert_eq!(since(&scene.status_after(&first), "Ready"), 10);
    scene.worker = None;
    let after = scene.status_after(&first);
    assert_eq!((since(&after, "Ready"), since(&after, "TopicsReady")), (1000, 10));
}

#[test]
fn a_manifest_that_cannot_be_used_leaves_the_rest_as_it_was() {
    let scene = at_work("");
    let before = scene.status();
    let pods = PodsSeen::default();
    let nothing = Workload {
        state: None,
        generation: 0,
        current: false,
        wanted: 0,
        pods: &pods,
    };
    let observed = Observed {
        generation: Some(4),
        valid: None,
        obstacle: Some(Obstacle {
            reason: "InvalidManifest",
            message: "spec.x: wrong".to_owned(),
        }),
        kafka: &scene.kafka,
        interval: Duration::from_secs(10),
        job: None,
        retry_in: None,
        job_pods: &pods,
        worker: nothing.clone(),
        generator: nothing,
        models: Vec::new(),
        complete: false,
        scaling: None,
        now: scene.now,
        time: Timestamp::from_second(2000).unwrap(),
    };
    let after = status(&observed, &before);
    let ready = after
        .conditions
        .iter()
        .find(|said| said.type_ == "Ready")
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
            .filter(|said| said.type_ != "Ready")
            .cloned()
            .collect()
    };
    assert_eq!(others(&after), others(&before));
}

#[test]
fn only_news_are_events() {
    let scene = at_work("");
    let first = scene.status();
    let begun = transitions(&[], &first.conditions);
    assert!(begun.iter().any(|told| told.kind == "Ready" && !told.warning));
    assert_eq!(transitions(&first.conditions, &first.conditions), []);
    let mut waiting = at_work("");
    waiting.job = Some(JobState::default());
    waiting.worker = None;
    waiting.generator = None;
    let waiting = waiting.status();
    let kinds = |told: &[Transition]| told.iter().map(|told| told.kind.clone()).collect::<Vec<_>>();
    assert_eq!(
        kinds(&transitions(&[], &waiting.conditions)),
        ["TopicsReady", "Audited"],
        "what holds, and no step on the way"
    );
    assert_eq!(
        kinds(&transitions(&waiting.conditions, &first.conditions)),
        ["Ready", "Prepared", "SinkReady", "Processing", "Generating"]
    );
    let mut scene = at_work("");
    scene.worker = Some(DeploymentState {
        available: 0,
        ..running(2)
    });
    scene.pods.trouble = Some("music-worker-1: boom".to_owned());
    let failing = scene.status_after(&first);
    let told = transitions(&first.conditions, &failing.conditions);
    let ready = told.iter().find(|told| told.kind == "Ready").unwrap();
    assert!(ready.warning);
    assert_eq!(
        (ready.reason.as_str(), ready.message.as_str()),
        ("WorkersFailing", "music-worker-1: boom")
    );
}

#[test]
fn numbers_have_three_digits() {
    for (number, expected) in [
        (0.0, 0.0),
        (1234.5, 1230.0),
        (99.96, 100.0),
        (0.123_456, 0.123),
        (0.000_01, 0.0),
        (12.34, 12.3),
    ] {
        assert!(
            (rounded(number) - expected).abs() < 1e-9,
            "{number}: {}",
            rounded(number)
        );
    }
}

/// `min: 0`: no worker, as long as nothing waits.
#[test]
fn no_worker_is_right_where_nothing_waits() {
    let mut scene = at_work("");
    scene.worker = Some(running(0));
    assert_eq!(
        scene.says(&["Processing", "Ready"]),
        ["Processing=True Idle", "Ready=True RowsFlow"]
    );
    scene.kafka.history.push(look(scene.now, 100, 101, ""));
    assert_eq!(
        scene.says(&["Processing", "Ready"]),
        ["Processing=False Starting", "Ready=False Starting"]
    );
}

fn model(name: &str, ran: Option<i64>, succeeded: Option<i64>, running: bool) -> ModelSeen {
    let time = |second: i64| Time(Timestamp::from_second(second).unwrap());
    ModelSeen {
        name: name.to_owned(),
        state: Some(CronJobState {
            last_run: ran.map(time),
            last_success: succeeded.map(time),
            running,
        }),
    }
}

#[test]
fn a_model_that_does_not_run_is_told() {
    let well = || model("well", Some(60), Some(65), false);
    for (other, expected) in [
        (well(), "ModelsRun=True AsScheduled"),
        (
            model("other", Some(120), Some(65), true),
            "ModelsRun=True AsScheduled",
        ),
        (
            model("other", Some(120), Some(65), false),
            "ModelsRun=False ModelFailed",
        ),
        (
            model("other", Some(60), None, false),
            "ModelsRun=False ModelFailed",
        ),
        (
            model("other", Some(60), None, true),
            "ModelsRun=Unknown NotRunYet",
        ),
        (model("other", None, None, false), "ModelsRun=Unknown NotRunYet"),
        (
            ModelSeen {
                name: "other".to_owned(),
                state: None,
            },
            "ModelsRun=Unknown NotRunYet",
        ),
    ] {
        let mut scene = at_work("");
        scene.models = vec![well(), other.clone()];
        assert_eq!(
            scene.says(&["ModelsRun", "Ready"]),
            [expected, "Ready=True RowsFlow"],
            "{other:?}"
        );
        let told = scene.status().models;
        assert_eq!(told.len(), 2);
        assert_eq!(
            told[1].last_success,
            other.state.and_then(|state| state.last_success)
        );
        let message = scene.message("ModelsRun");
        assert!(!message.contains("well,"), "{message}");
    }
    let scene = at_work("");
    assert!(
        scene
            .status()
            .conditions
            .iter()
            .all(|said| said.type_ != "ModelsRun"),
        "there is none"
    );
    let mut paused = at_work("paused: {workers: true}");
    paused.models = vec![model("other", None, None, false)];
    assert_eq!(paused.says(&["ModelsRun"]), ["ModelsRun=False Paused"]);
}
