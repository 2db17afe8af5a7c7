//! How a pipeline starts, rests and waits.

use serde_json::json;

use memory_apiserver::{Key, play};

use crate::support::{World, generator_ends, key, pipeline};

#[tokio::test(start_paused = true)]
async fn a_manifest_becomes_a_running_pipeline_and_then_nothing_is_written() {
    let mut world = World::new();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;

    assert_eq!(world.names("deployments"), ["music-generator", "music-worker"]);
    assert_eq!(world.names("services"), ["music"]);
    assert_eq!(world.names("serviceaccounts"), ["music"]);
    assert_eq!(world.names("networkpolicies"), ["music"]);
    assert_eq!(
        world.names("poddisruptionbudgets"),
        ["music-generator", "music-worker"]
    );
    let jobs = world.names("jobs");
    assert_eq!(
        world.names("configmaps"),
        ["music-generator", &jobs[0], "music-worker"]
    );
    for (condition, expected) in [
        ("Ready", "True RowsFlow"),
        ("TopicsReady", "True AsDeclared"),
        ("Prepared", "True Complete"),
        ("SinkReady", "True Stored"),
        ("Processing", "True UpToDate"),
        ("Generating", "True Producing"),
        ("Audited", "Unknown NothingStored"),
    ] {
        assert_eq!(world.condition("music", condition), expected, "{condition}");
    }
    let status = world.status("music");
    assert_eq!(
        (&status["phase"], &status["workers"], &status["lag"]),
        (&json!("Running"), &json!(1), &json!(0))
    );
    assert_eq!(status["topics"][0]["partitions"], 4);

    world.settle().await;
    let writes = world.writes();
    let reads = world.kafka.0.lock().unwrap().reads;
    tokio::time::sleep(std::time::Duration::from_hours(1)).await;
    assert_eq!(world.writes(), writes, "a steady pipeline is left alone");
    assert!(world.kafka.0.lock().unwrap().reads > reads + 100, "and looked at");
}

/// Topics, then tables, then workers, then the generator: each waits for the one before, and says so.
#[tokio::test(start_paused = true)]
async fn parts_start_in_order() {
    let mut world = World::playing(play::nothing);
    world.kafka.0.lock().unwrap().down = true;
    world.start();
    world.apply(&pipeline("music"));
    world
        .until("Kafka is away", |world| {
            world.condition("music", "TopicsReady") == "False KafkaUnreachable"
        })
        .await;
    assert_eq!(world.condition("music", "Ready"), "False KafkaUnreachable");
    assert_eq!(world.condition("music", "Prepared"), "False WaitingForTopics");
    assert!(world.names("jobs").is_empty() && world.names("deployments").is_empty());

    world.kafka.0.lock().unwrap().down = false;
    world
        .until("preparing", |world| {
            world.condition("music", "Prepared") == "False Preparing" && world.names("jobs").len() == 1
        })
        .await;
    world.settle().await;
    assert!(world.names("deployments").is_empty());

    let job = world.names("jobs")[0].clone();
    world.api.change(|store| {
        let done = json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}});
        store.merge_patch(key("jobs", &job), &done, true).unwrap();
    });
    world
        .until("workers", |world| world.names("deployments") == ["music-worker"])
        .await;
    world.settle().await;
    assert_eq!(world.condition("music", "Processing"), "False Starting");
    assert_eq!(world.condition("music", "Generating"), "False WaitingForWorkers");
    assert_eq!(world.names("deployments"), ["music-worker"]);

    world.api.lock().play = play::well;
    world.api.change(|_| ());
    world.ready("music").await;
    assert_eq!(world.names("deployments"), ["music-generator", "music-worker"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_named_and_found_by_itself() {
    let mut world = World::new();
    world
        .api
        .change(|store| store.delete(&key("secrets", "music-postgres"), None).unwrap());
    world.start();
    world.apply(&pipeline("music"));
    world
        .until("named", |world| {
            world.condition("music", "Ready") == "False SecretMissing"
        })
        .await;
    assert_eq!(
        world.message("music", "Ready"),
        "spec.sink.postgres.secretRef: there is no secret music-postgres; create it in this namespace with the keys username and password"
    );
    world.secret("music-postgres", "x");
    world.ready("music").await;

    // It goes on when the secret is taken away again, and says so.
    let before = world.objects();
    world
        .api
        .change(|store| store.delete(&key("secrets", "music-postgres"), None).unwrap());
    world
        .until("named again", |world| {
            world.condition("music", "Ready") == "False SecretMissing"
        })
        .await;
    world.settle().await;
    for plural in ["deployments", "configmaps", "jobs"] {
        let of = |objects: &std::collections::BTreeMap<_, _>| {
            objects
                .iter()
                .filter(|(key, _): &(&Key, _)| key.1 == plural)
                .map(|(_, object)| object)
                .cloned()
                .collect::<Vec<serde_json::Value>>()
        };
        assert_eq!(of(&before), of(&world.objects()), "{plural}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_gives_up_is_tried_again() {
    let mut world = World::playing(play::failing_jobs);
    world.start();
    world.apply(&pipeline("music"));
    world
        .until("failed", |world| {
            world.condition("music", "Prepared") == "False PrepareFailed"
        })
        .await;
    assert!(world.names("deployments").is_empty());
    let job = world.names("jobs")[0].clone();
    let deleted = |world: &World| {
        world
            .api
            .lock()
            .store
            .deleted
            .get(&key("jobs", &job))
            .copied()
            .unwrap_or(0)
    };
    world
        .until("tried again twice", |world| deleted(world) >= 2)
        .await;
    world.api.lock().play = play::well;
    world.ready("music").await;
}

/// An event that comes again soon counts the first one up, and is told anew when that is long ago.
#[tokio::test(start_paused = true)]
async fn what_happens_again_soon_is_told_by_one_event() {
    let mut world = World::new();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    let counts = |world: &World| -> Vec<Option<i64>> {
        let server = world.api.lock();
        let events = server.store.objects.iter().filter(|(key, event)| {
            key.1 == "events" && event["action"] == "TopicsReady" && event["reason"] == "KafkaUnreachable"
        });
        events
            .map(|(_, event)| event["series"]["count"].as_i64())
            .collect()
    };
    for expected in [vec![None], vec![Some(2)], vec![Some(3)], vec![Some(3), None]] {
        if expected.len() > 1 {
            tokio::time::sleep(std::time::Duration::from_hours(1)).await;
        }
        for (down, condition) in [(true, "Unknown KafkaUnreachable"), (false, "True AsDeclared")] {
            world.kafka.0.lock().unwrap().down = down;
            world
                .until(condition, |world| {
                    world.condition("music", "TopicsReady") == condition
                })
                .await;
        }
        assert_eq!(counts(&world), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_broker_holds_up_nobody_else() {
    let mut world = World::new();
    world.kafka.0.lock().unwrap().hangs = true;
    world.start();
    for number in 0..20 {
        world.apply(&pipeline(&format!("dead{number}")));
    }
    let about = |world: &World, name: &str| world.condition(name, "Ready");
    world
        .until("named", |world| {
            (0..20).all(|number| about(world, &format!("dead{number}")) == "False KafkaUnreachable")
        })
        .await;
    assert_eq!(world.status("dead3")["phase"], "Pending");
}

/// A Deployment starts a program that has ended again and again: one whose limit is reached rests instead.
#[tokio::test(start_paused = true)]
async fn a_generator_at_its_limit_rests_until_there_is_something_else_to_produce() {
    let mut world = World::playing(generator_ends);
    world.start();
    let mut limited = pipeline("music");
    limited["spec"]["generator"]["limit"] = json!({"count": 1000});
    world.apply(&limited);
    world
        .until("complete", |world| {
            world.condition("music", "Ready") == "True Complete"
        })
        .await;
    let replicas =
        |world: &World| world.get("deployments", "music-generator").unwrap()["spec"]["replicas"].clone();
    world.settle().await;
    assert_eq!(replicas(&world), 0);
    assert_eq!(world.condition("music", "Generating"), "False Complete");
    assert_eq!(world.status("music")["phase"], "Complete");
    // It is the cluster that remembers, not the process.
    world.crash().await;
    world.start();
    world.settle().await;
    assert_eq!(replicas(&world), 0);

    world.api.lock().play = play::well;
    limited["spec"]["generator"]["limit"] = json!({"count": 2000});
    world.apply(&limited);
    world.until("more to produce", |world| replicas(world) == 1).await;
    world
        .until("produced", |world| {
            world.condition("music", "Generating") == "True Producing"
        })
        .await;
}
