//! Lags while brokers are away, hang, or refuse: what is not known is not zero, and what is known is told.

use std::time::{Duration, Instant};

use kafka::admin::{TopicPlan, ensure_topics};
use kafka::broker::Access;
use kafka::issue::IssueKind;
use kafka::lag::{Isolation, LagError, LagReader, PartitionLag};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use testbed::{Direction, Kafka, eventually};

use crate::authorizer::{allow, with_authorizer};
use crate::fetch_faults::leader;
use crate::fetch_support::{partition, produce};
use crate::group_faults::{secrets, with_password};
use crate::lag::lag_reader;
use crate::{TIMEOUT, config, plan};

/// Ten records in each partition, and a group that has read as many as the partition's number.
async fn fill(config: &ClientConfig, topic: &str, partitions: i32, group: &str) {
    let mut offsets = TopicPartitionList::new();
    for number in 0..partitions {
        produce(config, &partition(topic, number), 0..10);
        offsets
            .add_partition_offset(topic, number, Offset::Offset(number.into()))
            .unwrap();
    }
    let worker: BaseConsumer = config.clone().set("group.id", group).create().unwrap();
    // A coordinator that has just been found may not be ready.
    eventually(TIMEOUT, async || worker.commit(&offsets, CommitMode::Sync))
        .await
        .unwrap();
}

async fn lags(reader: &LagReader, group: &str, topic: &str) -> Vec<Option<u64>> {
    let read = reader.read(group, &[topic], TIMEOUT).await.unwrap();
    read[0].1.iter().map(PartitionLag::lag).collect()
}

/// The broker that coordinates a group.
async fn coordinator(kafka: &Kafka, group: &str) -> u32 {
    let servers = kafka.direct_bootstrap();
    let arguments = [
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "--bootstrap-server",
        &servers,
        "--describe",
        "--state",
        "--group",
        group,
    ];
    let text = kafka.tool(&arguments).await.unwrap();
    let (_, rest) = text.split_once(" (").unwrap_or_else(|| panic!("{text}"));
    // The heading has parentheses too.
    let (_, rest) = rest.split_once(" (").unwrap_or_else(|| panic!("{text}"));
    rest.split_once(')').unwrap().0.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_away_makes_its_partitions_unknown_and_no_others() {
    const TOPIC: &str = "lag.leaders";
    const GROUP: &str = "lag-leaders";
    let mut kafka = Kafka::builder().brokers(3).proxied().start().await.unwrap();
    let direct = config(kafka.direct_bootstrap());
    // Each broker leads one, and nobody takes it over.
    let single = TopicPlan {
        replication_factor: 1,
        ..plan(TOPIC, 3)
    };
    ensure_topics(&direct, &[single], TIMEOUT).await.unwrap();
    fill(&direct, TOPIC, 3, GROUP).await;
    let reader = lag_reader(&kafka.bootstrap());
    let all = [Some(10), Some(9), Some(8)];
    assert_eq!(lags(&reader, GROUP, TOPIC).await, all);

    let coordinator = coordinator(&kafka, GROUP).await;
    let (mut victim, mut number) = (coordinator, 0);
    while victim == coordinator {
        victim = leader(&kafka, TOPIC, number).await;
        number += 1;
    }
    let mut partial = all;
    partial[number as usize - 1] = None;

    // It hears and does not speak. The others are not waited for.
    kafka.proxy(victim).unwrap().block_only(Direction::ToClient);
    assert_eq!(lags(&reader, GROUP, TOPIC).await, partial, "hangs");
    kafka.proxy(victim).unwrap().unblock();
    assert_eq!(lags(&reader, GROUP, TOPIC).await, all, "speaks again");

    kafka.kill_broker(victim).unwrap();
    assert_eq!(lags(&reader, GROUP, TOPIC).await, partial, "away");
    kafka.start_broker(victim).await.unwrap();
    eventually(TIMEOUT, async || lags(&reader, GROUP, TOPIC).await == all)
        .await
        .unwrap();
}

/// Connections that were kept are of no use after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_told_while_it_lasts_and_survived() {
    const TOPIC: &str = "lag.restart";
    const GROUP: &str = "lag-restart";
    let mut kafka = Kafka::start().await.unwrap();
    let config = config(kafka.bootstrap());
    ensure_topics(&config, &[plan(TOPIC, 2)], TIMEOUT).await.unwrap();
    fill(&config, TOPIC, 2, GROUP).await;
    let reader = lag_reader(&kafka.bootstrap());
    assert_eq!(lags(&reader, GROUP, TOPIC).await, [Some(10), Some(9)]);

    kafka.kill_broker(1).unwrap();
    let patience = Duration::from_secs(3);
    let begun = Instant::now();
    let away = reader.read(GROUP, &[TOPIC], patience).await;
    let Err(LagError::Issue(issue)) = &away else {
        panic!("{away:?}")
    };
    assert_eq!(issue.kind, IssueKind::Unreachable, "{issue}");
    assert!(issue.to_string().contains(&kafka.bootstrap()), "{issue}");
    assert!(begun.elapsed() >= patience, "it may be back in a moment");

    kafka.start_broker(1).await.unwrap();
    assert_eq!(lags(&reader, GROUP, TOPIC).await, [Some(10), Some(9)]);
}

/// A cluster that hangs takes no longer than it may, however many ask.
#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_a_cluster_that_hangs_end_together() {
    let kafka = Kafka::builder().proxied().start().await.unwrap();
    let reader = lag_reader(&kafka.bootstrap());
    kafka.proxy(1).unwrap().block();
    let patience = Duration::from_secs(3);
    let asked = (0..100).map(|_| reader.read("lag-hangs", &["lag.hangs"], patience));
    let all = tokio::time::timeout(patience * 10, futures::future::join_all(asked));
    for outcome in all.await.unwrap() {
        assert!(
            matches!(&outcome, Err(LagError::NoAnswer { after }) if *after == patience),
            "{outcome:?}"
        );
    }
}

/// Rights that are missing are named at once, and lags are read as soon as they are given.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_named() {
    const TOPIC: &str = "lag.forbidden";
    const GROUP: &str = "lag-forbidden";
    let kafka = with_authorizer().await;
    let config = config(kafka.bootstrap());
    ensure_topics(&config, &[plan(TOPIC, 1)], TIMEOUT).await.unwrap();
    fill(&config, TOPIC, 1, GROUP).await;
    let access = Access::new(&with_password(&kafka.sasl_bootstrap()), &secrets(), "lag-test");
    let reader = LagReader::new(access.unwrap(), Isolation::ReadUncommitted);
    for (kind, name) in [("--topic", TOPIC), ("--group", GROUP)] {
        let begun = Instant::now();
        let failed = reader.read(GROUP, &[TOPIC], TIMEOUT).await;
        let Err(LagError::Issue(issue)) = &failed else {
            panic!("{failed:?}")
        };
        assert_eq!(issue.kind, IssueKind::NotAuthorised, "{issue}");
        assert!(issue.to_string().contains(name), "{issue}");
        assert!(begun.elapsed() < TIMEOUT, "waiting does not help");
        allow(&kafka, "Describe", kind, name).await;
    }
    assert_eq!(lags(&reader, GROUP, TOPIC).await, [Some(10)]);
}
