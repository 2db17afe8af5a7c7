//! `PostgreSQL` away, cut off, slow, locked, full, replaced by its standby, or not what it was.

use std::time::Duration;

use crate::support::{Bed, PATIENCE};
use testbed::{Cut, Kafka, Postgres, Proxy, eventually};

/// The server is killed and comes back; the connection is cut during COMMIT, its outcome unknown.
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

/// The primary dies and its standby, which lacks the last transactions, takes its place. The lost rows and
/// their offsets went together, so they are read and stored again.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_a_standby_that_lags_loses_and_doubles_nothing() {
    let kafka = Kafka::shared().await.unwrap();
    let mut primary = Postgres::start().await.unwrap();
    let mut standby = primary.standby().await.unwrap();
    let bed = Bed::new("failover", kafka, &primary).await;
    bed.prepare().await;
    let proxy = Proxy::start(format!("{}:{}", primary.host(), primary.port()))
        .await
        .unwrap();
    let _worker = bed.worker_at("one", proxy.addr());
    bed.produce(4_000).await;
    bed.stored(4_000).await;
    // From here on nothing is replicated.
    standby.kill().await.unwrap();
    bed.produce(8_000).await;
    bed.stored(8_000).await;
    primary.kill().await.unwrap();
    standby.start_again().await.unwrap();
    standby.promote().await.unwrap();
    let bed = bed.moved(&standby);
    let before = bed.records().await;
    assert!(
        (4_000..8_000).contains(&before),
        "{before} records were replicated"
    );
    proxy.retarget(format!("{}:{}", standby.host(), standby.port()));
    bed.produce(10_000).await;
    bed.assert_exact(10_000).await;
}

/// A deadlock, which PostgreSQL ends at the worker's expense.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_costs_a_retry() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("deadlock", kafka, postgres).await;
    bed.prepare().await;
    let mut other = bed.connect().await;
    // Whoever waits looks for a deadlock after this time: the worker does, the other never.
    sqlx::raw_sql("ALTER DATABASE deadlock SET deadlock_timeout = '3s'; SET deadlock_timeout = '10min'")
        .execute(&mut other)
        .await
        .unwrap();
    let mut worker = bed.worker("one");
    bed.produce(2_000).await;
    bed.stored(2_000).await;
    sqlx::raw_sql("BEGIN; LOCK TABLE track_like_event_log IN ACCESS EXCLUSIVE MODE")
        .execute(&mut other)
        .await
        .unwrap();
    bed.produce(4_000).await;
    bed.someone_waits().await;
    // Granted when the worker, which has written to it, is told to give up.
    sqlx::raw_sql("LOCK TABLE track_stream_event_log IN ACCESS EXCLUSIVE MODE")
        .execute(&mut other)
        .await
        .unwrap();
    let line = worker.wait_for_line("deadlock detected", PATIENCE).await.unwrap();
    assert!(line.contains("retrying"), "{line}");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    bed.assert_exact(4_000).await;
}

/// Half a second a statement, and a lock that somebody else holds for a minute.
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
    bed.someone_waits().await;
    // The length of the wait is what is tested.
    tokio::time::sleep(Duration::from_mins(1)).await;
    sqlx::raw_sql("COMMIT").execute(&mut locker).await.unwrap();
    bed.assert_exact(8_000).await;
}

/// A full disk is one clear line and a retry; nothing is lost when there is room again.
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

/// A column is dropped and put back while the worker runs.
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
