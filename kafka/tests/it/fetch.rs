//! Records through connections of our own: all that were written, and no others.

use kafka::fetch::{Chunk, PartitionErrorKind, Watermarks};
use kafka::issue::IssueKind;
use rdkafka::admin::AdminOptions;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use runtime::secrets::Secrets;
use testbed::eventually;

use crate::fetch_support::{
    Got, Reader, admin, expected, offsets, partition, plaintext, produce, records, send, topic,
};
use crate::{TIMEOUT, config, shared};

/// Compressed by librdkafka, and by Kafka itself.
#[tokio::test(flavor = "multi_thread")]
async fn every_codec_reads_back() {
    let bootstrap = shared().await.bootstrap();
    let config = config(bootstrap.clone());
    let mut reader = Reader::plain(&bootstrap);
    for (by, codec) in [
        ("client", "none"),
        ("client", "gzip"),
        ("client", "snappy"),
        ("client", "lz4"),
        ("broker", "gzip"),
        ("broker", "snappy"),
        ("broker", "lz4"),
        ("broker", "zstd"),
    ] {
        let name = format!("fetch.{by}-{codec}");
        let (of_client, of_topic) = if by == "client" {
            (codec, "producer")
        } else {
            ("none", codec)
        };
        topic(&config, &name, &[("compression.type", of_topic)]).await;
        let partition = partition(&name, 1);
        let config = config.clone().set("compression.type", of_client).clone();
        produce(&config, &partition, 0..3_000);
        let got = reader.read(&partition, 0, 3_000).await;
        assert_eq!(got, expected(0..3_000, 0), "{by} {codec}");
        // From within a batch.
        let got = reader.read(&partition, 1_234, 3_000).await;
        assert_eq!(got, expected(1_234..3_000, 1_234), "{by} {codec}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_transactions_are_invisible_and_open_ones_hold_back() {
    let bootstrap = shared().await.bootstrap();
    let config = config(bootstrap.clone());
    topic(&config, "fetch.transactions", &[]).await;
    let partition = partition("fetch.transactions", 0);
    let producer = |id: &str| -> BaseProducer {
        let producer: BaseProducer = config.clone().set("transactional.id", id).create().unwrap();
        producer.init_transactions(TIMEOUT).unwrap();
        producer
    };
    let (one, two) = (producer("fetch-one"), producer("fetch-two"));
    let write = |producer: &BaseProducer, numbers: std::ops::Range<u64>| {
        for i in numbers {
            send(producer, &partition, i);
        }
        producer.flush(TIMEOUT).unwrap();
    };
    // Records 0..30 at the offsets 0..30; the aborted ones of `one` lie between those of `two`.
    one.begin_transaction().unwrap();
    two.begin_transaction().unwrap();
    write(&one, 0..10);
    write(&two, 10..20);
    write(&one, 20..30);
    one.abort_transaction(TIMEOUT).unwrap();
    two.commit_transaction(TIMEOUT).unwrap();
    // Markers at 30 and 31. The same producer's next transaction is not aborted.
    one.begin_transaction().unwrap();
    write(&one, 32..40);
    one.commit_transaction(TIMEOUT).unwrap();
    two.begin_transaction().unwrap();
    write(&two, 41..50);

    let mut reader = Reader::plain(&bootstrap);
    let got = reader.read(&partition, 0, 41).await;
    let seen = [expected(10..20, 10), expected(32..40, 32)].concat();
    assert_eq!(got, seen);
    let marks = reader.fetcher.watermarks(&partition, TIMEOUT).await.unwrap();
    assert_eq!(
        marks,
        Watermarks {
            low: 0,
            high: 50,
            last_stable: 41
        }
    );
    // A transaction that began before the position is still known to be aborted.
    let got = reader.read(&partition, 25, 41).await;
    assert_eq!(got, expected(32..40, 32));

    let generation = reader.fetcher.set(partition.clone(), 41);
    two.abort_transaction(TIMEOUT).unwrap();
    let got = reader.read_on(&partition, generation, 41, 51).await;
    assert_eq!(got, [], "the position passes what was aborted");
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_leaves_gaps() {
    let kafka = testbed::Kafka::builder()
        .config("log.cleaner.backoff.ms", "200")
        .start()
        .await
        .unwrap();
    let config = config(kafka.bootstrap());
    let settings = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.bytes", "1048576"),
        ("segment.ms", "100"),
    ];
    topic(&config, "fetch.compacted", &settings).await;
    let partition = partition("fetch.compacted", 0);
    let all: Vec<u64> = (0..100).flat_map(|_| 0..10).collect();
    let producer: BaseProducer = config.clone().set("batch.num.messages", "7").create().unwrap();
    for i in &all {
        send(&producer, &partition, *i);
    }
    producer.flush(TIMEOUT).unwrap();
    let mut reader = Reader::plain(&kafka.bootstrap());
    // The newest segment is never compacted: another record begins a new one.
    let mut end = 1_000;
    let got = eventually(TIMEOUT * 2, async || {
        send(&producer, &partition, 99);
        producer.flush(TIMEOUT).unwrap();
        end += 1;
        let got = reader.read(&partition, 0, end).await;
        if got.len() < 500 {
            Ok(got)
        } else {
            Err(format!("{} records", got.len()))
        }
    });
    let got = got.await.unwrap();
    assert!(offsets(&got).is_sorted(), "{got:?}");
    for i in 0..10 {
        let newest = expected(i..i + 1, 990 + i as i64).remove(0);
        assert!(got.contains(&newest), "{newest:?} in {got:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_retention_has_passed_is_told_and_rests() {
    let bootstrap = shared().await.bootstrap();
    let config = config(bootstrap.clone());
    topic(&config, "fetch.retention", &[]).await;
    let partition = partition("fetch.retention", 0);
    produce(&config, &partition, 0..100);
    let mut deleted = TopicPartitionList::new();
    deleted
        .add_partition_offset(&partition.topic, 0, Offset::Offset(60))
        .unwrap();
    admin(&config)
        .delete_records(&deleted, &AdminOptions::new())
        .await
        .unwrap();

    let mut reader = Reader::plain(&bootstrap);
    for outside in [10, 101] {
        let generation = reader.fetcher.set(partition.clone(), outside);
        let error = reader.error().await;
        assert!(matches!(error.kind, PartitionErrorKind::OutOfRange), "{error:?}");
        assert_eq!((error.generation, error.offset), (generation, outside));
    }
    let marks = reader.fetcher.watermarks(&partition, TIMEOUT).await.unwrap();
    assert_eq!((marks.low, marks.high), (60, 100));
    let got = reader.read(&partition, marks.low, 100).await;
    assert_eq!(got, expected(60..100, 60));
}

/// Offsets of the new topic mean other records, wherever they stand.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_again_is_told_and_rests() {
    let bootstrap = shared().await.bootstrap();
    let config = config(bootstrap.clone());
    topic(&config, "fetch.recreated", &[]).await;
    let partition = partition("fetch.recreated", 0);
    produce(&config, &partition, 0..100);
    let mut reader = Reader::plain(&bootstrap);
    let _ = reader.fetcher.set(partition.clone(), 0);
    let before = reader.chunk().await;
    assert!(before.topic_id.is_some());
    let epoch = before.batches().next().unwrap().unwrap().leader_epoch();
    assert!(epoch.is_some());
    drop(before);
    reader.read(&partition, 0, 100).await;

    admin(&config)
        .delete_topics(&["fetch.recreated"], &AdminOptions::new())
        .await
        .unwrap();
    assert!(matches!(reader.error().await.kind, PartitionErrorKind::Missing));
    assert_eq!(reader.failure().await.kind, IssueKind::TopicMissing);
    topic(&config, "fetch.recreated", &[]).await;
    produce(&config, &partition, 500..700);
    let error = reader.error().await;
    assert!(matches!(error.kind, PartitionErrorKind::Recreated), "{error:?}");
    let got = reader.read(&partition, 0, 200).await;
    assert_eq!(got, expected(500..700, 0));
    reader.works().await;
}

/// A position that is set again or removed is not followed any more, and what is there of it can be told.
#[tokio::test(flavor = "multi_thread")]
async fn the_newest_position_counts() {
    let bootstrap = shared().await.bootstrap();
    let config = config(bootstrap.clone());
    topic(&config, "fetch.positions", &[]).await;
    let (first, second) = (partition("fetch.positions", 0), partition("fetch.positions", 1));
    produce(&config, &first, 0..100);
    produce(&config, &second, 0..50);
    let mut reader = Reader::plain(&bootstrap);
    let generations: Vec<u64> = [90, 10, 40]
        .map(|offset| reader.fetcher.set(first.clone(), offset))
        .to_vec();
    assert!(generations.is_sorted_by(|a, b| a < b), "{generations:?}");
    let got = reader.read_on(&first, generations[2], 40, 100).await;
    assert_eq!(got, expected(40..100, 40));
    reader.fetcher.remove(&first);
    assert_eq!(reader.read(&second, 0, 50).await, expected(0..50, 0));
    produce(&config, &first, 100..110);
    produce(&config, &second, 50..60);
    let chunk = reader.chunk().await;
    assert_eq!(chunk.partition, second);
}

/// Two that read the same do not know of each other.
#[tokio::test(flavor = "multi_thread")]
async fn readers_do_not_share_anything() {
    let bootstrap = shared().await.bootstrap();
    let config = config(bootstrap.clone());
    topic(&config, "fetch.two", &[]).await;
    let partition = partition("fetch.two", 0);
    produce(&config, &partition, 0..100);
    let (mut one, mut two) = (Reader::plain(&bootstrap), Reader::plain(&bootstrap));
    let (one, two) = tokio::join!(one.read(&partition, 0, 100), two.read(&partition, 50, 100));
    assert_eq!((one, two), (expected(0..100, 0), expected(50..100, 50)));
}

/// A caller that does not drop what it was given gets no more than the budget, and everything once it does.
#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded() {
    const BUDGET: usize = 256 * 1024;
    let bootstrap = shared().await.bootstrap();
    let config = config(bootstrap.clone()).set("batch.size", "16384").clone();
    topic(&config, "fetch.budget", &[]).await;
    let (slow, swift) = (partition("fetch.budget", 0), partition("fetch.budget", 1));
    produce(&config, &slow, 0..10_000);
    produce(&config, &swift, 0..10_000);
    let mut reader = Reader::open(&plaintext(&bootstrap), &Secrets::new(None, |_| None), BUDGET);
    let _ = reader.fetcher.set(slow.clone(), 0);
    let _ = reader.fetcher.set(swift.clone(), 0);
    // All of one partition is read while nothing of the other is dropped.
    let (mut kept, mut got) = (Vec::new(), Vec::new());
    while got.len() < 10_000 {
        let chunk = reader.chunk().await;
        if chunk.partition == slow {
            kept.push(chunk);
        } else {
            got.extend(records(&chunk));
        }
    }
    assert_eq!(got, expected(0..10_000, 0));
    let held: usize = kept.iter().map(Chunk::byte_len).sum();
    assert!((1..=BUDGET / 2).contains(&held), "{held}");
    let mut got: Vec<Got> = kept.drain(..).flat_map(|chunk| records(&chunk)).collect();
    while got.len() < 10_000 {
        got.extend(records(&reader.chunk().await));
    }
    assert_eq!(got, expected(0..10_000, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_and_awaited() {
    let bootstrap = shared().await.bootstrap();
    let config = config(bootstrap.clone());
    let mut reader = Reader::plain(&bootstrap);
    let partition = partition("fetch.later", 0);
    let generation = reader.fetcher.set(partition.clone(), 0);
    let error = reader.error().await;
    assert!(matches!(error.kind, PartitionErrorKind::Missing), "{error:?}");
    let missing = reader.fetcher.watermarks(&partition, TIMEOUT).await.unwrap_err();
    assert_eq!(missing.to_string(), "fetch.later/0 is not there");
    topic(&config, "fetch.later", &[]).await;
    produce(&config, &partition, 0..10);
    let got = reader.read_on(&partition, generation, 0, 10).await;
    assert_eq!(got, expected(0..10, 0));
}

/// The embedded broker of `streampipeline up` answers old versions of the same questions.
#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_broker_is_read_too() {
    let broker = MockCluster::new(1).unwrap();
    broker.create_topic("fetch.embedded", 2, 1).unwrap();
    let config = config(broker.bootstrap_servers());
    let partitions = [partition("fetch.embedded", 0), partition("fetch.embedded", 1)];
    produce(&config, &partitions[0], 0..2_000);
    produce(&config, &partitions[1], 0..10);
    let mut reader = Reader::plain(&broker.bootstrap_servers());
    for (partition, end) in [(&partitions[0], 2_000), (&partitions[1], 10)] {
        let marks = reader.fetcher.watermarks(partition, TIMEOUT).await.unwrap();
        assert_eq!((marks.low, marks.high), (0, end));
        let got = reader.read(partition, 0, end).await;
        assert_eq!(got, expected(0..end as u64, 0));
        reader.fetcher.remove(partition);
    }
    // What comes while it waits.
    let generation = reader.fetcher.set(partitions[1].clone(), 10);
    produce(&config, &partitions[1], 10..20);
    let got = reader.read_on(&partitions[1], generation, 10, 20).await;
    assert_eq!(got, expected(10..20, 10));
}
