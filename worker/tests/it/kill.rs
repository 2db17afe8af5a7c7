//! Workers that are killed, frozen and replaced at every point of a batch's life.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kafka::broker::Access;
use kafka::lag::{Isolation, LagReader, PartitionLag};
use runtime::secrets::Secrets;

use crate::support::{Bed, PATIENCE};
use testbed::{Cut, Kafka, Postgres, Proxy, eventually};

/// The plain case, which everything else is measured against.
#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_stored_once() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("plain", kafka, postgres).await;
    bed.prepare().await;
    bed.produce(20_000).await;
    let _worker = bed.worker("one");
    bed.assert_exact(20_000).await;
    // Transactions end with markers, which have offsets too: a group that has read everything has no lag for all that.
    let (kafka, group) = (bed.pipeline().kafka.clone(), bed.pipeline().worker_group());
    let access = Access::new(&kafka, &Secrets::new(None, |_| None), "kill-test").unwrap();
    let reader = LagReader::new(access, Isolation::ReadUncommitted);
    let lags = async || {
        let (_, read) = reader.read(&group, &["plain"], PATIENCE).await.unwrap().remove(0);
        let lags: Vec<_> = read.iter().map(PartitionLag::lag).collect();
        if lags.iter().all(|lag| *lag == Some(0)) {
            Ok(read)
        } else {
            Err(format!("{lags:?}"))
        }
    };
    let read = eventually(PATIENCE, lags).await.unwrap();
    let report = kafka::formats::commit_metadata::Telemetry::decode(read[0].metadata.as_deref().unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(
        (report.audit.missing, report.audit.doubled, report.dead_letters),
        (0, 0, 0)
    );
    assert!(report.records_per_busy_second.unwrap() > 0.0);
}

/// Killed before the first statement, in the middle of COPY, before COMMIT, and after COMMIT before
/// the answer (so before Kafka's commit as well). The proxy sees the moment and the test kills the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_point_of_a_transaction_loses_and_doubles_nothing() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("killed", kafka, postgres).await;
    bed.prepare().await;
    let points: [(&str, &[u8], Cut); 4] = [
        ("before the transaction", b"BEGIN", Cut::BeforeForwarding),
        ("in the middle of COPY", b"PGCOPY\n", Cut::AfterForwarding),
        ("before COMMIT", b"COMMIT", Cut::BeforeForwarding),
        ("after COMMIT", b"COMMIT", Cut::AfterForwarding),
    ];
    let mut produced = 0;
    for (round, (point, bytes, cut)) in points.into_iter().enumerate() {
        let proxy = Proxy::start(format!("{}:{}", postgres.host(), postgres.port()))
            .await
            .unwrap();
        let mut worker = bed.worker_at(&format!("round-{round}"), proxy.addr());
        // The worker is at work before the moment is waited for: connecting sends statements too.
        produced += 2_000;
        bed.produce(produced).await;
        bed.stored(produced).await;
        let seen = Arc::new(AtomicBool::new(false));
        let noticed = Arc::clone(&seen);
        proxy.cut_when(cut, move |sent| {
            let found = sent.windows(bytes.len()).any(|window| window == bytes);
            noticed.fetch_or(found, Ordering::SeqCst);
            found
        });
        produced += 2_000;
        bed.produce(produced).await;
        eventually(PATIENCE, async || seen.load(Ordering::SeqCst))
            .await
            .unwrap_or_else(|error| panic!("{point}: {error}"));
        worker.kill().unwrap();
        println!("killed {point}");
    }
    let _worker = bed.worker("last");
    bed.assert_exact(produced).await;
}

/// SIGTERM stores what was begun, and ends in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_worker_drains_and_ends() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("drained", kafka, postgres).await;
    bed.prepare().await;
    bed.produce(30_000).await;
    let mut first = bed.worker("first");
    bed.stored(1).await;
    first.terminate().unwrap();
    let status = first.wait(Duration::from_secs(30)).await.unwrap();
    assert!(status.success(), "{status}: {}", first.output().unwrap());
    let mut second = bed.worker("second");
    bed.assert_exact(30_000).await;
    second.terminate().unwrap();
    assert!(second.wait(Duration::from_secs(30)).await.unwrap().success());
}

/// A worker that is frozen in the middle of a transaction for longer than its session lasts. Its
/// successor is not blocked, and when it wakes up it is fenced.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_neither_blocks_its_successor_nor_writes_when_it_wakes() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("frozen", kafka, postgres).await;
    bed.prepare().await;
    let proxy = Proxy::start(format!("{}:{}", postgres.host(), postgres.port()))
        .await
        .unwrap();
    let mut zombie = bed.worker_at("zombie", proxy.addr());
    bed.produce(2_000).await;
    bed.stored(2_000).await;
    // From here on nothing that the zombie sends arrives: its next transactions stay open.
    proxy.block();
    bed.produce(4_000).await;
    zombie
        .wait_for_line("consumer", Duration::from_millis(1))
        .await
        .ok();
    eventually(PATIENCE, async || proxy.accepted() > 0).await.unwrap();
    zombie.freeze().unwrap();
    proxy.unblock();
    let mut successor = bed.worker("successor");
    bed.stored(4_000).await;
    bed.produce(6_000).await;
    bed.stored(6_000).await;
    zombie.thaw().unwrap();
    bed.produce(8_000).await;
    bed.assert_exact(8_000).await;
    successor.terminate().unwrap();
    assert!(successor.wait(Duration::from_secs(30)).await.unwrap().success());
    bed.produce(10_000).await;
    bed.assert_exact(10_000).await;
}

/// Two workers that both believe to own a partition: each has its own group, so Kafka gives both everything.
#[tokio::test(flavor = "multi_thread")]
async fn two_owners_of_one_partition_fence_each_other_and_double_nothing() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("two-owners", kafka, postgres).await;
    bed.prepare().await;
    let sink = bed.sink().await;
    let _worker = bed.worker("one");
    for round in 1..=5_u64 {
        bed.produce(round * 2_000).await;
        for number in 0..crate::support::PARTITIONS {
            let partition = api::Partition {
                topic: "two-owners".into(),
                number,
            };
            sink.claim(&partition, "thief").await.unwrap();
        }
    }
    bed.assert_exact(10_000).await;
}

/// Workers come and go under load.
#[tokio::test(flavor = "multi_thread")]
async fn scaling_up_and_down_under_load_is_exact() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("scaled", kafka, postgres).await;
    bed.prepare().await;
    let count = 40_000;
    let ((), ()) = tokio::join!(bed.produce_at(count, Some(4_000.0)), async {
        let mut workers = Vec::new();
        for step in 0..4 {
            workers.push(bed.worker(&format!("worker-{step}")));
            bed.stored((step + 1) * 2_000).await;
        }
        while workers.len() > 1 {
            let mut leaver = workers.remove(0);
            let before = bed.records().await;
            leaver.terminate().unwrap();
            assert!(
                leaver.wait(Duration::from_secs(40)).await.unwrap().success(),
                "{}",
                leaver.output().unwrap()
            );
            bed.stored((before + 1_000).min(count)).await;
        }
        bed.stored(count).await;
    });
    bed.assert_exact(count).await;
}
