//! What a user changes, in the manifest or by hand, and what the cluster then has.

use std::time::Duration;

use memory_apiserver::merge;
use serde_json::{Value, json};

use crate::support::{World, assert_same, key, pipeline, undisturbed};

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
        tokio::time::sleep(Duration::from_millis(100)).await;
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

/// What a field may be changed to, and what the operator then has to do is of no interest here: only that it leaves no
/// trace once the change is taken back, and that the way to a manifest does not matter.
const EDITS: [(&str, &str); 14] = [
    ("replicas", r#"{"scaling": {"mode": "Off", "replicas": 3}}"#),
    ("bounds", r#"{"scaling": {"mode": "Off", "min": 2, "max": 4}}"#),
    ("rate", r#"{"generator": {"rate": 5.5}}"#),
    ("no generator", r#"{"generator": null}"#),
    ("seed", r#"{"generator": {"seed": 7}}"#),
    (
        "table",
        r#"{"tables": [{"name": "other", "sql": "SELECT track_id FROM music_plays"}]}"#,
    ),
    ("batch", r#"{"batch": {"maxWait": "2s"}}"#),
    ("image", r#"{"image": "other:2", "imagePullPolicy": "Always"}"#),
    (
        "pods",
        r#"{"pods": {"worker": {"labels": {"a": "b"}, "nodeSelector": {"c": "d"}}}}"#,
    ),
    ("account", r#"{"pods": {"serviceAccount": {"name": "own"}}}"#),
    (
        "annotations",
        r#"{"pods": {"serviceAccount": {"annotations": {"a": "b"}}}}"#,
    ),
    ("paused", r#"{"paused": {"workers": true}}"#),
    ("brokers", r#"{"kafka": {"bootstrapServers": "other:9093"}}"#),
    ("policy", r#"{"deletionPolicy": "Delete"}"#),
];

fn edited(edit: &str) -> Value {
    let mut manifest = pipeline("music");
    merge(&mut manifest["spec"], &serde_json::from_str(edit).unwrap());
    manifest
}

/// A, then B, then A is A; and A, then B is B from the beginning.
#[tokio::test(start_paused = true)]
async fn the_way_to_a_manifest_leaves_no_trace() {
    let reference = undisturbed().await.objects();
    for (name, edit) in EDITS {
        let mut fresh = World::new();
        fresh.start();
        fresh.apply(&edited(edit));
        fresh.settle().await;
        fresh.stop().await;

        let mut world = World::new();
        world.start();
        world.apply(&pipeline("music"));
        world.ready("music").await;
        world.settle().await;
        world.apply(&edited(edit));
        world.settle().await;
        let (mut there, mut from_the_beginning) = (world.objects(), fresh.objects());
        if name == "paused" {
            // Paused from the beginning, the generator never waited for workers; what is told is the same in the end.
            there.retain(|key, _| key.1 != "streampipelines");
            from_the_beginning.retain(|key, _| key.1 != "streampipelines");
        }
        assert_same(
            &from_the_beginning,
            &there,
            &format!("{name}, from nothing and from another"),
        );
        world.apply(&pipeline("music"));
        world.settle().await;
        assert_same(&reference, &world.objects(), &format!("{name}, and back"));
    }
}
