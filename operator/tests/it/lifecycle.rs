//! What a user does to a pipeline, and what the cluster then has.

use serde_json::json;

use memory_apiserver::{Key, play};

use crate::support::{World, assert_same, generator_ends, key, pipeline};

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

/// Who uses a secret gets other pods when it changes, and nobody else does.
#[tokio::test(start_paused = true)]
async fn another_secret_makes_other_pods() {
    let mut world = World::new();
    for name in ["kafka-user", "kafka-ca", "kafka-certificate"] {
        world.secret(name, "first");
    }
    world.start();
    let mut music = pipeline("music");
    music["spec"]["kafka"]["security"] = json!({
        "protocol": "SaslSsl",
        "sasl": { "mechanism": "ScramSha512", "secretRef": { "name": "kafka-user" } },
        "tls": { "caSecretRef": { "name": "kafka-ca" }, "certificateSecretRef": { "name": "kafka-certificate" } },
    });
    world.apply(&music);
    world.ready("music").await;
    let hash = |world: &World, name: &str| {
        world.get("deployments", name).unwrap()["spec"]["template"]["metadata"]["annotations"]["streampipeline.dev/config-hash"].clone()
    };
    for (secret, generator_uses_it) in [
        ("music-postgres", false),
        ("kafka-user", true),
        ("kafka-ca", true),
        ("kafka-certificate", true),
    ] {
        let (worker, generator) = (hash(&world, "music-worker"), hash(&world, "music-generator"));
        world.secret(secret, "second");
        world
            .until(secret, |world| hash(world, "music-worker") != worker)
            .await;
        world.settle().await;
        let other = hash(&world, "music-generator") != generator;
        assert_eq!(other, generator_uses_it, "{secret}");
        world.ready("music").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_edit_leaves_what_runs_alone_and_says_what_is_wrong() {
    let mut world = World::new();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    let before = world.get("deployments", "music-worker");
    let mut wrong = pipeline("music");
    wrong["spec"]["tables"][0]["sql"] = json!(" ");
    wrong["spec"]["scaling"] = json!({"mode": "Off", "replicas": 3});
    world.apply(&wrong);
    world
        .until("refused", |world| {
            world.condition("music", "Ready") == "False InvalidManifest"
        })
        .await;
    world.settle().await;
    assert!(
        world
            .message("music", "Ready")
            .starts_with("spec.tables[0].sql: "),
        "{}",
        world.message("music", "Ready")
    );
    assert_eq!(world.get("deployments", "music-worker"), before);
    assert_eq!(world.status("music")["observedGeneration"], 2);
    world.apply(&pipeline("music"));
    world.ready("music").await;
}

/// A pipeline that is paused, resumed, or deleted while it is paused.
#[tokio::test(start_paused = true)]
async fn pausing_and_resuming_changes_nothing_but_replicas() {
    let mut world = World::new();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    world.settle().await;
    let before = world.objects();
    let replicas =
        |world: &World, name: &str| world.get("deployments", name).unwrap()["spec"]["replicas"].clone();

    let mut paused = pipeline("music");
    paused["spec"]["paused"] = json!({"generator": true});
    world.apply(&paused);
    world
        .until("no generator", |world| replicas(world, "music-generator") == 0)
        .await;
    world.settle().await;
    assert_eq!(world.condition("music", "Generating"), "False Paused");
    assert_eq!(world.condition("music", "Ready"), "True RowsFlow");
    assert_eq!(world.status("music")["phase"], "Paused");

    paused["spec"]["paused"] = json!({"generator": true, "workers": true});
    world.apply(&paused);
    world
        .until("no workers", |world| replicas(world, "music-worker") == 0)
        .await;
    world.settle().await;
    assert_eq!(world.condition("music", "Ready"), "False Paused");

    world.apply(&pipeline("music"));
    world.ready("music").await;
    world.settle().await;
    assert_same(&before, &world.objects(), "paused and resumed");

    world.apply(&paused);
    world
        .until("paused again", |world| replicas(world, "music-worker") == 0)
        .await;
    world
        .api
        .change(|store| store.delete(&key("streampipelines", "music"), None).unwrap());
    world
        .until("gone", |world| {
            world.objects().keys().all(|key| key.1 == "secrets")
        })
        .await;
}

/// Another team's object has a name that the operator needs.
#[tokio::test(start_paused = true)]
async fn another_s_object_is_never_taken_over() {
    let mut world = World::new();
    let foreign = json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"labels": {"app": "other"}}, "spec": {"replicas": 7}});
    world
        .api
        .change(|store| store.create(key("deployments", "music-worker"), foreign).unwrap());
    let before = world.get("deployments", "music-worker");
    world.start();
    world.apply(&pipeline("music"));
    world
        .until("conflict", |world| {
            world.condition("music", "Ready") == "False NameConflict"
        })
        .await;
    tokio::time::sleep(std::time::Duration::from_mins(10)).await;
    assert_eq!(
        world.get("deployments", "music-worker").unwrap()["spec"],
        before.unwrap()["spec"]
    );
    assert_eq!(
        world.message("music", "Ready"),
        "Deployment music-worker is there and belongs to somebody else; delete it, or rename the pipeline"
    );
    world
        .api
        .change(|store| store.delete(&key("deployments", "music-worker"), None).unwrap());
    world.ready("music").await;
}

/// A storm of edits.
#[tokio::test(start_paused = true)]
async fn a_storm_of_edits_ends_in_one_state() {
    let mut world = World::new();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    world.settle().await;
    let before = world.writes();
    for edit in 0..100 {
        let mut edited = pipeline("music");
        edited["spec"]["generator"]["rate"] = json!(100.5 + f64::from(edit));
        world.apply(&edited);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    world.settle().await;
    world.ready("music").await;
    let manifest = world.get("configmaps", "music-generator").unwrap()["data"]["pipeline.yaml"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(manifest.contains("199.5"), "{manifest}");
    assert!(
        world.writes() - before < 1500,
        "{} writes",
        world.writes() - before
    );
    let worker = world.get("deployments", "music-worker").unwrap();
    assert_eq!(
        worker["metadata"]["generation"], 1,
        "the workers have nothing to do with the rate"
    );
}

/// Owned objects that are changed by hand.
#[tokio::test(start_paused = true)]
async fn what_is_changed_by_hand_is_put_back() {
    let mut world = World::new();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    world.settle().await;
    let before = world.objects();
    world
        .api
        .change(|store| store.delete(&key("deployments", "music-worker"), None).unwrap());
    world
        .api
        .change(|store| store.delete(&key("configmaps", "music-worker"), None).unwrap());
    world
        .api
        .change(|store| store.delete(&key("services", "music"), None).unwrap());
    world.api.change(|store| {
        let edit =
            json!({"spec": {"replicas": 5}, "metadata": {"labels": {"app.kubernetes.io/component": "x"}}});
        store
            .merge_patch(key("deployments", "music-generator"), &edit, false)
            .unwrap();
        let edit = json!({"data": {"pipeline.yaml": "x"}});
        store
            .merge_patch(key("configmaps", "music-generator"), &edit, false)
            .unwrap();
    });
    world.settle().await;
    world.ready("music").await;
    assert_same(&before, &world.objects(), "put back");
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

#[tokio::test(start_paused = true)]
async fn without_a_generator_its_objects_go() {
    let mut world = World::new();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    let mut without = pipeline("music");
    without["spec"].as_object_mut().unwrap().remove("generator");
    world.apply(&without);
    world
        .until("gone", |world| world.names("deployments") == ["music-worker"])
        .await;
    world.ready("music").await;
    assert_eq!(world.names("poddisruptionbudgets"), ["music-worker"]);
    assert_eq!(world.condition("music", "Generating"), "False NotConfigured");
}

/// A pipeline that is deleted.
#[tokio::test(start_paused = true)]
async fn a_deleted_pipeline_takes_its_topics_along_if_it_was_told_to() {
    let mut world = World::new();
    world.start();
    let mut manifest = pipeline("music");
    manifest["spec"]["deletionPolicy"] = json!("Delete");
    world.apply(&manifest);
    world.apply(&pipeline("other"));
    world.ready("music").await;
    world.ready("other").await;
    for name in ["music", "other"] {
        world
            .api
            .change(|store| store.delete(&key("streampipelines", name), None).unwrap());
    }
    world
        .until("gone", |world| {
            world.objects().keys().all(|key| key.1 == "secrets")
        })
        .await;
    let state = world.kafka.0.lock().unwrap();
    assert_eq!(
        state.deleted,
        [
            "music_plays",
            "streampipeline-music",
            "streampipeline-music-generator"
        ]
    );
    assert!(state.topics.contains_key("other_plays"));
}

/// Brokers that are gone hold nobody's namespace for ever.
#[tokio::test(start_paused = true)]
async fn a_deletion_does_not_wait_for_brokers_for_ever() {
    let mut world = World::new();
    world.start();
    let mut manifest = pipeline("music");
    manifest["spec"]["deletionPolicy"] = json!("Delete");
    world.apply(&manifest);
    world.ready("music").await;
    world.kafka.0.lock().unwrap().down = true;
    world
        .api
        .change(|store| store.delete(&key("streampipelines", "music"), None).unwrap());
    world
        .until("gone", |world| world.get("streampipelines", "music").is_none())
        .await;
    let told = world
        .api
        .lock()
        .store
        .objects
        .iter()
        .any(|(key, event)| key.1 == "events" && event["reason"] == "LeftInKafka");
    assert!(told);
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

/// Kafka knows no namespaces: two pipelines of one name would share a consumer group, and so their records.
#[tokio::test(start_paused = true)]
async fn the_younger_of_two_with_one_name_at_one_kafka_waits() {
    let mut world = World::new();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    let mut other = key("streampipelines", "music");
    other.2 = "elsewhere".to_owned();
    let mut secret = key("secrets", "music-postgres");
    secret.2 = "elsewhere".to_owned();
    world.api.change(|store| {
        let content = store.objects[&key("secrets", "music-postgres")].clone();
        store.create(secret, content).unwrap();
        let mut manifest = pipeline("music");
        manifest["metadata"] = json!({});
        store.create(other.clone(), manifest).unwrap()
    });
    let ready = |world: &World| {
        let object = world.api.lock().store.get(&other).cloned().unwrap_or_default();
        let conditions = object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        conditions
            .into_iter()
            .find(|said| said["type"] == "Ready")
            .unwrap_or_default()
    };
    world
        .until("refused", |world| ready(world)["reason"] == "NameInUse")
        .await;
    assert_eq!(
        ready(&world)["message"],
        "metadata.name: the pipeline streams/music reads the same Kafka under this name; rename this one, since both \
         would share consumer groups"
    );
    assert!(world.condition("music", "Ready").starts_with("True"));
    world
        .api
        .change(|store| store.delete(&key("streampipelines", "music"), None).unwrap());
    world
        .until("its turn", |world| ready(world)["status"] == "True")
        .await;
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
