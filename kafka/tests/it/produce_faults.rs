//! What is written arrives exactly once through what happens to brokers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kafka::health::ErrorReporter;
use testbed::{Cut, Direction, Kafka, eventually};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use crate::produce_support::{Writer, assert_holds, committed, topic};
use crate::{TIMEOUT, config};

/// Somebody who writes while the test does other things, up to 10,000 records a second.
struct Writing {
    topic: &'static str,
    direct: String,
    reporter: ErrorReporter,
    stop: Arc<AtomicBool>,
    task: JoinHandle<u64>,
}

impl Writing {
    fn start(kafka: &Kafka, topic: &'static str) -> Self {
        let mut writer = Writer::plain(&kafka.bootstrap(), topic, Some(topic));
        let reporter = writer.reporter.clone();
        let (direct, stop) = (kafka.direct_bootstrap(), Arc::new(AtomicBool::new(false)));
        let (bootstrap, stopped) = (direct.clone(), Arc::clone(&stop));
        let task = spawn_blocking(move || writer.write_on(&bootstrap, 0, &stopped));
        Self {
            topic,
            direct,
            reporter,
            stop,
            task,
        }
    }

    /// Waits until so many more records are committed.
    async fn progress(&self, more: u64) {
        let next = committed(&self.direct, self.topic).unwrap_or(0) + more;
        eventually(TIMEOUT, async || {
            committed(&self.direct, self.topic) >= Some(next)
        })
        .await
        .unwrap();
    }

    /// Lets it end; what is there is what was written.
    async fn end(self, partitions: u64) {
        self.stop.store(true, Ordering::Relaxed);
        let count = self.task.await.unwrap();
        assert_holds(&self.direct, self.topic, 0..count, partitions);
    }
}

/// Each of three brokers in turn, among them leaders and the coordinators of transactions and of the group.
#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_die_or_step_down_are_survived() {
    let mut kafka = Kafka::builder().brokers(3).start().await.unwrap();
    topic(&config(kafka.bootstrap()), "produce.leaders", 4, 3).await;
    let writing = Writing::start(&kafka, "produce.leaders");
    for id in 1..=3 {
        writing.progress(2_000).await;
        if id == 2 {
            kafka.stop_broker(id).await.unwrap();
        } else {
            kafka.kill_broker(id).unwrap();
        }
        writing.progress(4_000).await;
        kafka.start_broker(id).await.unwrap();
    }
    writing.progress(2_000).await;
    writing.end(4).await;
}

/// The only broker is away for a moment, and for longer than transactions may be open.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_survived() {
    let mut kafka = Kafka::start().await.unwrap();
    topic(&config(kafka.bootstrap()), "produce.restart", 2, 1).await;
    let writing = Writing::start(&kafka, "produce.restart");
    for seconds in [0, 12] {
        writing.progress(4_000).await;
        kafka.kill_broker(1).unwrap();
        sleep(Duration::from_secs(seconds)).await;
        kafka.start_broker(1).await.unwrap();
    }
    writing.progress(2_000).await;
    assert!(writing.reporter.errors() > 0);
    writing.end(2).await;
}

/// Connections that are cut at any moment, and such as hear and do not speak.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_or_freeze_are_replaced() {
    let kafka = Kafka::builder().proxied().start().await.unwrap();
    topic(&config(kafka.direct_bootstrap()), "produce.cut", 3, 1).await;
    let writing = Writing::start(&kafka, "produce.cut");
    let proxy = kafka.proxy(1).unwrap();
    writing.progress(1_000).await;
    for milliseconds in [13, 29, 53, 101, 211] {
        sleep(Duration::from_millis(milliseconds)).await;
        proxy.cut();
    }
    for direction in [Direction::ToClient, Direction::ToServer] {
        writing.progress(2_000).await;
        let accepted = proxy.accepted();
        proxy.block_only(direction);
        eventually(TIMEOUT, async || proxy.accepted() > accepted)
            .await
            .unwrap();
        proxy.unblock();
    }
    writing.progress(2_000).await;
    writing.end(3).await;
}

/// At each kind of request the connection is lost once before the broker hears it, and once before it answers.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_leave_nothing_in_doubt() {
    let kafka = Kafka::builder().proxied().start().await.unwrap();
    topic(&config(kafka.direct_bootstrap()), "produce.lost", 2, 1).await;
    let writing = Writing::start(&kafka, "produce.lost");
    let proxy = kafka.proxy(1).unwrap();
    writing.progress(1_000).await;
    // Produce, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit; InitProducerId comes after each.
    for key in [0, 24, 25, 26, 28, 22] {
        for cut in [Cut::BeforeForwarding, Cut::AfterForwarding] {
            let cuts = proxy.rule_cuts();
            // Behind the length of the request.
            proxy.cut_when(cut, move |bytes| bytes.get(4..6) == Some(&[0, key]));
            if key == 22 {
                // It is sent at a new beginning only.
                proxy.cut();
            }
            eventually(TIMEOUT, async || proxy.rule_cuts() > cuts)
                .await
                .unwrap();
            writing.progress(1_000).await;
        }
    }
    writing.end(2).await;
}
