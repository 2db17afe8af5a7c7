//! What the operator does with Kafka, with a real one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::kafka::admin::partition_counts;
use ::kafka::formats::commit_metadata::Telemetry;
use operator::kafka::{Brokers, DesiredTopics, KafkaClient as _, KafkaErrorKind};
use operator::secrets::{SecretContent, SecretContents};
use operator::validate;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use testbed::{KAFKA_PASSWORD, KAFKA_USER, Kafka};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A pipeline whose access is by SCRAM, with secrets as the cluster has them.
fn desired(bootstrap: &str, name: &str, partitions: u32, password: &str) -> DesiredTopics {
    let manifest = format!(
        "
apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: {name}, namespace: streams}}
spec:
  kafka:
    bootstrapServers: '{bootstrap}'
    security: {{protocol: SaslPlaintext, sasl: {{mechanism: ScramSha512, secretRef: {{name: kafka-user}}}}}}
  topics:
    - name: {name}.plays
      partitions: {partitions}
      fields: {{user_id: int, track_id: int, event_timestamp: timestamp, event_type: string}}
  generator: {{music: {{}}}}
  tables:
    - {{name: stored, sql: 'SELECT user_id FROM \"{name}.plays\"'}}
  sink: {{postgres: {{host: db, database: music, secretRef: {{name: music-postgres}}}}}}
"
    );
    let pipeline = validate::manifest(&api::parse(&manifest).unwrap()).unwrap();
    let user = SecretContent {
        data: BTreeMap::from([
            ("username".to_owned(), KAFKA_USER.to_owned()),
            ("password".to_owned(), password.to_owned()),
        ]),
        hash: password.to_owned(),
    };
    let secrets = SecretContents::from([("kafka-user".to_owned(), Arc::new(user))]);
    DesiredTopics::new(name, &pipeline, &secrets)
}

fn config(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap());
    config
}

#[tokio::test]
async fn topics_are_made_read_and_deleted_with_their_groups() {
    let kafka = Kafka::shared().await.unwrap();
    let brokers = Brokers::default();
    let bootstrap = kafka.sasl_bootstrap();
    let desired = |partitions| desired(&bootstrap, "brokers", partitions, KAFKA_PASSWORD);
    assert_eq!(brokers.ensure(&desired(2), TIMEOUT).await, Ok(vec![2]));
    assert_eq!(brokers.ensure(&desired(3), TIMEOUT).await, Ok(vec![3]), "raised");
    assert_eq!(
        brokers.ensure(&desired(1), TIMEOUT).await,
        Ok(vec![3]),
        "never lowered"
    );

    // Ten records in each partition, and a worker that has stored four of one of them.
    let producer: BaseProducer = config(kafka).create().unwrap();
    for partition in 0..3 {
        for _ in 0..10 {
            let record = BaseRecord::<str, str>::to("brokers.plays")
                .partition(partition)
                .payload("{}");
            producer.send(record).unwrap();
        }
    }
    producer.flush(TIMEOUT).unwrap();
    let report = Telemetry {
        rows: Some(BTreeMap::from([("stored".to_owned(), 3)])),
        dead_letters: 1,
        ..Telemetry::default()
    };
    let worker: BaseConsumer = config(kafka)
        .set("group.id", "streampipeline-brokers")
        .create()
        .unwrap();
    let mut offsets = TopicPartitionList::new();
    let mut offset = offsets.add_partition("brokers.plays", 1);
    offset.set_offset(Offset::Offset(4)).unwrap();
    offset.set_metadata(report.encode().unwrap());
    worker.commit(&offsets, CommitMode::Sync).unwrap();
    drop(worker);

    // With new connections, and with those that were kept.
    for _ in 0..2 {
        let reading = brokers.read(&desired(3), TIMEOUT).await.unwrap();
        assert_eq!((reading.lag(), reading.topics[0].partitions), (Some(26), 3));
        assert_eq!((reading.rows.get("stored"), reading.dead_letters), (Some(&3), 1));
    }

    let shards = desired(3).shards_topic.unwrap();
    let made = ::kafka::admin::TopicPlan {
        name: shards.clone(),
        partitions: 1,
        replication_factor: 1,
        config: BTreeMap::new(),
    };
    ::kafka::admin::ensure_topics(&config(kafka), &[made], TIMEOUT)
        .await
        .unwrap();
    brokers.delete(&desired(3), TIMEOUT).await.unwrap();
    let left = partition_counts(&config(kafka), &["brokers.plays", &shards], TIMEOUT)
        .await
        .unwrap();
    assert_eq!(left, [None, None]);
    brokers.delete(&desired(3), TIMEOUT).await.unwrap();
    let bootstrap = kafka.bootstrap();
    let command = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let groups = kafka
        .tool(&[command, "--list", "--bootstrap-server", &bootstrap])
        .await
        .unwrap();
    assert!(!groups.contains("streampipeline-brokers"), "{groups}");
}

/// What stands in the pipeline's conditions.
#[tokio::test]
async fn problems_are_named_and_pass_by_themselves() {
    let kafka = Kafka::shared().await.unwrap();
    let brokers = Brokers::default();
    let wrong = desired(&kafka.sasl_bootstrap(), "access", 1, "wrong");
    let right = desired(&kafka.sasl_bootstrap(), "access", 1, KAFKA_PASSWORD);
    assert_eq!(brokers.ensure(&right, TIMEOUT).await, Ok(vec![1]));
    assert_eq!(brokers.partitions(&right, TIMEOUT).await, Ok(vec![Some(1)]));
    // The connections of who knows the password are not for who does not.
    for problem in [
        brokers.ensure(&wrong, TIMEOUT).await.unwrap_err(),
        brokers.partitions(&wrong, TIMEOUT).await.unwrap_err(),
        brokers.read(&wrong, TIMEOUT).await.unwrap_err(),
    ] {
        assert!(
            problem.message.contains("check spec.kafka.security.sasl"),
            "{problem}"
        );
        assert!(
            !problem.message.contains("wrong"),
            "a password is never told: {problem}"
        );
        assert!(!problem.message.contains('\n'), "{problem}");
    }

    let nobody = desired("127.0.0.1:1", "nobody", 1, KAFKA_PASSWORD);
    let patience = Duration::from_secs(5);
    for problem in [
        brokers.ensure(&nobody, patience).await.unwrap_err(),
        brokers.read(&nobody, patience).await.unwrap_err(),
    ] {
        assert_eq!(problem.kind, KafkaErrorKind::Unreachable, "{problem}");
        assert!(
            problem.message.contains("spec.kafka.bootstrapServers"),
            "{problem}"
        );
    }

    let mut missing = desired(&kafka.sasl_bootstrap(), "access", 1, KAFKA_PASSWORD);
    missing.topics[0].name = "access.missing".to_owned();
    let problem = brokers.read(&missing, TIMEOUT).await.unwrap_err();
    assert_eq!(problem.kind, KafkaErrorKind::Refused, "{problem}");
    assert_eq!(brokers.partitions(&missing, TIMEOUT).await, Ok(vec![None]));
}
