//! What the operators of earlier releases left in a cluster, and what this one makes of it: custom resources with their
//! status, and all objects that they own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use memory_apiserver::{Key, Store, play};
use serde_json::{Value, json};

use crate::support::{World, key, pipeline};

/// Releases from which one can come to this one.
const RECORDINGS: [&str; 1] = ["e766835"];

/// When the recording test's clock begins.
const BEGAN: &str = "2026-01-01T00:00:00Z";

/// What workers report of a partition, beside its offset.
const REPORT: &str = r#"{"r":10.0,"w":0.25,"t":1767225600000,"n":{"stored":900},"d":2,"a":{"m":0,"d":0,"r":3},"o":"music-worker-1"}"#;

fn recording(revision: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../upgrade/recordings/{revision}/{FILE}"))
}

/// With a generator, a model, and scaling by what Kafka says.
fn music() -> Value {
    let mut music = pipeline("music");
    music["spec"]["models"] =
        json!([{ "name": "top_tracks", "schedule": "*/5 * * * *", "sql": "SELECT 1 AS one" }]);
    music["spec"]["scaling"] = json!({"min": 1, "max": 4});
    music
}

/// A situation by its name.
async fn situation(name: &str) -> World {
    let mut world = match name {
        "starting" => World::playing(play::nothing),
        "failing" => World::playing(play::failing_jobs),
        _ => World::new(),
    };
    if name == "scaled" {
        let mut kafka = world.kafka.0.lock().unwrap();
        REPORT.clone_into(&mut kafka.report);
    }
    let mut edited = music();
    if name == "scaled" {
        edited["spec"]["scaling"] = json!({"min": 3, "max": 4});
    }
    world.start();
    world.apply(&edited);
    match name {
        "starting" => {
            world
                .until("preparing", |world| world.names("jobs").len() == 1)
                .await
        }
        "failing" => {
            let failed = |world: &World| world.condition("music", "Prepared") == "False PrepareFailed";
            world.until("failed", failed).await;
        }
        _ => world.ready("music").await,
    }
    match name {
        "paused" => edited["spec"]["paused"] = json!({"generator": true, "workers": true}),
        "refused" => edited["spec"]["tables"][0]["sql"] = json!(" "),
        "without a secret" => world
            .api
            .change(|store| drop(store.delete(&key("secrets", "music-postgres"), None).unwrap())),
        "models" => world.api.change(|store| {
            let ran = json!({"status": {
                "lastScheduleTime": "2026-01-01T00:10:00Z", "lastSuccessfulTime": "2026-01-01T00:05:09Z",
            }});
            store
                .merge_patch(key("cronjobs", "music-model-top-tracks"), &ran, true)
                .unwrap();
        }),
        _ => {}
    }
    world.apply(&edited);
    if name == "scaled" {
        // Until a decision has been made on what the workers report.
        tokio::time::sleep(Duration::from_mins(5)).await;
    }
    if !["failing", "scaled"].contains(&name) {
        world.settle().await;
    }
    world.stop().await;
    world
}

const SITUATIONS: [&str; 8] = [
    "starting",
    "ready",
    "failing",
    "paused",
    "refused",
    "without a secret",
    "models",
    "scaled",
];

/// What is in a cluster, in all situations: a line an object, or what a manager has applied of it, with the situations that
/// have it.
const FILE: &str = "cluster.jsonl";

/// Writes what this operator leaves behind, under the name of its revision: see `make record`.
#[tokio::test(start_paused = true)]
#[ignore = "writes files"]
async fn record() {
    let revision = std::env::var("STREAMPIPELINE_RECORD").expect("the revision in STREAMPIPELINE_RECORD");
    let mut heads = serde_json::Map::new();
    let mut entries: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in SITUATIONS {
        let began = tokio::time::Instant::now();
        let world = situation(name).await;
        let topics = world.kafka.0.lock().unwrap().topics.clone();
        heads.insert(
            name.to_owned(),
            json!({"seconds": began.elapsed().as_secs(), "topics": topics}),
        );
        for entry in world.api.lock().store.snapshot() {
            entries.entry(entry.to_string()).or_default().push(name);
        }
    }
    let mut text = format!("{}\n", Value::from(heads));
    for (entry, names) in entries {
        text += &format!("{{\"in\":{},\"entry\":{entry}}}\n", json!(names));
    }
    std::fs::write(recording(&revision), text).unwrap();
}

/// As it was when the recorded operator ended, with this operator in its place.
fn restored(revision: &str, name: &str) -> World {
    let path = recording(revision);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let head = lines.next().unwrap()[name].take();
    let here = |line: &Value| line["in"].as_array().unwrap().iter().any(|other| other == name);
    let entries = lines.filter(here).map(|mut line| line["entry"].take());
    let mut world = match name {
        "starting" => World::playing(play::nothing),
        "failing" => World::playing(play::failing_jobs),
        _ => World::new(),
    };
    world.api.lock().store = Store::restore(entries);
    {
        let mut kafka = world.kafka.0.lock().unwrap();
        kafka.topics = serde_json::from_value(head["topics"].clone()).unwrap();
        if name == "scaled" {
            REPORT.clone_into(&mut kafka.report);
        }
    }
    let (first, now): (Timestamp, _) = (BEGAN.parse().unwrap(), tokio::time::Instant::now());
    let before = Duration::from_secs(head["seconds"].as_u64().unwrap() + 60);
    let mut settings = world.settings();
    settings.clock = Arc::new(move || first + before + now.elapsed());
    world.start_with(settings);
    world
}

/// Conditions by type: status, reason and since when, without their sentences, which a release may word in another way.
fn conditions(world: &World) -> BTreeMap<String, [String; 3]> {
    let status = world.status("music");
    let conditions = status["conditions"].as_array().unwrap();
    let text = |condition: &Value, member: &str| condition[member].as_str().unwrap().to_owned();
    let of = |condition: &Value| {
        let members = ["status", "reason", "lastTransitionTime"];
        (
            text(condition, "type"),
            members.map(|member| text(condition, member)),
        )
    };
    conditions.iter().map(of).collect()
}

/// Of all objects but the custom resource, whose status is looked at closely.
fn versions(world: &World) -> Vec<(Key, Value)> {
    let others = ["streampipelines", "events", "leases"];
    let server = world.api.lock();
    let objects = server.store.objects.iter();
    let objects = objects.filter(|(key, _)| !others.contains(&key.1.as_str()));
    objects
        .map(|(key, object)| (key.clone(), object["metadata"]["resourceVersion"].clone()))
        .collect()
}

/// Conditions that nothing is known of until Kafka has answered an operator for the first time, so that they begin to hold
/// anew.
const OF_KAFKA: [&str; 5] = ["TopicsReady", "Processing", "Generating", "Audited", "Ready"];

/// Every situation is found as it was left: nothing is made, changed or deleted, so no pod is started anew and the number of
/// workers stays; what is told holds since when it held.
#[tokio::test(start_paused = true)]
async fn another_operator_finds_everything_as_it_is() {
    for (revision, name) in RECORDINGS
        .iter()
        .flat_map(|revision| SITUATIONS.map(|name| (revision, name)))
    {
        let context = format!("{revision}: {name}");
        let mut world = restored(revision, name);
        let (mut told, status) = (conditions(&world), world.status("music"));
        let versions_before = versions(&world);
        tokio::time::sleep(Duration::from_secs(20)).await;
        world.stop().await;
        let mut now = conditions(&world);
        for conditions in [&mut told, &mut now] {
            for (_, [_, _, since]) in conditions
                .iter_mut()
                .filter(|(kind, _)| OF_KAFKA.contains(&kind.as_str()))
            {
                since.clear();
            }
        }
        assert_eq!(now, told, "{context}");
        // A job that has given up is tried again.
        if name != "failing" {
            assert_eq!(versions(&world), versions_before, "{context}");
            assert_eq!(world.counts(), Default::default(), "{context}");
        }
        let after = world.status("music");
        for member in [
            "phase",
            "workers",
            "desiredWorkers",
            "selector",
            "topics",
            "audit",
            "rows",
            "deadLetters",
            "models",
        ] {
            assert_eq!(after[member], status[member], "{context}: {member}");
        }
    }
}
