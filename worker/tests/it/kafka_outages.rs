//! Kafka away, cut off, without a leader, or with other records than there were.

use std::time::Duration;

use crate::support::{Bed, PATIENCE, send};
use api::Partition;
use testbed::{Direction, Kafka, Postgres, eventually};
use worker::state::GapReason;

/// The broker is restarted, killed and cut off while records flow.
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

/// Of three brokers one is killed, which led partitions and coordinated groups and transactions, while
/// records flow; then another one.
#[tokio::test(flavor = "multi_thread")]
async fn leaders_and_coordinators_that_die_are_replaced() {
    let mut kafka = Kafka::builder().brokers(3).start().await.unwrap();
    let postgres = Postgres::shared().await.unwrap();
    let bed = Bed::new("leaders", &kafka, postgres)
        .await
        .topic("replicationFactor: 3");
    bed.prepare().await;
    let mut worker = bed.worker("one");
    let count = 30_000;
    let killing = async {
        for broker in [1, 2] {
            let before = bed.records().await;
            bed.stored(before + 3_000).await;
            kafka.kill_broker(broker).unwrap();
            bed.stored(before + 8_000).await;
            kafka.start_broker(broker).await.unwrap();
        }
    };
    tokio::join!(bed.produce_at(count, Some(1_000.0)), killing);
    bed.assert_exact(count).await;
    assert!(worker.is_running().unwrap());
}

/// For five minutes there is no broker at all. Generator and worker wait, and go on by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_away_for_five_minutes_are_waited_for() {
    let mut kafka = Kafka::start().await.unwrap();
    let postgres = Postgres::shared().await.unwrap();
    let bed = Bed::new("long-away", &kafka, postgres).await;
    bed.prepare().await;
    let mut worker = bed.worker("one");
    let count = 20_000;
    let outage = async {
        bed.stored(3_000).await;
        kafka.kill_broker(1).unwrap();
        // The length is what is tested: beyond every session, transaction and back-off.
        tokio::time::sleep(Duration::from_mins(5)).await;
        kafka.start_broker(1).await.unwrap();
    };
    tokio::join!(bed.produce_at(count, Some(1_000.0)), outage);
    bed.assert_exact(count).await;
    assert!(worker.is_running().unwrap());
}

/// For longer than a session lasts, what a broker answers does not come through; then nothing at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hears_but_is_not_heard_is_survived() {
    let kafka = Kafka::builder().proxied().start().await.unwrap();
    let postgres = Postgres::shared().await.unwrap();
    let bed = Bed::new("one-way", &kafka, postgres).await;
    bed.prepare().await;
    let mut worker = bed.worker("one");
    bed.produce(2_000).await;
    bed.stored(2_000).await;
    let proxy = kafka.proxy(1).unwrap();
    for (round, blocked) in [Some(Direction::ToClient), None].into_iter().enumerate() {
        match blocked {
            Some(direction) => proxy.block_only(direction),
            None => proxy.block(),
        }
        // The length of the outage is what is tested: beyond `session.timeout.ms`, which is 45 s.
        tokio::time::sleep(Duration::from_secs(50)).await;
        proxy.unblock();
        let count = 4_000 + 2_000 * round as u64;
        bed.produce(count).await;
        bed.stored(count).await;
    }
    bed.assert_exact(6_000).await;
    assert!(worker.is_running().unwrap());
}

/// What a producer wrote in transactions that it aborted was never there; the offsets of its records
/// and of the markers are no gaps.
#[tokio::test(flavor = "multi_thread")]
async fn aborted_transactions_are_invisible() {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("aborted", kafka, postgres).await;
    bed.prepare().await;
    let producer: BaseProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &bed.bootstrap)
        .set("transactional.id", "aborting")
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    let _worker = bed.worker("one");
    for round in 1..=4 {
        producer.begin_transaction().unwrap();
        for index in 0..500 {
            let (key, value) = bed.event(1, index);
            let record = BaseRecord::to("aborted").key(&key).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        // Committed records come before, between and after those that are taken back.
        bed.produce(round * 1_000).await;
        producer.abort_transaction(PATIENCE).unwrap();
    }
    bed.assert_exact(4_000).await;
    assert!(
        bed.states()
            .await
            .values()
            .all(|(_, state)| state.gaps.is_empty())
    );
}

/// Compaction leaves offsets without records, which are no gaps; the records that are left are all stored.
#[tokio::test(flavor = "multi_thread")]
async fn offsets_that_compaction_emptied_are_no_gaps() {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let kafka = Kafka::builder()
        .config("log.cleaner.backoff.ms", "100")
        .start()
        .await
        .unwrap();
    let postgres = Postgres::shared().await.unwrap();
    let bed = Bed::new("compacted", &kafka, postgres).await.topic(
        "config: {cleanup.policy: compact, segment.bytes: \"1048576\", min.cleanable.dirty.ratio: \"0.01\", segment.ms: \"100\"}",
    );
    bed.prepare().await;
    let producer: BaseProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &bed.bootstrap)
        .create()
        .unwrap();
    let play = |user: usize| {
        format!(
            r#"{{"user_id":{user},"track_id":2,"event_timestamp":"2026-01-01T00:00:00Z","event_type":"streaming"}}"#
        )
    };
    let send = |user: usize| {
        let (key, value) = (user.to_string(), play(user));
        let record = BaseRecord::to("compacted").partition(0).key(&key).payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
    };
    (0..200).for_each(|index| send(index % 20));
    // What is in the segment that is written to stays: one more record begins the next.
    let left = async || {
        send(1_000);
        let reader: BaseConsumer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", &bed.bootstrap)
            .set("group.id", "counting")
            .create()
            .unwrap();
        let mut from = rdkafka::TopicPartitionList::new();
        from.add_partition_offset("compacted", 0, rdkafka::Offset::Beginning)
            .unwrap();
        reader.assign(&from).unwrap();
        let (_, end) = reader.fetch_watermarks("compacted", 0, PATIENCE).unwrap();
        let mut offsets = Vec::new();
        while offsets.last() != Some(&(end - 1)) {
            let message = reader.poll(PATIENCE).unwrap().unwrap();
            offsets.push(rdkafka::Message::offset(&message));
        }
        if offsets.len() < 60 {
            Ok(offsets)
        } else {
            Err(format!("{} records are left", offsets.len()))
        }
    };
    let left = eventually(PATIENCE, left).await.unwrap();
    let _worker = bed.worker("one");
    let partition = Partition {
        topic: "compacted".into(),
        number: 0,
    };
    let state = eventually(PATIENCE, async || {
        let (next, state) = bed.states().await.remove(&partition).unwrap_or_default();
        if next == left.last().map(|offset| offset + 1) {
            Ok(state)
        } else {
            Err(format!("{next:?} of {left:?}"))
        }
    });
    let state = state.await.unwrap();
    assert!(
        state.records >= 21 && state.records <= left.len() as u64,
        "{state:?}"
    );
    assert_eq!(
        (state.gaps.len(), state.audit.totals().missing, state.dead_letters),
        (0, 0, 0)
    );
    assert_eq!(state.rows["track_stream_event_log"], state.records);
}

/// Retention deletes records before they are read. The gap is kept by its offsets, and the audit
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

/// The topic is deleted and made again, with fewer records than were read.
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

/// Partitions are added while the pipeline runs.
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
