//! What is wrong about a pipeline that runs is refused, or told with the place and a remedy. What runs
//! is left alone, and once it is mended all is well again, without anybody starting anything anew.

use testbed::eventually;

use crate::scene::{MOMENT, MUSIC, Scene};

/// What runs: the Deployments' generations, and which pods there are.
async fn running(scene: &Scene<'_>) -> String {
    let of = "--selector=app.kubernetes.io/instance=music,app.kubernetes.io/component!=prepare";
    let columns =
        "--output=custom-columns=NAME:.metadata.name,GENERATION:.metadata.generation,UID:.metadata.uid";
    scene
        .kubectl(&format!("get deployments,pods {of} {columns} --no-headers"))
        .await
}

async fn started(namespace: &str) -> Scene<'static> {
    let scene = Scene::start(namespace).await;
    scene.secret().await;
    scene.apply(MUSIC).await.unwrap();
    scene.until("Ready", "True RowsFlow").await;
    scene
}

fn edited(right: &str, wrong: &str) -> String {
    let manifest = MUSIC.replacen(right, wrong, 1);
    assert_ne!(manifest, MUSIC, "there is no {right}");
    manifest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_edit_is_refused_or_told_and_what_runs_is_left_alone() {
    let scene = started("edits").await;
    let before = running(&scene).await;
    for (right, wrong, words) in [
        (
            "min: 1, max: 12",
            "min: 13, max: 12",
            "spec.scaling.max: Invalid value: max is less than min; raise max or lower min",
        ),
        (
            "mode: Auto}",
            "mode: Auto, replicas: 13}",
            "spec.scaling.replicas: Invalid value: replicas is outside min and max",
        ),
        ("partitions: 12", "partitions: 6", "spec.topics[0].partitions"),
        (
            "spec:\n  kafka:",
            "spec:\n  pods: {worker: {resources: {limits: {memory: '0'}}}}\n  kafka:",
            "so little memory",
        ),
        (
            "generator:\n    music:",
            "generator:\n    topic: absent\n    music:",
            "spec.generator.topic",
        ),
        ("deletionPolicy:", "deletionPolizy:", "deletionPolizy"),
    ] {
        let refused = scene.apply(&edited(right, wrong)).await.unwrap_err();
        assert!(refused.contains(words), "{wrong}: {refused}");
    }

    let secret = "secretRef: {name: music-postgres}";
    let sasl =
        "\n    security: {protocol: SaslPlaintext, sasl: {mechanism: Plain, secretRef: {name: absent}}}";
    let bootstrap = "bootstrapServers: kafka-bootstrap.kafka:9092";
    for (right, wrong, reason, message) in [
        (
            secret,
            "secretRef: {name: absent}",
            "SecretMissing",
            "spec.sink.postgres.secretRef: there is no secret absent; create it in this namespace with the keys username and password",
        ),
        (
            bootstrap,
            &format!("{bootstrap}{sasl}"),
            "SecretMissing",
            "spec.kafka.security.sasl.secretRef: there is no secret absent; create it in this namespace with the keys username and password",
        ),
        (
            "spec:\n  kafka:",
            "spec:\n  pods: {worker: {affinity: {nodeAffinty: {}}}}\n  kafka:",
            "InvalidManifest",
            "spec.pods.worker.affinity",
        ),
    ] {
        scene.apply(&edited(right, wrong)).await.unwrap();
        scene.until("Ready", &format!("False {reason}")).await;
        let told = scene.message("music", "Ready").await;
        assert!(told.starts_with(message), "{wrong}: {told}");
        assert_eq!(running(&scene).await, before, "{wrong}");
        scene.apply(MUSIC).await.unwrap();
        scene.until("Ready", "True RowsFlow").await;
    }
    assert_eq!(running(&scene).await, before);

    // More workers than partitions are what was asked for, and do no harm.
    let many = edited("min: 1, max: 12,", "min: 1, replicas: 14,");
    scene.apply(&many).await.unwrap();
    let told = "everything is stored; 14 of 14 worker(s) ready, 2 more than the 12 partition(s) keep busy; lower \
                spec.scaling.replicas, or raise the partitions of a topic";
    eventually(MOMENT, async || {
        let message = scene.message("music", "Ready").await;
        if message == told { Ok(()) } else { Err(message) }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_under_a_running_pipeline_is_told_and_what_runs_is_left_alone() {
    let scene = started("breaks").await;
    let before = running(&scene).await;

    scene.kubectl("delete secret music-postgres").await;
    scene.until("Ready", "False SecretMissing").await;
    assert_eq!(running(&scene).await, before);
    scene
        .kubectl("create secret generic music-postgres --from-literal=username=music")
        .await;
    scene.until("Ready", "False SecretKeyMissing").await;
    assert_eq!(
        scene.message("music", "Ready").await,
        "spec.sink.postgres.secretRef: the secret music-postgres has no key password; add it"
    );
    assert_eq!(running(&scene).await, before);
    scene
        .kubectl(r#"patch secret music-postgres --patch={"stringData":{"password":"music"}}"#)
        .await;
    scene.until("Ready", "True RowsFlow").await;
    assert_eq!(running(&scene).await, before, "the secret says what it said");

    // An edit that wants what Kafka does not allow.
    let refusal = "the user music may not alter the topic music_streaming_data; let the user, or have somebody else do it";
    scene.kafka.0.lock().unwrap().refuses = Some(refusal.to_owned());
    scene
        .apply(&edited("partitions: 12", "partitions: 24"))
        .await
        .unwrap();
    scene.until("TopicsReady", "False KafkaRefused").await;
    scene.until("Ready", "False KafkaRefused").await;
    assert_eq!(scene.message("music", "Ready").await, refusal);
    assert_eq!(running(&scene).await, before);
    scene.kafka.0.lock().unwrap().refuses = None;
    scene.until("Ready", "True RowsFlow").await;
    assert_eq!(
        scene.message("music", "TopicsReady").await,
        "music_streaming_data has 24 partition(s)"
    );
}
