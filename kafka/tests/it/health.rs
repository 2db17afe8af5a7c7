//! A client's view of a broker that goes and comes back.

use std::time::Duration;

use kafka::health::KafkaHealth;
use kafka::issue::{Issue, IssueKind};
use kafka::librdkafka::ReportingContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use testbed::{Kafka, eventually};

use crate::produce_support::topic;
use crate::{TIMEOUT, config};

/// Polls `consumer` until its connection fails, and gives the issue.
async fn failure(consumer: &BaseConsumer<ReportingContext>) -> Issue {
    let look = async || {
        consumer.poll(Duration::from_millis(50));
        match consumer.context().reporter.health() {
            KafkaHealth::Failing(issue) => Some(issue),
            _ => None,
        }
    };
    eventually(TIMEOUT, look).await.unwrap()
}

async fn recovery(consumer: &BaseConsumer<ReportingContext>) {
    let look = async || {
        consumer.poll(Duration::from_millis(50));
        consumer.context().reporter.health() == KafkaHealth::Working
    };
    eventually(TIMEOUT, look).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_and_comes_back_is_noticed() {
    let mut kafka = Kafka::start().await.unwrap();
    let mut config = config(kafka.bootstrap());
    config
        .set("group.id", "health")
        .set("metadata.recovery.strategy", "none");
    // The shortest patience that librdkafka takes.
    config
        .set("socket.timeout.ms", "2000")
        .set("socket.connection.setup.timeout.ms", "1000");
    config.set("reconnect.backoff.max.ms", "1000");
    let context = ReportingContext::new("test", &mut config);
    let reporter = context.reporter.clone();
    let consumer: BaseConsumer<_> = config.create_with_context(context).unwrap();
    consumer.subscribe(&["health.missing"]).unwrap();

    // The connection stands, and what is missing is named.
    let issue = failure(&consumer).await;
    assert_eq!(issue.kind, IssueKind::TopicMissing);
    assert!(issue.to_string().contains("health.missing"), "{issue}");
    reporter.works();
    assert_eq!(reporter.health(), KafkaHealth::Working);

    // From now on a topic that is there: that one is missing is noticed again with every new connection.
    topic(&config, "health.there", 1, 1).await;
    consumer.subscribe(&["health.there"]).unwrap();
    let before = reporter.errors();
    kafka.kill_broker(1).unwrap();
    let issue = failure(&consumer).await;
    assert_eq!(issue.kind, IssueKind::Unreachable);
    assert!(issue.to_string().contains(&kafka.bootstrap()), "{issue}");
    assert!(reporter.errors() > before);
    kafka.start_broker(1).await.unwrap();
    recovery(&consumer).await;

    // A frozen broker's kernel still accepts connections, so librdkafka has no error to report.
    kafka.freeze_broker(1).unwrap();
    let issue = failure(&consumer).await;
    assert_eq!(issue.kind, IssueKind::Unreachable);
    assert!(issue.to_string().contains("timed out"), "{issue}");
    kafka.thaw_broker(1).unwrap();
    recovery(&consumer).await;
}
