//! A number of workers that others set.

use std::time::Duration;

use serde_json::json;

use crate::support::{World, key, pipeline};

/// A Deployment's number of pods that somebody else keeps changing is put back, and the two are told apart.
#[tokio::test(start_paused = true)]
async fn another_writer_of_replicas_is_named() {
    let mut world = World::new();
    world.start();
    world.apply(&pipeline("music"));
    world.ready("music").await;
    let mut contested = false;
    for _ in 0..20 {
        world.api.change(|store| {
            let edit = json!({
                "spec": {"replicas": 5},
                "metadata": {"managedFields": [{
                    "manager": "kube-controller-manager", "operation": "Update", "subresource": "scale",
                    "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
                }]},
            });
            store.merge_patch(key("deployments", "music-worker"), &edit, false).unwrap();
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        contested |= world
            .api
            .lock()
            .store
            .objects
            .iter()
            .any(|(key, event)| key.1 == "events" && event["reason"] == "ReplicasContested");
    }
    assert!(contested);
    world.settle().await;
    assert_eq!(
        world.get("deployments", "music-worker").unwrap()["spec"]["replicas"],
        1
    );
}

/// A hand that changes the number of workers at the moment of a look at Kafka: the scaler, which may see nothing to change,
/// must not take the number over.
#[tokio::test(start_paused = true)]
async fn replicas_set_by_hand_are_not_taken_for_a_decision() {
    let mut world = World::new();
    world.start();
    let mut music = pipeline("music");
    music["spec"]["scaling"] = json!({"min": 1, "max": 8});
    world.apply(&music);
    world.ready("music").await;
    let reads = |world: &World| world.kafka.0.lock().unwrap().reads;
    let before = reads(&world);
    // Sooner than the reconcile that the look brings about.
    while reads(&world) == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.api.change(|store| {
        let edit = json!({"spec": {"replicas": 5}});
        store
            .merge_patch(key("deployments", "music-worker"), &edit, false)
            .unwrap();
    });
    tokio::time::sleep(Duration::from_secs(10)).await;
    let worker = world.get("deployments", "music-worker").unwrap();
    assert_eq!(worker["spec"]["replicas"], 1, "{:#}", world.status("music"));
}
