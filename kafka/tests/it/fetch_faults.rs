//! Reading goes on through what happens to brokers: nothing is lost, nothing comes twice.

use std::ops::Range;
use std::time::Duration;

use api::Partition;
use kafka::admin::{TopicPlan, ensure_topics};
use kafka::issue::IssueKind;
use rdkafka::ClientConfig;
use testbed::{Direction, Kafka, eventually};
use tokio::task::spawn_blocking;

use crate::fetch_support::{Reader, expected, partition, produce, topic};
use crate::{TIMEOUT, config, plan};

/// Writes while the test does other things. The producer waits for brokers as long as it takes.
async fn write(config: &ClientConfig, partition: &Partition, numbers: Range<u64>) {
    let (config, partition) = (config.clone(), partition.clone());
    spawn_blocking(move || produce(&config, &partition, numbers))
        .await
        .unwrap();
}

/// The broker that leads a partition, as the cluster sees it.
pub(crate) async fn leader(kafka: &Kafka, topic: &str, number: i32) -> u32 {
    let arguments = [
        "org.apache.kafka.tools.TopicCommand",
        "--bootstrap-server",
        &kafka.direct_bootstrap(),
        "--describe",
        "--topic",
        topic,
    ];
    let text = kafka.tool(&arguments).await.unwrap();
    let line = text
        .lines()
        .find(|line| line.contains(&format!("Partition: {number}\t")))
        .unwrap();
    let (_, rest) = line.split_once("Leader: ").unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_or_steps_down_is_followed_by_the_next() {
    let mut kafka = Kafka::builder().brokers(3).start().await.unwrap();
    let config = config(kafka.bootstrap()).set("acks", "all").clone();
    let replicated = TopicPlan {
        replication_factor: 3,
        ..plan("fetch.leaders", 2)
    };
    ensure_topics(&config, &[replicated], TIMEOUT).await.unwrap();
    let partition = partition("fetch.leaders", 0);
    let mut reader = Reader::plain(&kafka.bootstrap());
    write(&config, &partition, 0..1_000).await;
    let generation = reader.fetcher.set(partition.clone(), 0);
    let got = reader.read_on(&partition, generation, 0, 1_000).await;
    assert_eq!(got, expected(0..1_000, 0));

    let first = leader(&kafka, "fetch.leaders", 0).await;
    kafka.kill_broker(first).unwrap();
    write(&config, &partition, 1_000..2_000).await;
    let got = reader.read_on(&partition, generation, 1_000, 2_000).await;
    assert_eq!(got, expected(1_000..2_000, 1_000));

    kafka.start_broker(first).await.unwrap();
    let second = leader(&kafka, "fetch.leaders", 0).await;
    assert_ne!(first, second);
    kafka.stop_broker(second).await.unwrap();
    write(&config, &partition, 2_000..3_000).await;
    let got = reader.read_on(&partition, generation, 2_000, 3_000).await;
    assert_eq!(got, expected(2_000..3_000, 2_000));
    let marks = reader.fetcher.watermarks(&partition, TIMEOUT).await.unwrap();
    assert_eq!((marks.low, marks.high), (0, 3_000));
}

/// The only broker is away: that is told, and reading goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_survived() {
    let mut kafka = Kafka::start().await.unwrap();
    let config = config(kafka.bootstrap());
    topic(&config, "fetch.restart", &[]).await;
    let partition = partition("fetch.restart", 0);
    produce(&config, &partition, 0..1_000);
    let mut reader = Reader::plain(&kafka.bootstrap());
    let generation = reader.fetcher.set(partition.clone(), 0);
    let got = reader.read_on(&partition, generation, 0, 500).await;
    let position = got.len();

    kafka.kill_broker(1).unwrap();
    let issue = reader.failure().await;
    assert_eq!(issue.kind, IssueKind::Unreachable, "{issue}");
    let away = reader
        .fetcher
        .watermarks(&partition, Duration::from_millis(500))
        .await
        .unwrap_err();
    assert!(away.to_string().contains("no connection"), "{away}");

    kafka.start_broker(1).await.unwrap();
    write(&config, &partition, 1_000..2_000).await;
    let rest = reader
        .read_on(&partition, generation, position as i64, 2_000)
        .await;
    assert_eq!([got, rest].concat(), expected(0..2_000, 0));
    reader.works().await;
}

/// Requests arrive and answers do not: the connection is given up, and once all is well nothing comes twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hears_and_does_not_speak_is_given_up() {
    let kafka = Kafka::builder().proxied().start().await.unwrap();
    let config = config(kafka.direct_bootstrap());
    topic(&config, "fetch.silence", &[]).await;
    let partition = partition("fetch.silence", 0);
    produce(&config, &partition, 0..1_000);
    let mut reader = Reader::plain(&kafka.bootstrap());
    let generation = reader.fetcher.set(partition.clone(), 0);
    let got = reader.read_on(&partition, generation, 0, 1_000).await;
    assert_eq!(got, expected(0..1_000, 0));

    let proxy = kafka.proxy(1).unwrap();
    let before = proxy.accepted();
    proxy.block_only(Direction::ToClient);
    produce(&config, &partition, 1_000..2_000);
    // An answer is on its way and held up: the connection that waits for it is replaced.
    eventually(TIMEOUT, async || proxy.accepted() > before)
        .await
        .unwrap();
    assert!(reader.reporter.errors() > 0);
    proxy.unblock();
    let got = reader.read_on(&partition, generation, 1_000, 2_000).await;
    assert_eq!(got, expected(1_000..2_000, 1_000));

    // A connection that is cut in the middle of answers is replaced as well.
    for begin in [2_000, 2_100, 2_200] {
        produce(&config, &partition, begin..begin + 100);
        proxy.cut();
    }
    let got = reader.read_on(&partition, generation, 2_000, 2_300).await;
    assert_eq!(got, expected(2_000..2_300, 2_000));
}
