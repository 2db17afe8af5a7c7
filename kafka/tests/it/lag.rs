//! The lag that the scaler acts on: right numbers, from outside the group.

use std::time::Duration;

use kafka::admin::ensure_topics;
use kafka::broker::Access;
use kafka::formats::commit_metadata::Telemetry;
use kafka::issue::IssueKind;
use kafka::lag::{Isolation, LagError, LagReader, PartitionLag, Range};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use runtime::secrets::Secrets;

use crate::fetch_support::plaintext;
use crate::{TIMEOUT, config, plan, shared};

/// Counts what a look of the operator's counts.
pub(crate) fn lag_reader(bootstrap: &str) -> LagReader {
    lag_reader_of(bootstrap, Isolation::ReadUncommitted)
}

fn lag_reader_of(bootstrap: &str, isolation: Isolation) -> LagReader {
    let access = Access::new(&plaintext(bootstrap), &Secrets::new(None, |_| None), "lag-test");
    LagReader::new(access.unwrap(), isolation)
}

/// Of one topic.
async fn read(reader: &LagReader, group: &str, topic: &str) -> Vec<PartitionLag> {
    let (name, lags) = reader.read(group, &[topic], TIMEOUT).await.unwrap().remove(0);
    assert_eq!(name, topic);
    lags
}

fn produce(bootstrap: String, topic: &str, partition: i32, count: usize) {
    let producer: BaseProducer = config(bootstrap).create().unwrap();
    for _ in 0..count {
        producer
            .send(
                BaseRecord::<str, str>::to(topic)
                    .partition(partition)
                    .payload("{}"),
            )
            .unwrap();
    }
    producer.flush(TIMEOUT).unwrap();
}

#[tokio::test]
async fn every_partition_has_its_range_position_and_report() {
    let topic = "lag.events";
    let bootstrap = shared().await.bootstrap();
    let config = config(bootstrap.clone());
    ensure_topics(&config, &[plan(topic, 3)], TIMEOUT).await.unwrap();
    produce(bootstrap.clone(), topic, 0, 100);
    produce(bootstrap.clone(), topic, 1, 50);

    let report = Telemetry {
        records_per_busy_second: Some(1000.5),
        ..Telemetry::default()
    };
    let worker: BaseConsumer = config.clone().set("group.id", "lag-workers").create().unwrap();
    let mut offsets = TopicPartitionList::new();
    let mut offset = offsets.add_partition(topic, 0);
    offset.set_offset(Offset::Offset(30)).unwrap();
    offset.set_metadata(report.encode().unwrap());
    worker.commit(&offsets, CommitMode::Sync).unwrap();

    let reader = lag_reader(&bootstrap);
    let lags = read(&reader, "lag-workers", topic).await;
    let numbers: Vec<_> = lags
        .iter()
        .map(|lag| (lag.partition, lag.range.unwrap(), lag.committed, lag.lag()))
        .collect();
    assert_eq!(
        numbers,
        [
            (0, Range { start: 0, end: 100 }, Some(30), Some(70)),
            (1, Range { start: 0, end: 50 }, None, Some(50)),
            (2, Range { start: 0, end: 0 }, None, Some(0)),
        ]
    );
    assert_eq!(
        Telemetry::decode(lags[0].metadata.as_deref().unwrap()).unwrap(),
        Some(report)
    );
    assert_eq!(lags[1].metadata, None);

    // Retention passes the position.
    let mut deleted = TopicPartitionList::new();
    deleted
        .add_partition_offset(topic, 0, Offset::Offset(90))
        .unwrap();
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    admin
        .delete_records(&deleted, &AdminOptions::new())
        .await
        .unwrap();
    let lags = read(&reader, "lag-workers", topic).await;
    assert_eq!(
        (lags[0].range, lags[0].lag()),
        (Some(Range { start: 90, end: 100 }), Some(10))
    );
}

/// The transaction's own marker takes an offset that no record has: a worker that has read all has no lag.
#[tokio::test]
async fn a_position_at_the_end_of_a_transactional_topic_has_no_lag() {
    let topic = "lag.transactional";
    let bootstrap = shared().await.bootstrap();
    let config = config(bootstrap.clone());
    ensure_topics(&config, &[plan(topic, 1)], TIMEOUT).await.unwrap();
    let producer: BaseProducer = config
        .clone()
        .set("transactional.id", "lag-transactional")
        .create()
        .unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    for commit in [true, false] {
        producer.begin_transaction().unwrap();
        producer
            .send(BaseRecord::<str, str>::to(topic).payload("{}"))
            .unwrap();
        producer.flush(TIMEOUT).unwrap();
        if commit {
            producer.commit_transaction(TIMEOUT).unwrap();
        } else {
            producer.abort_transaction(TIMEOUT).unwrap();
        }
    }

    let worker: BaseConsumer = config
        .clone()
        .set("group.id", "lag-position")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut from_start = TopicPartitionList::new();
    from_start
        .add_partition_offset(topic, 0, Offset::Beginning)
        .unwrap();
    worker.assign(&from_start).unwrap();
    let mut records = 0;
    while let Some(Ok(_)) = worker.poll(TIMEOUT) {
        records += 1;
    }
    assert_eq!(records, 1);
    worker
        .commit(&worker.position().unwrap(), CommitMode::Sync)
        .unwrap();

    let lags = read(&lag_reader(&bootstrap), "lag-position", topic).await;
    assert_eq!(lags[0].range.map(|range| range.end), Some(4));
    assert_eq!(lags[0].lag(), Some(0));
}

/// Records of a transaction that is open are there for one who has to read them, and not for one who counts what can be
/// read now.
#[tokio::test]
async fn an_open_transaction_counts_or_not() {
    let topic = "lag.open";
    let bootstrap = shared().await.bootstrap();
    let config = config(bootstrap.clone());
    ensure_topics(&config, &[plan(topic, 1)], TIMEOUT).await.unwrap();
    produce(bootstrap.clone(), topic, 0, 3);
    let producer: BaseProducer = config
        .clone()
        .set("transactional.id", "lag-open")
        .create()
        .unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    producer.begin_transaction().unwrap();
    producer
        .send(BaseRecord::<str, str>::to(topic).payload("{}"))
        .unwrap();
    producer.flush(TIMEOUT).unwrap();
    let ends = async || {
        let mut ends = Vec::new();
        for reader in [
            lag_reader(&bootstrap),
            lag_reader_of(&bootstrap, Isolation::ReadCommitted),
        ] {
            ends.push(read(&reader, "lag-open", topic).await[0].range.unwrap().end);
        }
        ends
    };
    assert_eq!(ends().await, [4, 3]);
    producer.commit_transaction(TIMEOUT).unwrap();
    // The marker has an offset too, and takes a moment.
    testbed::eventually(TIMEOUT, async || ends().await == [5, 5])
        .await
        .unwrap();
}

/// The embedded broker of `streampipeline up` answers the same questions.
#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_broker_is_read_too() {
    let broker = MockCluster::new(1).unwrap();
    broker.create_topic("lag.events", 2, 1).unwrap();
    produce(broker.bootstrap_servers(), "lag.events", 1, 10);
    let config = config(broker.bootstrap_servers());
    let worker: BaseConsumer = config.clone().set("group.id", "lag-workers").create().unwrap();
    let mut offsets = TopicPartitionList::new();
    let mut offset = offsets.add_partition("lag.events", 1);
    offset.set_offset(Offset::Offset(4)).unwrap();
    offset.set_metadata("report");
    worker.commit(&offsets, CommitMode::Sync).unwrap();

    let lags = read(
        &lag_reader(&broker.bootstrap_servers()),
        "lag-workers",
        "lag.events",
    )
    .await;
    let numbers: Vec<_> = lags
        .iter()
        .map(|lag| (lag.lag(), lag.metadata.as_deref()))
        .collect();
    assert_eq!(numbers, [(Some(0), None), (Some(6), Some("report"))]);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_not_zero() {
    let reader = lag_reader(&shared().await.bootstrap());
    let missing = reader.read("lag-nobody", &["lag.missing"], TIMEOUT).await;
    assert!(
        matches!(&missing, Err(LagError::TopicMissing { topic }) if topic == "lag.missing"),
        "{missing:?}"
    );
    assert_eq!(
        reader.partitions(&["lag.missing"], TIMEOUT).await.unwrap(),
        [None]
    );

    let nowhere = lag_reader("127.0.0.1:1");
    let failed = nowhere
        .read("lag-nobody", &["lag.missing"], Duration::from_secs(3))
        .await;
    let Err(LagError::Issue(issue)) = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(
        (issue.kind, issue.broker.as_str()),
        (IssueKind::Unreachable, "127.0.0.1:1")
    );
}
