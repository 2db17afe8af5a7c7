//! What the operators of earlier releases left in a cluster, and what this one makes of it: custom resources with their
//! status, and all objects that they own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use memory_apiserver::{Key, Store, play};
use serde_json::{Value, json};

use crate::support::{World, assert_same, key, pipeline};

/// Releases from which one can come to this one.
const RECORDINGS: [&str; 1] = ["e766835"];

/// When the recording test's clock begins.
const BEGAN: &str = "2026-01-01T00:00:00Z";

/// What workers report of a partition, beside its offset.
const REPORT: &str = r#"{"r":2500.0,"w":0.25,"t":1767225600000,"n":{"stored":900},"d":2,"a":{"m":0,"d":0,"r":3},"o":"music-worker-1"}"#;

fn folder(revision: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../upgrade/recordings/{revision}/operator"))
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
        kafka.waiting = 900;
    }
    world.start();
    world.apply(&music());
    match name {
        "starting" => world.until("preparing", |world| world.names("jobs").len() == 1).await,
        "failing" => {
            let failed = |world: &World| world.condition("music", "Prepared") == "False PrepareFailed";
            world.until("failed", failed).await;
        }
        _ => world.ready("music").await,
    }
    let mut edited = music();
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
            store.merge_patch(key("cronjobs", "music-model-top-tracks"), &ran, true).unwrap();
        }),
        _ => {}
    }
    world.apply(&edited);
    if name != "failing" {
        world.settle().await;
    }
    world.stop().await;
    world
}

const SITUATIONS: [&str; 8] = [
    "starting", "ready", "failing", "paused", "refused", "without a secret", "models", "scaled",
];

/// Writes what this operator leaves behind, under the name of its revision: see `make record`.
#[tokio::test(start_paused = true)]
#[ignore = "writes files"]
async fn record() {
    let folder = folder(&std::env::var("STREAMPIPELINE_RECORD").expect("the revision in STREAMPIPELINE_RECORD"));
    std::fs::create_dir_all(&folder).unwrap();
    for name in SITUATIONS {
        let began = tokio::time::Instant::now();
        let world = situation(name).await;
        let recording = json!({
            "seconds": began.elapsed().as_secs(),
            "topics": world.kafka.0.lock().unwrap().topics,
            "store": world.api.lock().store.snapshot(),
        });
        std::fs::write(folder.join(format!("{name}.json")), format!("{recording:#}\n")).unwrap();
    }
}

/// As it was when the recorded operator ended, with this operator in its place.
fn restored(revision: &str, name: &str) -> World {
    let path = folder(revision).join(format!("{name}.json"));
    let recording = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let recording: Value = serde_json::from_str(&recording).unwrap();
    let mut world = match name {
        "starting" => World::playing(play::nothing),
        "failing" => World::playing(play::failing_jobs),
        _ => World::new(),
    };
    world.api.lock().store = Store::restore(&recording["store"]);
    {
        let mut kafka = world.kafka.0.lock().unwrap();
        kafka.topics = serde_json::from_value(recording["topics"].clone()).unwrap();
        if name == "scaled" {
            REPORT.clone_into(&mut kafka.report);
            kafka.waiting = 900;
        }
    }
    let (first, now): (Timestamp, _) = (BEGAN.parse().unwrap(), tokio::time::Instant::now());
    let before = Duration::from_secs(recording["seconds"].as_u64().unwrap() + 60);
    let mut settings = world.settings();
    settings.clock = Arc::new(move || first + before + now.elapsed());
    world.start_with(settings);
    world
}

/// Conditions by type, without their sentences, which a release may word in another way.
fn conditions(world: &World) -> Vec<[String; 4]> {
    let status = world.status("music");
    let conditions = status["conditions"].as_array().unwrap();
    let members = ["type", "status", "reason", "lastTransitionTime"];
    let of = |condition: &Value| members.map(|member| condition[member].to_string());
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

/// Every situation is found as it was left: nothing is made or deleted, no pod is started anew, the number of workers stays, and
/// what is told has not changed since.
#[tokio::test(start_paused = true)]
async fn another_operator_finds_everything_as_it_is() {
    for (revision, name) in RECORDINGS.iter().flat_map(|revision| SITUATIONS.map(|name| (revision, name))) {
        let context = format!("{revision}: {name}");
        let mut world = restored(revision, name);
        let before = world.objects();
        let (told, status) = (conditions(&world), world.status("music"));
        let written = versions(&world);
        tokio::time::sleep(Duration::from_secs(20)).await;
        println!("{context}: {} writes", world.writes());
        assert_eq!(conditions(&world), told, "{context}");
        assert_eq!(world.counts(), Default::default(), "{context}");
        assert_eq!(versions(&world), written, "{context}");
        let after = world.status("music");
        for member in ["phase", "workers", "desiredWorkers", "selector", "topics", "audit", "rows", "deadLetters", "models"] {
            assert_eq!(after[member], status[member], "{context}: {member}");
        }
        world.stop().await;
        // Sentences may be worded in another way, and what was decided is decided again.
        let same = |mut objects: BTreeMap<Key, Value>| {
            for (_, object) in &mut objects {
                if let Some(status) = object["status"].as_object_mut() {
                    for member in ["conditions", "scaling", "rate", "lag", "lagSeconds"] {
                        status.remove(member);
                    }
                }
            }
            objects
        };
        assert_same(&same(before), &same(world.objects()), &context);
    }
}
