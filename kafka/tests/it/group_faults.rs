//! A group goes on through what happens to its coordinator.

use std::time::Instant;

use api::{Kafka as KafkaSpec, Sasl, SaslMechanism, SecretRef, SecurityProtocol};
use kafka::admin::ensure_topics;
use kafka::broker::Access;
use kafka::group::GroupError;
use kafka::health::KafkaHealth;
use runtime::secrets::Secrets;
use testbed::{Direction, KAFKA_PASSWORD, KAFKA_USER, Kafka, eventually};

use crate::authorizer::{allow, with_authorizer};
use crate::fetch_support::plaintext;
use crate::group_support::{Peer, settings, settle};
use crate::{TIMEOUT, config, plan};

/// The broker that looks after a group.
async fn coordinator(kafka: &Kafka, group: &str) -> u32 {
    let arguments = [
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "--bootstrap-server",
        &kafka.direct_bootstrap(),
        "--describe",
        "--group",
        group,
        "--state",
    ];
    let text = kafka.tool(&arguments).await.unwrap();
    // GROUP COORDINATOR (ID) ASSIGNMENT-STRATEGY ...
    let line = text.lines().find(|line| line.starts_with(group)).unwrap();
    let id = line.split(['(', ')']).find_map(|part| part.parse().ok());
    id.unwrap_or_else(|| panic!("{text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_dies_or_steps_down_is_followed_by_the_next() {
    let mut kafka = Kafka::builder().brokers(3).start().await.unwrap();
    let bootstrap = kafka.bootstrap();
    let mut first = Peer::join(&bootstrap, "group-moved", None);
    let mut second = Peer::join(&bootstrap, "group-moved", Some("b"));
    settle(&mut [&mut first, &mut second]).await;

    let broker = coordinator(&kafka, "group-moved").await;
    kafka.kill_broker(broker).unwrap();
    // The group is what it was, and can be asked and joined.
    let mut third = Peer::join(&bootstrap, "group-moved", None);
    settle(&mut [&mut first, &mut second, &mut third]).await;
    assert_eq!(first.committed(&[0], TIMEOUT).unwrap().len(), 1);

    kafka.start_broker(broker).await.unwrap();
    let broker = coordinator(&kafka, "group-moved").await;
    kafka.stop_broker(broker).await.unwrap();
    third.leave().await;
    settle(&mut [&mut first, &mut second]).await;
}

/// The only broker is away: that is told, and what was held is held afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_survived() {
    let mut kafka = Kafka::start().await.unwrap();
    let mut first = Peer::join(&kafka.bootstrap(), "group-restart", None);
    let mut second = Peer::join(&kafka.bootstrap(), "group-restart", Some("b"));
    settle(&mut [&mut first, &mut second]).await;
    kafka.kill_broker(1).unwrap();
    let failing = async || matches!(first.reporter.health(), KafkaHealth::Failing(_));
    eventually(TIMEOUT, failing).await.unwrap();
    kafka.start_broker(1).await.unwrap();
    let works = async || first.reporter.health() == KafkaHealth::Working;
    eventually(TIMEOUT, works).await.unwrap();
    settle(&mut [&mut first, &mut second]).await;
    let mut third = Peer::join(&kafka.bootstrap(), "group-restart", None);
    settle(&mut [&mut first, &mut second, &mut third]).await;
}

/// Requests arrive and answers do not: the connection is replaced within the session, and nobody notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_hears_and_does_not_speak_is_asked_again() {
    let kafka = Kafka::builder().proxied().start().await.unwrap();
    let mut first = Peer::join(&kafka.bootstrap(), "group-silence", None);
    let mut second = Peer::join(&kafka.direct_bootstrap(), "group-silence", None);
    settle(&mut [&mut first, &mut second]).await;
    first.told = <_>::default();
    let generation = first.generation();
    let proxy = kafka.proxy(1).unwrap();
    let before = proxy.accepted();
    proxy.block_only(Direction::ToClient);
    eventually(TIMEOUT, async || proxy.accepted() > before)
        .await
        .unwrap();
    proxy.unblock();
    for _ in 0..3 {
        proxy.cut();
        let answered = async || first.committed(&[0], TIMEOUT).unwrap().len() == 1;
        eventually(TIMEOUT, answered).await.unwrap();
    }
    settle(&mut [&mut first, &mut second]).await;
    assert_eq!(first.told, <_>::default());
    assert_eq!(first.generation(), generation);
}

/// Cut off for longer than its session: the others take over, and it comes back with nothing of what it had.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_cut_off_comes_back_as_another() {
    let kafka = Kafka::builder().proxied().start().await.unwrap();
    let mut first = Peer::join(&kafka.bootstrap(), "group-cut-off", None);
    settle(&mut [&mut first]).await;
    let before = first.membership().unwrap().clone();
    kafka.proxy(1).unwrap().block();
    let mut second = Peer::join(&kafka.direct_bootstrap(), "group-cut-off", None);
    let begun = Instant::now();
    settle(&mut [&mut second]).await;
    assert!(begun.elapsed() < TIMEOUT);
    first.told = <_>::default();
    kafka.proxy(1).unwrap().unblock();
    settle(&mut [&mut first, &mut second]).await;
    assert_ne!(first.membership().unwrap().member_id, before.member_id);
    assert_eq!(first.told.given.len(), 8);
    assert_eq!(first.told.gained, first.held);
}

pub(crate) fn with_password(bootstrap: &str) -> KafkaSpec {
    let mut spec = plaintext(bootstrap);
    spec.security.protocol = SecurityProtocol::SaslPlaintext;
    spec.security.sasl = Some(Sasl {
        mechanism: SaslMechanism::Plain,
        secret: SecretRef {
            name: "user".to_owned(),
        },
    });
    spec
}

pub(crate) fn secrets() -> Secrets {
    Secrets::new(None, |variable| match variable {
        "STREAMPIPELINE_SECRET_USER_USERNAME" => Some(KAFKA_USER.to_owned()),
        "STREAMPIPELINE_SECRET_USER_PASSWORD" => Some(KAFKA_PASSWORD.to_owned()),
        _ => None,
    })
}

/// Without the rights it says so, and does not try forever.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_named() {
    const GROUP: &str = "group-forbidden";
    let kafka = with_authorizer().await;
    let topics = [plan("group-forbidden.shards", 8)];
    ensure_topics(&config(kafka.bootstrap()), &topics, TIMEOUT)
        .await
        .unwrap();
    let join = || {
        let access = Access::new(&with_password(&kafka.sasl_bootstrap()), &secrets(), "group-test");
        Peer::join_through(access.unwrap(), settings(GROUP, None))
    };
    for operation in ["Describe", "Read"] {
        // Finding the coordinator is one right, and joining another.
        let error = join().failure().await;
        let group = GROUP.to_owned();
        assert_eq!(error, GroupError::GroupNotAuthorised { group }, "{operation}");
        allow(&kafka, operation, "--group", GROUP).await;
    }
    let mut peer = join();
    settle(&mut [&mut peer]).await;
    let error = peer.committed(&[0], TIMEOUT).unwrap_err();
    let topic = "group-forbidden.shards".to_owned();
    assert_eq!(error, GroupError::TopicNotAuthorised { topic });
    allow(&kafka, "Describe", "--topic", "group-forbidden.shards").await;
    assert_eq!(peer.committed(&[0], TIMEOUT).unwrap().len(), 1);
}
