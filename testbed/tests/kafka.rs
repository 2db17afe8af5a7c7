//! Brokers under the hands of a test: what a real client sees.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use testbed::{KAFKA_PASSWORD, KAFKA_USER, Kafka, eventually};

const MOMENT: Duration = Duration::from_secs(20);

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

fn metadata_error(config: &ClientConfig, timeout: Duration) -> Option<String> {
    let consumer: BaseConsumer = config.create().unwrap();
    consumer
        .fetch_metadata(None, timeout)
        .err()
        .map(|error| error.to_string())
}

fn answers(bootstrap: &str) -> bool {
    metadata_error(&config(bootstrap), MOMENT).is_none()
}

fn produce(bootstrap: &str, topic: &str, values: std::ops::Range<u32>) {
    let producer: ThreadedProducer<DefaultProducerContext> = config(bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    for value in values {
        producer
            .send(BaseRecord::<(), _>::to(topic).payload(&value.to_string()))
            .unwrap();
    }
    producer.flush(MOMENT).unwrap();
}

fn read_all(bootstrap: &str, topic: &str, count: usize) -> Vec<u32> {
    let consumer: BaseConsumer = config(bootstrap).set("group.id", "unused").create().unwrap();
    let mut all = TopicPartitionList::new();
    all.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&all).unwrap();
    let begin = Instant::now();
    let mut values = Vec::new();
    while values.len() < count && begin.elapsed() < MOMENT {
        // Errors are news of brokers that are down; what was not read fails the test.
        if let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) {
            values.push(
                std::str::from_utf8(record.payload().unwrap())
                    .unwrap()
                    .parse()
                    .unwrap(),
            );
        }
    }
    values.sort_unstable();
    values
}

#[tokio::test]
async fn records_outlive_stop_kill_and_restart() {
    let mut kafka = Kafka::start().await.unwrap();
    let bootstrap = kafka.bootstrap();
    produce(&bootstrap, "outlive", 0..10);

    kafka.stop_broker(1).await.unwrap();
    let failed = metadata_error(&config(&bootstrap), Duration::from_secs(1));
    assert!(failed.is_some(), "a stopped broker answered");
    kafka.start_broker(1).await.unwrap();
    produce(&bootstrap, "outlive", 10..20);

    kafka.kill_broker(1).unwrap();
    kafka.start_broker(1).await.unwrap();
    kafka.restart().await.unwrap();
    assert_eq!(kafka.bootstrap(), bootstrap);
    assert_eq!(read_all(&bootstrap, "outlive", 20), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_frozen_broker_keeps_connections_and_answers_after_the_thaw() {
    let mut kafka = Kafka::start().await.unwrap();
    let consumer: BaseConsumer = config(&kafka.bootstrap()).create().unwrap();
    consumer.fetch_metadata(None, MOMENT).unwrap();
    kafka.freeze_broker(1).unwrap();
    // An answer may have been on its way already.
    let silent = async || consumer.fetch_metadata(None, Duration::from_millis(500)).is_err();
    testbed::eventually(MOMENT, silent).await.unwrap();
    kafka.thaw_broker(1).unwrap();
    let answers = async || consumer.fetch_metadata(None, Duration::from_secs(2)).map(drop);
    testbed::eventually(MOMENT, answers).await.unwrap();
}

#[tokio::test]
async fn every_listener_asks_for_what_it_should() {
    let kafka = Kafka::shared().await.unwrap();
    let certificates = kafka.certificates();
    let plain = config(&kafka.bootstrap());
    let tls = {
        let mut config = config(&kafka.tls_bootstrap());
        config
            .set("security.protocol", "ssl")
            .set("ssl.ca.location", certificates.ca().to_str().unwrap());
        config
    };
    let with_certificate = {
        let mut config = tls.clone();
        config.set(
            "ssl.certificate.location",
            certificates.client_certificate().to_str().unwrap(),
        );
        config.set("ssl.key.location", certificates.client_key().to_str().unwrap());
        config
    };
    let sasl = |mechanism: &str, password: &str| {
        let mut config = config(&kafka.sasl_bootstrap());
        config
            .set("security.protocol", "sasl_plaintext")
            .set("sasl.mechanism", mechanism);
        config
            .set("sasl.username", KAFKA_USER)
            .set("sasl.password", password);
        config
    };
    let sasl_tls = {
        let mut config = sasl("SCRAM-SHA-512", KAFKA_PASSWORD);
        config
            .set("bootstrap.servers", kafka.sasl_tls_bootstrap())
            .set("security.protocol", "sasl_ssl");
        config.set("ssl.ca.location", certificates.ca().to_str().unwrap());
        config
    };
    let mut accepted = vec![plain, tls.clone(), with_certificate, sasl_tls];
    accepted
        .extend(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].map(|mechanism| sasl(mechanism, KAFKA_PASSWORD)));
    for config in accepted {
        assert_eq!(metadata_error(&config, MOMENT), None, "{config:?}");
    }

    let mut distrustful = tls;
    distrustful.remove("ssl.ca.location");
    let mut refused = vec![distrustful];
    refused.extend(["PLAIN", "SCRAM-SHA-256"].map(|mechanism| sasl(mechanism, "wrong")));
    for config in refused {
        // A client does not give up after a refusal: one second is many tries.
        assert!(
            metadata_error(&config, Duration::from_secs(1)).is_some(),
            "{config:?}"
        );
    }
}

#[tokio::test]
async fn acknowledged_records_survive_the_death_of_their_leader() {
    let mut kafka = Kafka::builder().brokers(3).start().await.unwrap();
    let bootstrap = kafka.bootstrap();
    let admin: AdminClient<_> = config(&bootstrap).create().unwrap();
    let topic = NewTopic::new("replicated", 1, TopicReplication::Fixed(3));
    admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    produce(&bootstrap, "replicated", 0..100);

    let leader = || {
        let metadata = admin.inner().fetch_metadata(Some("replicated"), MOMENT).unwrap();
        u32::try_from(metadata.topics()[0].partitions()[0].leader()).ok()
    };
    let first = leader().unwrap();
    kafka.kill_broker(first).unwrap();
    eventually(MOMENT, async || leader().filter(|now| *now != first))
        .await
        .unwrap();
    produce(&bootstrap, "replicated", 100..200);
    assert_eq!(
        read_all(&bootstrap, "replicated", 200),
        (0..200).collect::<Vec<_>>()
    );
    kafka.start_broker(first).await.unwrap();
}

#[tokio::test]
async fn clients_go_through_the_proxy_and_tests_around_it() {
    let kafka = Kafka::builder().proxied().start().await.unwrap();
    produce(&kafka.bootstrap(), "proxied", 0..1);
    let proxy = kafka.proxy(1).unwrap();
    assert!(proxy.accepted() > 0);
    proxy.block();
    assert!(metadata_error(&config(&kafka.bootstrap()), Duration::from_millis(500)).is_some());
    assert!(answers(&kafka.direct_bootstrap()));
    proxy.unblock();
    assert!(answers(&kafka.bootstrap()));
    assert!(kafka.proxy(2).is_err());
}

#[tokio::test]
async fn settings_reach_the_broker_and_tools_run() {
    let kafka = Kafka::builder()
        .config("num.partitions", "7")
        .heap("300m")
        .start()
        .await
        .unwrap();
    produce(&kafka.bootstrap(), "seven", 0..1);
    let bootstrap = kafka.bootstrap();
    let tool = |arguments: &'static [&'static str]| {
        let all = [
            &[
                "org.apache.kafka.tools.TopicCommand",
                "--bootstrap-server",
                &bootstrap,
            ],
            arguments,
        ]
        .concat();
        let kafka = &kafka;
        async move { kafka.tool(&all).await }
    };
    let described = tool(&["--describe", "--topic", "seven"]).await.unwrap();
    assert!(described.contains("PartitionCount: 7"), "{described}");
    let error = tool(&["--describe", "--topic", "absent"]).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[tokio::test]
async fn a_broker_that_cannot_start_says_why() {
    let error = Kafka::builder()
        .config("log.segment.bytes", "many")
        .start()
        .await
        .unwrap_err();
    let text = format!("{error:?}");
    assert!(
        text.contains("log.segment.bytes") && text.contains("kafka broker 1"),
        "{text}"
    );
}

#[tokio::test]
async fn clusters_start_side_by_side() {
    let (one, two) = tokio::join!(Kafka::start(), Kafka::start());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.bootstrap(), two.bootstrap());
    assert!(answers(&one.bootstrap()) && answers(&two.bootstrap()));
}
