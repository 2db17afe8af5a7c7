//! Writing by connections of our own, against a real Kafka and the embedded one.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kafka::ErrorCode;
use kafka::admin::{TopicPlan, ensure_topics};
use kafka::produce::ProduceError;
use rdkafka::mocking::MockCluster;
use testbed::Kafka;

use crate::fetch_support::{self, Reader, partition};
use crate::produce_support::{Writer, assert_exactly, assert_holds, committed, seen, topic};
use crate::{TIMEOUT, config, plan, shared};

/// Read by librdkafka, and by ourselves.
#[tokio::test(flavor = "multi_thread")]
async fn records_arrive_as_they_were_written() {
    let bootstrap = shared().await.bootstrap();
    topic(&config(bootstrap.clone()), "produce.plain", 3, 1).await;
    let mut writer = Writer::plain(&bootstrap, "produce.plain", None);
    writer.start().unwrap();
    writer.write(0..30_000).unwrap();
    writer.producer.flush(TIMEOUT).unwrap();
    assert_eq!(writer.producer.under_way(), 0);

    let seen = seen(&bootstrap, "produce.plain");
    assert_exactly(&seen, 0..30_000, 3);
    let now = writer.now() / 1_000;
    assert!(
        seen.iter()
            .all(|seen| (now - 60_000..=now).contains(&seen.timestamp))
    );

    let mut reader = Reader::plain(&bootstrap);
    let got = reader.read(&partition("produce.plain", 1), 0, 10_000).await;
    let numbers: Vec<u64> = got.iter().map(|got| got.sequence.unwrap().number).collect();
    assert_eq!(numbers, (0..30_000).filter(|i| i % 3 == 1).collect::<Vec<u64>>());
    assert_eq!(fetch_support::offsets(&got), (0..10_000).collect::<Vec<i64>>());
    assert_eq!(writer.reporter.errors(), 0);
}

/// Records and offsets, or neither.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_commits_as_a_whole() {
    let bootstrap = shared().await.bootstrap();
    topic(&config(bootstrap.clone()), "produce.whole", 2, 1).await;
    let mut writer = Writer::plain(&bootstrap, "produce.whole", Some("produce.whole"));
    writer.start().unwrap();
    writer.write(0..1_000).unwrap();
    writer.commit_and_wait(1_000).unwrap();
    assert_eq!(committed(&bootstrap, "produce.whole"), Some(1_000));
    assert_holds(&bootstrap, "produce.whole", 0..1_000, 2);

    // What was not committed is aborted by the next start, also when it had arrived.
    writer.write(1_000..3_000).unwrap();
    writer.producer.flush(TIMEOUT).unwrap();
    assert_holds(&bootstrap, "produce.whole", 0..1_000, 2);
    writer.start().unwrap();
    assert_eq!(committed(&bootstrap, "produce.whole"), Some(1_000));
    writer.write(1_000..1_500).unwrap();
    writer.commit_and_wait(1_500).unwrap();
    assert_holds(&bootstrap, "produce.whole", 0..1_500, 2);

    // Offsets alone are a transaction too.
    writer.commit_and_wait(1_501).unwrap();
    assert_eq!(committed(&bootstrap, "produce.whole"), Some(1_501));
}

/// The records of the next transaction are written while the one before is being committed.
#[tokio::test(flavor = "multi_thread")]
async fn transactions_follow_each_other_without_a_pause() {
    let bootstrap = shared().await.bootstrap();
    topic(&config(bootstrap.clone()), "produce.chain", 3, 1).await;
    let mut writer = Writer::plain(&bootstrap, "produce.chain", Some("produce.chain"));
    writer.start().unwrap();
    let mut overlapped = 0;
    for turn in 0..40_u64 {
        writer.write(turn * 500..turn * 500 + 250).unwrap();
        overlapped += u32::from(writer.producer.is_committing().unwrap());
        writer.write(turn * 500 + 250..(turn + 1) * 500).unwrap();
        writer.producer.wait(TIMEOUT).unwrap();
        writer.commit((turn + 1) * 500);
    }
    writer.producer.wait(TIMEOUT).unwrap();
    assert!(overlapped > 0);
    assert_eq!(committed(&bootstrap, "produce.chain"), Some(20_000));
    assert_holds(&bootstrap, "produce.chain", 0..20_000, 3);
    assert_eq!(writer.reporter.errors(), 0);
}

/// Of two with the same name only the one that was started last writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_predecessor_is_fenced() {
    let bootstrap = shared().await.bootstrap();
    topic(&config(bootstrap.clone()), "produce.fenced", 2, 1).await;
    let open = || Writer::plain(&bootstrap, "produce.fenced", Some("produce.fenced"));
    let (mut first, mut second) = (open(), open());
    first.start().unwrap();
    first.write(0..100).unwrap();
    first.producer.flush(TIMEOUT).unwrap();
    // What the first has left open is aborted at once, not only after its time.
    second.start().unwrap();
    let error = first.write(100..200).and_then(|()| first.commit_and_wait(200));
    let error = error.unwrap_err();
    assert!(
        matches!(
            error.code(),
            Some(ErrorCode::InvalidProducerEpoch | ErrorCode::ProducerFenced)
        ),
        "{error}"
    );
    assert!(!error.is_lasting());
    second.write(0..50).unwrap();
    second.commit_and_wait(50).unwrap();
    assert_holds(&bootstrap, "produce.fenced", 0..50, 2);
}

/// A topic may take smaller batches than others: that costs one transaction. A record that it does not take is an
/// error that somebody has to look at.
#[tokio::test(flavor = "multi_thread")]
async fn batches_become_as_small_as_the_topic_wants_them() {
    let bootstrap = shared().await.bootstrap();
    let small = TopicPlan {
        config: [("max.message.bytes".to_owned(), "3000".to_owned())].into(),
        ..plan("produce.small", 1)
    };
    ensure_topics(&config(bootstrap.clone()), &[small], TIMEOUT)
        .await
        .unwrap();
    let mut writer = Writer::plain(&bootstrap, "produce.small", Some("produce.small"));
    let mut failures = 0;
    loop {
        writer.start().unwrap();
        match writer
            .write(0..2_000)
            .and_then(|()| writer.commit_and_wait(2_000))
        {
            Ok(()) => break,
            Err(error @ ProduceError::TooLarge { .. }) => assert!(!error.is_lasting(), "{error}"),
            Err(error) => panic!("{error}"),
        }
        failures += 1;
    }
    assert!((1..10).contains(&failures), "{failures}");
    assert_holds(&bootstrap, "produce.small", 0..2_000, 1);

    writer.start().unwrap();
    let mut random = 7_u64;
    let incompressible: Vec<u8> = std::iter::repeat_with(|| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as u8
    })
    .take(5_000)
    .collect();
    let record = kafka::produce::Record {
        key: None,
        value: Some(&incompressible),
        headers: &[],
    };
    let _ = writer.producer.write(0, &record);
    let error = writer.commit_and_wait(2_001).unwrap_err();
    assert!(error.is_lasting(), "{error}");
    assert!(error.to_string().contains("max.message.bytes"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn added_partitions_are_noticed() {
    let bootstrap = shared().await.bootstrap();
    topic(&config(bootstrap.clone()), "produce.more", 1, 1).await;
    let mut writer = Writer::plain(&bootstrap, "produce.more", Some("produce.more"));
    writer.start().unwrap();
    assert_eq!(writer.producer.partitions(), 1);
    topic(&config(bootstrap.clone()), "produce.more", 3, 1).await;
    let begun = std::time::Instant::now();
    while writer.producer.partitions() < 3 {
        assert!(begun.elapsed() < TIMEOUT);
        writer.producer.tick(writer.now()).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    writer.write(0..3_000).unwrap();
    writer.commit_and_wait(3_000).unwrap();
    assert_holds(&bootstrap, "produce.more", 0..3_000, 3);
}

/// A topic that is not there is named at once, and used once it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_missing_is_named() {
    let bootstrap = shared().await.bootstrap();
    let mut writer = Writer::plain(&bootstrap, "produce.missing", Some("produce.missing"));
    let error = writer.start().unwrap_err();
    assert!(
        matches!(&error, ProduceError::Topic { topic, code: ErrorCode::UnknownTopicOrPartition }
            if topic == "produce.missing"),
        "{error}"
    );
    assert!(!error.is_lasting());
    topic(&config(bootstrap.clone()), "produce.missing", 2, 1).await;
    let count = writer.write_on(&bootstrap, 1_000, &AtomicBool::new(true));
    assert_eq!(count, 1_000);
    assert_holds(&bootstrap, "produce.missing", 0..1_000, 2);
}

/// The embedded broker, which knows no transactions worth the name.
#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_broker_takes_records() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("produce.embedded", 3, 1).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let mut writer = Writer::plain(&bootstrap, "produce.embedded", None);
    writer.start().unwrap();
    writer.write(0..20_000).unwrap();
    writer.producer.flush(TIMEOUT).unwrap();
    assert_holds(&bootstrap, "produce.embedded", 0..20_000, 3);
}

/// Brokers that are not there: the reason is told when the time is over.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_said() {
    let kafka = Kafka::builder().proxied().start().await.unwrap();
    let bootstrap = kafka.bootstrap();
    drop(kafka);
    let mut writer = Writer::plain(&bootstrap, "produce.nobody", Some("produce.nobody"));
    let error = writer.producer.start(Duration::from_secs(1)).unwrap_err();
    assert!(!error.is_lasting());
    assert!(error.to_string().contains(&bootstrap), "{error}");
    assert!(error.to_string().contains("no connection"), "{error}");
}
