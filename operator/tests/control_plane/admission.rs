//! What the API server refuses by the rules in the definition.

use crate::scene::{MUSIC, Scene};

/// What CEL sees is refused by the API server, in the words of the command line.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_manifests_are_refused_at_admission() {
    let scene = Scene::start("admission").await;
    for (right, wrong, message) in [
        ("rate: 1000", "rate: 0", "a rate has to be more than 0"),
        (
            "name: music-postgres",
            "name: Music_Postgres",
            "this is not the name of a secret",
        ),
        (
            "kafka-bootstrap.kafka:9092",
            "kafka-bootstrap",
            "this is not a list of brokers",
        ),
        (
            "deletionPolicy: Retain",
            "deletionPolicy: Retain\n  image: 'a b'",
            "this is not the name of an image",
        ),
        (
            "spec:\n  kafka:",
            "spec:\n  pods: {worker: {resources: {limits: {memory: '0'}}}}\n  kafka:",
            "so little memory",
        ),
        (
            "spec:\n  kafka:",
            "spec:\n  pods: {worker: {labels: {app.kubernetes.io/name: x}}}\n  kafka:",
            "belong to the operator",
        ),
        (
            "spec:\n  kafka:",
            "spec:\n  pods: {serviceAccount: {name: a, annotations: {a: b}}}\n  kafka:",
            "has its own annotations",
        ),
    ] {
        let manifest = MUSIC.replacen(right, wrong, 1);
        assert_ne!(manifest, MUSIC, "there is no {right}");
        let refused = scene.apply(&manifest).await.unwrap_err();
        assert!(refused.contains(message), "{wrong}: {refused}");
    }
    // What CEL cannot see is told by a condition.
    let manifest = MUSIC.replacen(
        "spec:\n  kafka:",
        "spec:\n  pods: {worker: {affinity: {nodeAffinty: {}}}}\n  kafka:",
        1,
    );
    scene.apply(&manifest).await.unwrap();
    scene.until("Ready", "False InvalidManifest").await;
    let explained = scene.kubectl("explain streampipeline.spec.pods.worker").await;
    assert!(explained.contains("Processor time and memory"), "{explained}");
}
