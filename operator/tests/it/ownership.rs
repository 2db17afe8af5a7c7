//! Whose an object, a name and a topic is, and what goes with a pipeline.

use serde_json::json;

use crate::support::{World, key, pipeline};

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
