//! The lag that the scaler acts on: right numbers, from outside the group.

use std::time::Duration;

use kafka::admin::ensure_topics;
use kafka::commit_metadata::Telemetry;
use kafka::lag::{LagError, LagReader, Range};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::{TIMEOUT, config, plan, shared};

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

    let reader = LagReader::new(&config, "lag-workers").unwrap();
    let lags = reader.read(topic, TIMEOUT).unwrap();
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
    let lags = reader.read(topic, TIMEOUT).unwrap();
    assert_eq!(
        (lags[0].range, lags[0].lag()),
        (Some(Range { start: 90, end: 100 }), Some(10))
    );
}

/// The transaction's own marker takes an offset that no record has: a worker that has read all has no lag.
#[tokio::test]
async fn a_position_at_the_end_of_a_transactional_topic_has_no_lag() {
    let topic = "lag.transactional";
    let config = config(shared().await.bootstrap());
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

    let lags = LagReader::new(&config, "lag-position")
        .unwrap()
        .read(topic, TIMEOUT)
        .unwrap();
    assert_eq!(lags[0].range.map(|range| range.end), Some(4));
    assert_eq!(lags[0].lag(), Some(0));
}

/// The embedded broker of `streampipeline up` answers the same questions.
#[test]
fn the_embedded_broker_is_read_too() {
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

    let lags = LagReader::new(&config, "lag-workers")
        .unwrap()
        .read("lag.events", TIMEOUT)
        .unwrap();
    let numbers: Vec<_> = lags
        .iter()
        .map(|lag| (lag.lag(), lag.metadata.as_deref()))
        .collect();
    assert_eq!(numbers, [(Some(0), None), (Some(6), Some("report"))]);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_not_zero() {
    let reader = LagReader::new(&config(shared().await.bootstrap()), "lag-nobody").unwrap();
    assert!(matches!(
        reader.read("lag.missing", TIMEOUT),
        Err(LagError::TopicMissing { .. })
    ));
    let nowhere = LagReader::new(&config("127.0.0.1:1".to_owned()), "lag-nobody").unwrap();
    assert!(matches!(
        nowhere.read("lag.missing", Duration::from_millis(300)),
        Err(LagError::Kafka { .. })
    ));
}
