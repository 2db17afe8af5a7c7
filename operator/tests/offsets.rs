//! What is decided on the offsets of a real Kafka that are not as one would like them: never committed, deleted, of another
//! topic, or nobody's to tell.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ::kafka::admin::{TopicPlan, ensure_topics};
use k8s_openapi::jiff::Timestamp;
use operator::kafka::{Brokers, DesiredTopics, KafkaClient as _};
use operator::secrets::SecretContents;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use scaler::{Decision, History, Observation, PartitionReading, Policy, Reason, decide};
use testbed::{Kafka, eventually};

const TIMEOUT: Duration = Duration::from_secs(30);
const TOPIC: &str = "offsets.plays";
const GROUP: &str = "streampipeline-offsets";

fn desired(bootstrap: &str, partitions: u32) -> DesiredTopics {
    let manifest = format!(
        "
apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: offsets, namespace: streams}}
spec:
  kafka: {{bootstrapServers: '{bootstrap}'}}
  topics:
    - {{name: {TOPIC}, partitions: {partitions}, fields: {{user_id: int}}}}
  tables:
    - {{name: stored, sql: 'SELECT user_id FROM \"{TOPIC}\"'}}
  sink: {{sqlite: {{path: offsets.db}}}}
"
    );
    let pipeline = api::validate(&api::parse(&manifest).unwrap()).unwrap();
    DesiredTopics::new("offsets", &pipeline, &SecretContents::new())
}

fn config(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap());
    config
}

fn produce(kafka: &Kafka, partition: i32, records: u32) {
    let producer: BaseProducer = config(kafka).create().unwrap();
    for _ in 0..records {
        let record = BaseRecord::<str, str>::to(TOPIC)
            .partition(partition)
            .payload("{}");
        producer.send(record).unwrap();
    }
    producer.flush(TIMEOUT).unwrap();
}

fn commit(kafka: &Kafka, offsets: &[(i32, i64)]) {
    let worker: BaseConsumer = config(kafka).set("group.id", GROUP).create().unwrap();
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        let mut element = list.add_partition(TOPIC, *partition);
        element.set_offset(Offset::Offset(*offset)).unwrap();
    }
    worker.commit(&list, CommitMode::Sync).unwrap();
}

/// What is decided where three workers are at work.
fn decided(partitions: Vec<PartitionReading>) -> Decision {
    let observation = Observation {
        partitions,
        desired: 3,
        ready: 3,
    };
    let policy = Policy {
        max: 6,
        ..Policy::default()
    };
    decide(&observation, &policy, &History::default(), Timestamp::now()).0
}

async fn read(kafka: &Kafka, desired: &DesiredTopics) -> Vec<PartitionReading> {
    let look = async || Brokers::default().read(desired, TIMEOUT).await;
    eventually(TIMEOUT * 4, look)
        .await
        .unwrap_or_else(|error| panic!("{error} ({})", kafka.bootstrap()))
        .partitions
}

fn lags(partitions: &[PartitionReading]) -> Vec<Option<u64>> {
    partitions.iter().map(|partition| partition.lag(false)).collect()
}

/// Nothing committed, records that retention has deleted, idle partitions, and offsets of a topic that was
/// deleted and made again.
#[tokio::test]
async fn the_lag_is_what_can_still_be_read() {
    let kafka = Kafka::start().await.unwrap();
    let desired = desired(&kafka.bootstrap(), 4);
    Brokers::default().ensure(&desired, TIMEOUT).await.unwrap();
    assert_eq!(
        lags(&read(&kafka, &desired).await),
        [Some(0); 4],
        "an empty topic"
    );
    for partition in 0..3 {
        produce(&kafka, partition, 10);
    }
    assert_eq!(
        lags(&read(&kafka, &desired).await),
        [Some(10), Some(10), Some(10), Some(0)],
        "nothing was ever committed"
    );
    commit(&kafka, &[(0, 3), (1, 10)]);
    let deleted = format!(
        r#"{{"partitions": [{{"topic": "{TOPIC}", "partition": 0, "offset": 6}}, {{"topic": "{TOPIC}", "partition": 2, "offset": 10}}], "version": 1}}"#
    );
    let file = kafka.directory().join("delete.json");
    std::fs::write(&file, deleted).unwrap();
    let arguments = [
        "org.apache.kafka.tools.DeleteRecordsCommand",
        "--bootstrap-server",
        &kafka.bootstrap(),
        "--offset-json-file",
        file.to_str().unwrap(),
    ];
    kafka.tool(&arguments).await.unwrap();
    let partitions = read(&kafka, &desired).await;
    assert_eq!(
        lags(&partitions),
        [Some(4), Some(0), Some(0), Some(0)],
        "what is gone is no lag"
    );
    let decision = decided(partitions);
    assert_eq!(
        (decision.replicas, decision.terms.lag_records),
        (3, 4),
        "{}",
        decision.text
    );

    Brokers::default().delete(&desired, TIMEOUT).await.unwrap();
    let again = TopicPlan {
        name: TOPIC.to_owned(),
        partitions: 4,
        replication_factor: 1,
        config: BTreeMap::new(),
    };
    // A deletion goes on for a moment after it was confirmed.
    let made = async || ensure_topics(&config(&kafka), std::slice::from_ref(&again), TIMEOUT).await;
    eventually(TIMEOUT * 2, made).await.unwrap();
    produce(&kafka, 0, 5);
    commit(&kafka, &[(0, 5_000), (1, 5_000)]);
    let partitions = read(&kafka, &desired).await;
    assert_eq!(
        lags(&partitions),
        [Some(0); 4],
        "positions beyond the end are another topic's"
    );
    assert_eq!(decided(partitions).replicas, 3);
}

/// With one of three brokers away a third of the partitions is nobody's to tell, whether what the others say is
/// much or nothing: the number of workers stays, and once all answer it is decided again.
#[tokio::test]
async fn nothing_is_decided_on_half_of_the_brokers() {
    let mut kafka = Kafka::builder().brokers(3).start().await.unwrap();
    let desired = desired(&kafka.bootstrap(), 6);
    let spread = TopicPlan {
        name: TOPIC.to_owned(),
        partitions: 6,
        replication_factor: 1,
        config: BTreeMap::new(),
    };
    ensure_topics(&config(&kafka), &[spread], TIMEOUT).await.unwrap();
    commit(&kafka, &[(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]);
    let decision = decided(read(&kafka, &desired).await);
    assert_ne!(decision.reason, Reason::ReadingsMissing, "{}", decision.text);

    kafka.kill_broker(3).unwrap();
    let some_unknown = async || {
        let partitions = read(&kafka, &desired).await;
        let unknown = partitions
            .iter()
            .filter(|partition| partition.lag(false).is_none())
            .count();
        if unknown > 0 && unknown < partitions.len() {
            Ok(partitions)
        } else {
            Err(format!("{unknown} of {} are unknown", partitions.len()))
        }
    };
    let without_lag = eventually(TIMEOUT * 4, some_unknown).await.unwrap();
    for (partition, _) in without_lag
        .iter()
        .enumerate()
        .filter(|(_, partition)| partition.lag(false).is_some())
    {
        produce(&kafka, i32::try_from(partition).unwrap(), 1_000);
    }
    let with_lag = read(&kafka, &desired).await;
    assert!(
        with_lag
            .iter()
            .any(|partition| partition.lag(false) == Some(1_000))
    );
    for partitions in [without_lag, with_lag] {
        let decision = decided(partitions);
        assert_eq!(
            (decision.replicas, decision.reason),
            (3, Reason::ReadingsMissing),
            "{}",
            decision.text
        );
        assert!(decision.text.contains(TOPIC), "{}", decision.text);
    }

    kafka.start_broker(3).await.unwrap();
    let began = Instant::now();
    let all_known = async || {
        let decision = decided(read(&kafka, &desired).await);
        if decision.reason == Reason::ReadingsMissing {
            Err(format!("after {:?}: {}", began.elapsed(), decision.text))
        } else {
            Ok(())
        }
    };
    eventually(TIMEOUT * 4, all_known).await.unwrap();
}
