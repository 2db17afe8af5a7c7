//! Fewer workers: those go that have the least to hand over.

use ::kafka::formats::commit_metadata::Telemetry;
use serde_json::Value;
use testbed::eventually;

use crate::scene::{MOMENT, MUSIC, Scene};

/// Names of the workers' pods that are ready, the oldest first.
async fn workers(scene: &Scene<'_>) -> Vec<String> {
    let of = "get pods --selector=app.kubernetes.io/instance=music,app.kubernetes.io/component=worker";
    let list: Value = serde_json::from_str(&scene.kubectl(&format!("{of} --output=json")).await).unwrap();
    let mut pods: Vec<(String, String)> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] == "Running")
        .map(|pod| {
            let text = |member: &str| pod["metadata"][member].as_str().unwrap_or_default().to_owned();
            (text("creationTimestamp"), text("name"))
        })
        .collect();
    pods.sort();
    pods.into_iter().map(|(_, name)| name).collect()
}

async fn until_workers(scene: &Scene<'_>, count: usize) -> Vec<String> {
    let are_there = async || {
        let workers = workers(scene).await;
        if workers.len() == count {
            Ok(workers)
        } else {
            Err(format!("{workers:?}"))
        }
    };
    eventually(MOMENT, are_there).await.unwrap()
}

/// By itself a cluster stops any of pods that are about as old.
#[tokio::test(flavor = "multi_thread")]
async fn the_worker_with_the_partitions_stays() {
    let scene = Scene::start("spare").await;
    scene.secret().await;
    scene.apply(MUSIC).await.unwrap();
    scene.until("Ready", "True RowsFlow").await;
    let first = until_workers(&scene, 1).await;
    scene.kubectl("scale streampipeline music --replicas=3").await;
    let all = until_workers(&scene, 3).await;
    assert!(all.contains(&first[0]));
    let busy = all.into_iter().rfind(|name| *name != first[0]).unwrap();

    let report = Telemetry {
        worker: busy.clone(),
        ..Telemetry::default()
    };
    let seen = {
        let mut kafka = scene.kafka.0.lock().unwrap();
        kafka.report = report.encode().unwrap();
        kafka.reads
    };
    eventually(MOMENT, async || {
        (scene.kafka.0.lock().unwrap().reads > seen + 2).then_some(())
    })
    .await
    .unwrap();
    scene.kubectl("scale streampipeline music --replicas=1").await;
    assert_eq!(until_workers(&scene, 1).await, std::slice::from_ref(&busy));
    // It could have been by chance.
    let cost = &scene.object("pod", &busy).await["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"];
    assert_eq!(cost, "12000", "twelve partitions, in which nothing waits");
}
