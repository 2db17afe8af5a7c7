//! The embedded broker: all shards in one process, without transactions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::sync::Arc;

use common::Scene;
use generator::clock::SystemClock;
use generator::destination::Destination;
use generator::engine::Outcome;
use generator::music::Music;
use generator::output::kafka::{KafkaTarget, Replica};
use generator::progress::Progress;
use generator::run::{CATCH_UP, Context, run};
use rdkafka::mocking::MockCluster;
use runtime::health::Health;
use runtime::secrets::Secrets;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn every_record_is_numbered() {
    let cluster = MockCluster::new(1).unwrap();
    let scene = Scene::new(
        "embedded",
        cluster.bootstrap_servers(),
        3,
        &["rate: 20000", "limit: {count: 40000}"],
    );
    cluster.create_topic(&scene.topic, 3, 1).unwrap();
    let generator = scene.generator();
    let music = Arc::new(Music::load(&generator).unwrap());
    let target = KafkaTarget::new(
        &scene.pipeline(),
        &generator,
        &music,
        &Secrets::from_environment(None),
        &Replica::Passing("embedded".to_owned()),
    )
    .unwrap();
    let progress = Arc::new(Progress::new(music.shards().count(), 2));
    let (_open, hold) = watch::channel(false);
    let context = Context {
        threads: 2,
        unlimited: false,
        catch_up: CATCH_UP,
        hold,
        clock: Arc::new(SystemClock::new()),
        progress: Arc::clone(&progress),
        health: Health::new(),
        shutdown: CancellationToken::new(),
    };
    let summary = run(&generator, music, Destination::Idempotent(target), context)
        .await
        .unwrap();
    assert_eq!((summary.outcome, summary.events), (Outcome::Complete, 40_000));
    assert_eq!(progress.events(), 40_000);
    assert_eq!(progress.positions().flatten().sum::<u64>(), 40_000);
    scene.assert_exactly(&scene.read(), 40_000, Some(3));
}
