//! Kafka or PostgreSQL away, cut off, slow, full, or not what they were.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::time::Duration;

use api::Partition;
use support::{Bed, PATIENCE, send};
use testbed::{Cut, Kafka, Postgres, Proxy, eventually};
use worker::state::GapReason;

/// FAULTS 34: the server is killed and comes back; the connection is cut during COMMIT, its outcome unknown.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_dies_and_commits_with_unknown_outcome_are_survived() {
    let kafka = Kafka::shared().await.unwrap();
    let mut postgres = Postgres::start().await.unwrap();
    let bed = Bed::new("database-dies", kafka, &postgres).await;
    bed.prepare().await;
    let proxy = Proxy::start(format!("{}:{}", postgres.host(), postgres.port()))
        .await
        .unwrap();
    let _worker = bed.worker_at("one", proxy.addr());
    bed.produce(2_000).await;
    bed.stored(2_000).await;
    let mut produced = 2_000;
    for cut in [Cut::AfterForwarding, Cut::BeforeForwarding, Cut::AfterForwarding] {
        let before = proxy.rule_cuts();
        proxy.cut_when(cut, |bytes| bytes.windows(6).any(|window| window == b"COMMIT"));
        produced += 2_000;
        bed.produce(produced).await;
        eventually(PATIENCE, async || proxy.rule_cuts() > before)
            .await
            .unwrap();
        bed.stored(produced).await;
    }
    postgres.kill().await.unwrap();
    produced += 2_000;
    bed.produce(produced).await;
    postgres.start_again().await.unwrap();
    bed.stored(produced).await;
    postgres.restart().await.unwrap();
    produced += 2_000;
    bed.produce(produced).await;
    bed.assert_exact(produced).await;
}

/// FAULTS 35: half a second a statement, and a lock that somebody else holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_and_a_locked_database_only_cost_time() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("slow", kafka, postgres).await;
    bed.prepare().await;
    let proxy = Proxy::start(format!("{}:{}", postgres.host(), postgres.port()))
        .await
        .unwrap();
    proxy.delay(Duration::from_millis(500));
    let _worker = bed.worker_at("one", proxy.addr());
    bed.produce(4_000).await;
    bed.stored(4_000).await;
    proxy.delay(Duration::ZERO);
    let mut locker = bed.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE track_stream_event_log IN ACCESS EXCLUSIVE MODE")
        .execute(&mut locker)
        .await
        .unwrap();
    bed.produce(8_000).await;
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    eventually(PATIENCE, async || {
        sqlx::query_scalar::<_, i64>(waiting)
            .fetch_one(&mut bed.connect().await)
            .await
            .unwrap()
            > 0
    })
    .await
    .unwrap();
    sqlx::raw_sql("COMMIT").execute(&mut locker).await.unwrap();
    bed.assert_exact(8_000).await;
}

/// FAULTS 36: a full disk is one clear line and a retry; nothing is lost when there is room again.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_waited_for() {
    let kafka = Kafka::shared().await.unwrap();
    let mut postgres = Postgres::builder().fillable_disk().start().await.unwrap();
    let bed = Bed::new("full", kafka, &postgres).await;
    bed.prepare().await;
    let mut worker = bed.worker("one");
    bed.produce(2_000).await;
    bed.stored(2_000).await;
    postgres.fill_disk().unwrap();
    bed.produce(60_000).await;
    let line = worker.wait_for_line("retrying", PATIENCE).await.unwrap();
    assert!(line.contains("No space left") || line.contains("53100"), "{line}");
    postgres.free_disk().unwrap();
    bed.assert_exact(60_000).await;
    assert!(worker.is_running().unwrap());
}

/// FAULTS 40: a column is dropped and put back while the worker runs.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_lost_a_column_is_named_and_waited_for() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("column", kafka, postgres).await;
    bed.prepare().await;
    let mut worker = bed.worker("one");
    bed.produce(2_000).await;
    bed.stored(2_000).await;
    let mut connection = bed.connect().await;
    sqlx::raw_sql("ALTER TABLE track_stream_event_log RENAME COLUMN track_id TO gone")
        .execute(&mut connection)
        .await
        .unwrap();
    bed.produce(4_000).await;
    let line = worker.wait_for_line("track_id", PATIENCE).await.unwrap();
    assert!(line.contains("refused"), "{line}");
    sqlx::raw_sql("ALTER TABLE track_stream_event_log RENAME COLUMN gone TO track_id")
        .execute(&mut connection)
        .await
        .unwrap();
    bed.assert_exact(4_000).await;
}

/// FAULTS 27: the broker is restarted, killed and cut off while records flow.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_away_and_comes_back_is_survived() {
    let mut kafka = Kafka::start().await.unwrap();
    let postgres = Postgres::shared().await.unwrap();
    let bed = Bed::new("broker-away", &kafka, postgres).await;
    bed.prepare().await;
    let mut worker = bed.worker("one");
    bed.produce(2_000).await;
    bed.stored(2_000).await;
    kafka.restart().await.unwrap();
    bed.produce(4_000).await;
    bed.stored(4_000).await;
    kafka.kill_broker(1).unwrap();
    worker.wait_for_line("WARN", PATIENCE).await.unwrap();
    kafka.start_broker(1).await.unwrap();
    bed.produce(6_000).await;
    bed.assert_exact(6_000).await;
    assert!(worker.is_running().unwrap());
}

/// FAULTS 28: retention deletes records before they are read. The gap is kept by its offsets, and the audit
/// names what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_retention_took_are_a_gap_by_their_offsets() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("retention", kafka, postgres).await;
    bed.prepare().await;
    bed.produce(4_000).await;
    let mut worker = bed.worker("one");
    bed.stored(4_000).await;
    worker.terminate().unwrap();
    worker.wait(PATIENCE).await.unwrap();
    bed.produce(8_000).await;
    let states = bed.states().await;
    let partition = Partition {
        topic: "retention".into(),
        number: 2,
    };
    let next = states[&partition].0.unwrap();
    delete_records(&bed, &partition, next + 100).await;
    let _worker = bed.worker("two");
    let gap = async || bed.states().await[&partition].1.gaps.first().cloned();
    let gap = eventually(PATIENCE, gap).await.unwrap();
    assert_eq!(
        (gap.from, gap.to, gap.reason),
        (next, Some(next + 100), GapReason::Retention)
    );
    let totals = eventually(PATIENCE, async || {
        let totals = bed.totals().await;
        if totals.seen + totals.missing == 8_000 {
            Ok(totals)
        } else {
            Err(format!("{totals:?}"))
        }
    });
    let totals = totals.await.unwrap();
    assert_eq!(totals.doubled, 0);
    assert!(
        (90..=100).contains(&totals.missing),
        "a transaction's markers have offsets too: {totals:?}"
    );
}

/// FAULTS 29: the topic is deleted and made again, with fewer records than were read.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_again_is_read_from_its_beginning() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("again", kafka, postgres).await;
    bed.prepare().await;
    let play =
        br#"{"user_id":1,"track_id":2,"event_timestamp":"2026-01-01T00:00:00Z","event_type":"streaming"}"#;
    send(&bed.bootstrap, "again", 0, &[Some(play.as_slice()); 50]);
    let mut worker = bed.worker("one");
    bed.stored(50).await;
    worker.terminate().unwrap();
    worker.wait(PATIENCE).await.unwrap();
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", &bed.bootstrap);
    for records in [20, 60] {
        let before = bed.records().await;
        kafka::admin::delete_topics(&config, &["again"], PATIENCE)
            .await
            .unwrap();
        bed.prepare().await;
        let other = br#"{"user_id":3,"track_id":4,"event_timestamp":"2026-01-01T00:00:00Z","event_type":"streaming"}"#;
        send(&bed.bootstrap, "again", 0, &vec![Some(other.as_slice()); records]);
        let mut worker = bed.worker("next");
        bed.stored(before + records as u64).await;
        worker.terminate().unwrap();
        worker.wait(PATIENCE).await.unwrap();
    }
    let states = bed.states().await;
    let state = &states[&Partition {
        topic: "again".into(),
        number: 0,
    }]
        .1;
    assert_eq!((state.records, state.incarnation), (130, 2));
    assert!(
        state
            .gaps
            .iter()
            .all(|gap| gap.reason == GapReason::TopicRecreated && gap.to.is_none())
    );
}

/// FAULTS 30: partitions are added while the pipeline runs.
#[tokio::test(flavor = "multi_thread")]
async fn added_partitions_are_read() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("added", kafka, postgres).await;
    bed.prepare().await;
    let _worker = bed.worker("one");
    bed.produce(2_000).await;
    bed.stored(2_000).await;
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", &bed.bootstrap);
    let mut plan = kafka::admin::TopicPlan::from(bed.pipeline().topic("added").unwrap());
    plan.partitions = 7;
    kafka::admin::ensure_topics(&config, &[plan], PATIENCE)
        .await
        .unwrap();
    bed.produce(6_000).await;
    bed.assert_exact(6_000).await;
    assert_eq!(bed.states().await.len(), 7);
}

async fn delete_records(bed: &Bed, partition: &Partition, before: i64) {
    use rdkafka::admin::{AdminClient, AdminOptions};
    let admin: AdminClient<_> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &bed.bootstrap)
        .create()
        .unwrap();
    let mut offsets = rdkafka::TopicPartitionList::new();
    offsets
        .add_partition_offset(
            &partition.topic,
            partition.number,
            rdkafka::Offset::Offset(before),
        )
        .unwrap();
    admin
        .delete_records(&offsets, &AdminOptions::new())
        .await
        .unwrap();
}
