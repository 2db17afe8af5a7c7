//! Models in the cluster: CronJobs, and what is told of their runs.

use memory_apiserver::play;
use serde_json::{Value, json};

use crate::support::{World, key, pipeline};

const CRON_JOB: &str = "music-model-top-tracks";

fn with_model() -> Value {
    let mut manifest = pipeline("music");
    manifest["spec"]["models"] =
        json!([{ "name": "top_tracks", "schedule": "*/5 * * * *", "sql": "SELECT 1 AS one" }]);
    manifest
}

/// What Kubernetes' controller of CronJobs writes.
fn ran(world: &World, status: &Value) {
    world.api.change(|store| {
        let status = json!({ "status": status });
        store
            .merge_patch(key("cronjobs", CRON_JOB), &status, true)
            .unwrap();
    });
}

async fn told(world: &World, expected: &str) {
    world
        .until(expected, |world| {
            world.condition("music", "ModelsRun") == expected
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_model_runs_once_its_tables_are_there_and_its_runs_are_told() {
    let mut world = World::playing(play::nothing);
    world.start();
    world.apply(&with_model());
    world
        .until("preparing", |world| world.names("jobs").len() == 1)
        .await;
    world.settle().await;
    assert_eq!(world.names("cronjobs"), [""; 0], "its tables are not there yet");
    world.api.lock().play = play::well;
    world.api.change(|_| ());
    world.ready("music").await;
    assert_eq!(world.names("cronjobs"), [CRON_JOB]);
    assert_eq!(world.condition("music", "ModelsRun"), "Unknown NotRunYet");

    ran(
        &world,
        &json!({"lastScheduleTime": "2026-01-01T00:05:00Z", "lastSuccessfulTime": "2026-01-01T00:05:09Z"}),
    );
    told(&world, "True AsScheduled").await;
    let status = world.status("music");
    assert_eq!(status["models"][0]["lastSuccess"], "2026-01-01T00:05:09Z");

    ran(&world, &json!({"lastScheduleTime": "2026-01-01T00:10:00Z"}));
    told(&world, "False ModelFailed").await;
    assert_eq!(
        world.condition("music", "Ready"),
        "True RowsFlow",
        "rows flow all the same"
    );

    ran(&world, &json!({"lastSuccessfulTime": "2026-01-01T00:10:05Z"}));
    told(&world, "True AsScheduled").await;
    world.settle().await;
    let writes = world.writes();
    tokio::time::sleep(std::time::Duration::from_hours(1)).await;
    assert_eq!(world.writes(), writes, "a steady pipeline is left alone");
}

#[tokio::test(start_paused = true)]
async fn models_follow_the_manifest() {
    let mut world = World::new();
    world.start();
    world.apply(&with_model());
    world.ready("music").await;

    let mut paused = with_model();
    paused["spec"]["paused"] = json!({ "workers": true });
    world.apply(&paused);
    world
        .until("suspended", |world| {
            world
                .get("cronjobs", CRON_JOB)
                .is_some_and(|it| it["spec"]["suspend"] == true)
        })
        .await;

    let mut renamed = with_model();
    renamed["spec"]["models"][0]["name"] = json!("other");
    world.apply(&renamed);
    world
        .until("the other one alone", |world| {
            world.names("cronjobs") == ["music-model-other"]
        })
        .await;
    world.apply(&pipeline("music"));
    world
        .until("none", |world| {
            world.names("cronjobs").is_empty()
                && !world.names("configmaps").contains(&"music-model".to_owned())
        })
        .await;
    let status = world.status("music");
    assert!(status["models"].is_null(), "{status}");
}
