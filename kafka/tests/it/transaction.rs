//! What the generator's exactly-once rests on: a checkpoint commits with the events or not at all.

use std::time::Duration;

use kafka::admin::ensure_topics;
use kafka::formats::checkpoint::Checkpoint;
use kafka::lag::LagReader;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use testbed::eventually;

use crate::lag::lag_reader;
use crate::{TIMEOUT, config, plan, shared};

const EVENTS: &str = "transaction.events";
const SHARDS: &str = "transaction.shards";
const GROUP: &str = "transaction-generator";

fn checkpoint(produced: u64) -> Checkpoint {
    Checkpoint {
        run: 7,
        started: "2026-11-21T05:48:21.123456Z".parse().unwrap(),
        produced,
        per_partition: vec![produced; 400],
        fingerprint: 42,
    }
}

/// Joins the generator's group, as its producer's group metadata needs.
async fn join(bootstrap: String) -> BaseConsumer {
    let consumer: BaseConsumer = config(bootstrap).set("group.id", GROUP).create().unwrap();
    consumer.subscribe(&[SHARDS]).unwrap();
    eventually(TIMEOUT, async || {
        consumer.poll(Duration::from_millis(50));
        consumer.assignment().unwrap().count() > 0
    })
    .await
    .unwrap();
    consumer
}

fn begin(producer: &BaseProducer, member: &BaseConsumer, events: u64) {
    producer.begin_transaction().unwrap();
    producer
        .send(BaseRecord::<str, str>::to(EVENTS).key("1").payload("{}"))
        .unwrap();
    let mut offsets = TopicPartitionList::new();
    let mut offset = offsets.add_partition(SHARDS, 1);
    offset.set_offset(Offset::Offset(events as i64)).unwrap();
    offset.set_metadata(checkpoint(events).encode().unwrap());
    producer
        .send_offsets_to_transaction(&offsets, &member.group_metadata().unwrap(), TIMEOUT)
        .unwrap();
}

/// The shard's committed offset and checkpoint, as somebody outside the group sees them.
async fn committed(reader: &LagReader) -> (Option<i64>, Option<Checkpoint>) {
    let (_, lags) = reader.read(GROUP, &[SHARDS], TIMEOUT).await.unwrap().remove(0);
    (
        lags[1].committed,
        lags[1]
            .metadata
            .as_deref()
            .map(|text| Checkpoint::decode(text).unwrap()),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_commits_with_the_events_or_not_at_all() {
    let bootstrap = shared().await.bootstrap();
    ensure_topics(
        &config(bootstrap.clone()),
        &[plan(EVENTS, 1), plan(SHARDS, 2)],
        TIMEOUT,
    )
    .await
    .unwrap();
    let member = join(bootstrap.clone()).await;
    let producer: BaseProducer = config(bootstrap.clone())
        .set("transactional.id", GROUP)
        .create()
        .unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    let reader = lag_reader(&bootstrap);
    assert_eq!(committed(&reader).await, (None, None));

    begin(&producer, &member, 1000);
    assert_eq!(committed(&reader).await, (None, None));
    producer.commit_transaction(TIMEOUT).unwrap();
    let first = (Some(1000), Some(checkpoint(1000)));
    eventually(TIMEOUT, async || committed(&reader).await == first)
        .await
        .unwrap();

    begin(&producer, &member, 2000);
    producer.flush(TIMEOUT).unwrap();
    producer.abort_transaction(TIMEOUT).unwrap();
    assert_eq!(committed(&reader).await, first);

    // A successor waits for the transaction that is open, and does not begin from what it may overwrite.
    begin(&producer, &member, 3000);
    let successor: BaseConsumer = config(bootstrap).set("group.id", GROUP).create().unwrap();
    let mut shard = TopicPartitionList::new();
    shard.add_partition(SHARDS, 1);
    assert!(
        successor
            .committed_offsets(shard.clone(), Duration::from_millis(500))
            .is_err()
    );
    producer.commit_transaction(TIMEOUT).unwrap();
    let stable = successor.committed_offsets(shard, TIMEOUT).unwrap();
    assert_eq!(stable.elements()[0].offset(), Offset::Offset(3000));
    assert_eq!(
        Checkpoint::decode(stable.elements()[0].metadata()).unwrap(),
        checkpoint(3000)
    );
}
