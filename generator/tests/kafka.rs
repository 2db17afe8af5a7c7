//! Exactly once against a real Kafka, whatever happens to the program meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::time::Duration;

use common::{PATIENCE, Scene, Seed, assert_numbered};
use kafka::admin::{TopicPlan, ensure_topics};
use testbed::{KAFKA_PASSWORD, KAFKA_USER, Kafka};
use tokio::time::sleep;

async fn bootstrap() -> String {
    Kafka::shared().await.unwrap().bootstrap()
}

#[tokio::test]
async fn a_bounded_run_completes_and_is_not_repeated() {
    let scene = Scene::new("bounded", bootstrap().await, 4, &["rate: 20000"]);
    let errors = scene.run(&["--count", "30000"]).await;
    assert!(errors.contains("complete: 30000 events in "), "{errors}");
    scene.assert_exactly(&scene.read(), 30_000, Some(4));
    // Started again, it finds everything done.
    let errors = scene.run(&["--count", "30000"]).await;
    assert!(errors.contains("complete: 0 events"), "{errors}");
    scene.assert_exactly(&scene.read(), 30_000, Some(4));
    // A larger count goes on where it stood.
    scene.run(&["--count", "40000"]).await;
    scene.assert_exactly(&scene.read(), 40_000, Some(4));
}

/// Killed at any instant and started again, under the same name: nothing is missing and nothing is there twice.
#[tokio::test]
async fn kills_neither_lose_nor_double() {
    let mut seed = Seed::print();
    let scene = Scene::new("killed", bootstrap().await, 3, &["rate: 10000"]);
    let arguments = ["--count", "60000", "--replica-id", "a"];
    for _ in 0..5 {
        let mut process = scene.spawn(&arguments);
        process.wait_for_line("took over shards", PATIENCE).await.unwrap();
        sleep(Duration::from_millis(seed.between(0, 1_200))).await;
        process.kill().unwrap();
    }
    scene.run(&arguments).await;
    scene.assert_exactly(&scene.read(), 60_000, Some(3));
}

/// Stopped in order and started again under another name, as a rollout does.
#[tokio::test]
async fn stops_neither_lose_nor_double() {
    let mut seed = Seed::print();
    let mut scene = Scene::new("stopped", bootstrap().await, 3, &["rate: 10000"]);
    let arguments = ["--count", "40000"];
    for _ in 0..3 {
        let mut process = scene.spawn(&arguments);
        process.wait_for_line("took over shards", PATIENCE).await.unwrap();
        sleep(Duration::from_millis(seed.between(0, 1_000))).await;
        process.terminate().unwrap();
        assert!(process.wait(PATIENCE).await.unwrap().success());
        assert!(process.stderr().unwrap().contains("stopped: "));
    }
    // Paused, it holds its shards and produces nothing.
    let before = scene.read().len();
    scene = scene.replace("rate: 10000", "rate: 10000\n    paused: true");
    let mut paused = scene.spawn(&arguments);
    paused.wait_for_line("took over shards", PATIENCE).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    paused.terminate().unwrap();
    assert!(paused.wait(PATIENCE).await.unwrap().success());
    assert_eq!(scene.read().len(), before);
    // Another rate is no other run.
    scene = scene.replace("rate: 10000\n    paused: true", "rate: 30000");
    scene.run(&arguments).await;
    scene.assert_exactly(&scene.read(), 40_000, Some(3));
}

/// Two replicas share the work; when one is killed for good, the other one takes over what it had.
#[tokio::test]
async fn a_replica_takes_over_from_a_dead_one() {
    let scene = Scene::new("shared", bootstrap().await, 4, &["rate: 4000"]);
    let arguments = ["--count", "80000"];
    let mut first = scene.spawn(&arguments);
    first.wait_for_line("took over shards", PATIENCE).await.unwrap();
    let mut second = scene.spawn(&arguments);
    second
        .wait_for_line("took over shards continued=32", PATIENCE)
        .await
        .unwrap();
    sleep(Duration::from_secs(1)).await;
    first.kill().unwrap();
    assert!(second.wait(PATIENCE).await.unwrap().success());
    scene.assert_exactly(&scene.read(), 80_000, Some(4));
}

/// A replica that is frozen until the others have given its shards away comes back as a zombie: Kafka refuses
/// what it had under way, and it goes on with what it is given.
#[tokio::test]
async fn a_zombie_is_fenced() {
    let scene = Scene::new("zombie", bootstrap().await, 4, &["rate: 3000"]);
    let arguments = ["--count", "60000"];
    let mut first = scene.spawn(&arguments);
    first.wait_for_line("took over shards", PATIENCE).await.unwrap();
    let mut second = scene.spawn(&arguments);
    second
        .wait_for_line("took over shards continued=32", PATIENCE)
        .await
        .unwrap();
    sleep(Duration::from_millis(700)).await;
    first.freeze().unwrap();
    // The other half comes when the group has given the frozen replica up.
    second.wait_for_line("held=64", PATIENCE).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    first.thaw().unwrap();
    for process in [&mut first, &mut second] {
        let status = process.wait(PATIENCE).await.unwrap();
        assert!(status.success(), "{}", process.stderr().unwrap());
    }
    scene.assert_exactly(&scene.read(), 60_000, Some(4));
}

/// Partitions that are added while it runs are used, and their numbers begin with 0 like any others.
#[tokio::test]
async fn added_partitions_are_used() {
    let scene = Scene::new("raised", bootstrap().await, 2, &["rate: 3000"]);
    let mut process = scene.spawn(&["--count", "36000"]);
    process.wait_for_line("took over shards", PATIENCE).await.unwrap();
    let plan = TopicPlan {
        partitions: 5,
        ..TopicPlan::from(scene.pipeline().topic(&scene.topic).unwrap())
    };
    ensure_topics(&scene.client(), &[plan], PATIENCE).await.unwrap();
    assert!(process.wait(PATIENCE).await.unwrap().success());
    let records = scene.read();
    for partition in 0..5 {
        assert!(
            records.iter().any(|record| record.partition == partition),
            "partition {partition} is empty"
        );
    }
    scene.assert_exactly(&records, 36_000, None);
}

/// Encrypted, and by a password: the group, the transactions and the topics all get in.
#[tokio::test]
async fn every_connection_is_secured() {
    let kafka = Kafka::shared().await.unwrap();
    let secrets = tempfile::tempdir().unwrap();
    let ca = std::fs::read_to_string(kafka.certificates().ca()).unwrap();
    for (path, text) in [
        ("user/username", KAFKA_USER),
        ("user/password", KAFKA_PASSWORD),
        ("ca/ca.crt", &ca),
    ] {
        let path = secrets.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let plain = format!("bootstrapServers: \"{}\"", kafka.bootstrap());
    let secured = format!(
        "bootstrapServers: \"{}\", security: {{protocol: SaslSsl, \
         sasl: {{mechanism: ScramSha512, secretRef: {{name: user}}}}, tls: {{caSecretRef: {{name: ca}}}}}}",
        kafka.sasl_tls_bootstrap()
    );
    let scene = Scene::new("secured", kafka.bootstrap(), 2, &["rate: 20000"]).replace(&plain, &secured);
    let folder = secrets.path().to_str().unwrap();
    scene.run(&["--count", "10000", "--secrets", folder]).await;
    scene.assert_exactly(&scene.read(), 10_000, Some(2));
}

/// Other events are another run: its numbers begin anew.
#[tokio::test]
async fn another_seed_is_another_run() {
    let mut scene = Scene::new("reseeded", bootstrap().await, 2, &["rate: 20000", "seed: 1"]);
    scene.run(&["--count", "5000", "--replica-id", "a"]).await;
    scene = scene.replace("seed: 1", "seed: 2");
    scene.run(&["--count", "6000", "--replica-id", "a"]).await;
    let records = scene.read();
    assert_numbered(&records);
    assert_eq!(records.len(), 11_000);
    let first = records.iter().map(|record| record.sequence.run).min();
    let (_, second): (Vec<_>, Vec<_>) = records
        .into_iter()
        .partition(|record| Some(record.sequence.run) == first);
    scene.assert_exactly(&second, 6_000, Some(2));
}

/// Several threads are to Kafka what several replicas are.
#[tokio::test]
async fn threads_share_the_work() {
    let scene = Scene::new("threads", bootstrap().await, 4, &[]);
    scene
        .run(&["--count", "100000", "--threads", "3", "--unlimited"])
        .await;
    scene.assert_exactly(&scene.read(), 100_000, Some(4));
}

/// The brokers go away for some seconds while it produces.
#[tokio::test]
async fn a_broker_restart_is_survived() {
    let mut kafka = Kafka::start().await.unwrap();
    let scene = Scene::new("restarted", kafka.bootstrap(), 3, &["rate: 3000"]);
    let mut process = scene.spawn(&["--count", "30000"]);
    process.wait_for_line("took over shards", PATIENCE).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    kafka.kill_broker(1).unwrap();
    sleep(Duration::from_secs(2)).await;
    kafka.start_broker(1).await.unwrap();
    let status = process.wait(PATIENCE).await.unwrap();
    assert!(status.success(), "{}", process.stderr().unwrap());
    scene.assert_exactly(&scene.read(), 30_000, Some(3));
}

/// Two processes under one name are a mistake: the first one gives way, and says why.
#[tokio::test]
async fn a_name_that_is_taken_is_explained() {
    let scene = Scene::new("namesakes", bootstrap().await, 2, &["rate: 1000"]);
    let arguments = ["--replica-id", "a"];
    let mut first = scene.spawn(&arguments);
    first.wait_for_line("took over shards", PATIENCE).await.unwrap();
    let mut second = scene.spawn(&arguments);
    let status = first.wait(PATIENCE).await.unwrap();
    let errors = first.stderr().unwrap();
    assert_eq!(status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("another process runs under the same replica id"),
        "{errors}"
    );
    second.wait_for_line("took over shards", PATIENCE).await.unwrap();
    second.terminate().unwrap();
    assert!(second.wait(PATIENCE).await.unwrap().success());
    // Neither of the two has done what the other did.
    let count = scene.read().len() as u64 + 1_000;
    scene
        .run(&["--replica-id", "a", "--unlimited", "--count", &count.to_string()])
        .await;
    scene.assert_exactly(&scene.read(), count, Some(2));
}
