//! Members of a group come, go, die and come back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kafka::admin::ensure_topics;
use kafka::formats::checkpoint::Checkpoint;
use kafka::group::{Committed, GroupError, Settings};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use testbed::eventually;

use crate::group_support::{PARTITIONS, Peer, settings, settle};
use crate::{TIMEOUT, config, plan, shared};

/// Long before a session ends.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_shared_and_go_over_at_once_when_a_member_leaves() {
    let bootstrap = shared().await.bootstrap();
    let mut first = Peer::join(&bootstrap, "group-leaves", None);
    settle(&mut [&mut first]).await;
    assert_eq!(first.told.gained, (0..PARTITIONS).collect());
    assert_eq!(first.told.given, BTreeSet::new());

    let mut second = Peer::join(&bootstrap, "group-leaves", None);
    first.told = <_>::default();
    settle(&mut [&mut first, &mut second]).await;
    // It keeps what it has, and does not read it again.
    assert_eq!(first.told.gained, BTreeSet::new());
    assert_eq!(first.told.given, second.held);

    // Kafka's own tools understand the group.
    let arguments = [
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "--bootstrap-server",
        &bootstrap,
        "--describe",
        "--group",
        "group-leaves",
        "--members",
        "--verbose",
    ];
    let text = shared().await.tool(&arguments).await.unwrap();
    assert_eq!(text.matches("group-leaves.shards").count(), 2, "{text}");

    second.told = <_>::default();
    let begun = Instant::now();
    first.leave().await;
    settle(&mut [&mut second]).await;
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(second.told.gained.len(), 4);
    assert_eq!(second.told.given, BTreeSet::new());
}

/// The others go on meanwhile: they hold what they held, and are told of no rebalance before the session is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_dies_is_replaced_after_its_session() {
    let bootstrap = shared().await.bootstrap();
    let mut first = Peer::join(&bootstrap, "group-dies", None);
    let mut second = Peer::join(&bootstrap, "group-dies", None);
    settle(&mut [&mut first, &mut second]).await;
    let begun = Instant::now();
    first.die().await;
    settle(&mut [&mut second]).await;
    assert!(begun.elapsed() > SOON, "{:?}", begun.elapsed());
}

/// One that died holds up the rebalance that its successor begins, until its session is over. The others stop only
/// for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn the_living_do_not_wait_for_the_dead() {
    let bootstrap = shared().await.bootstrap();
    let mut first = Peer::join(&bootstrap, "group-holds", None);
    let mut second = Peer::join(&bootstrap, "group-holds", None);
    settle(&mut [&mut first, &mut second]).await;
    first.die().await;
    let mut third = Peer::join(&bootstrap, "group-holds", None);
    let generation = second.generation();
    // It stops, goes on, and is still waited for.
    for wanted in [None, Some(generation)] {
        eventually(TIMEOUT, async || {
            second.poll().unwrap();
            second.membership().map(|membership| membership.generation) == wanted
        })
        .await
        .unwrap();
    }
    assert_eq!(second.held.len(), 4);
    // Questions are not answered meanwhile, nor waited for.
    assert_eq!(second.committed(&[0], TIMEOUT).unwrap(), vec![]);
    settle(&mut [&mut second, &mut third]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_a_name_comes_back_to_what_it_had() {
    let bootstrap = shared().await.bootstrap();
    let mut first = Peer::join(&bootstrap, "group-named", Some("a"));
    let mut second = Peer::join(&bootstrap, "group-named", Some("b"));
    settle(&mut [&mut first, &mut second]).await;
    let (held, generation) = (first.held.clone(), first.generation());
    second.told = <_>::default();

    // Killed, and stopped in order: it makes no difference.
    let begun = Instant::now();
    first.die().await;
    let mut first = Peer::join(&bootstrap, "group-named", Some("a"));
    settle(&mut [&mut first, &mut second]).await;
    assert_eq!((&first.held, first.generation()), (&held, generation));
    first.leave().await;
    let mut first = Peer::join(&bootstrap, "group-named", Some("a"));
    settle(&mut [&mut first, &mut second]).await;
    assert_eq!((&first.held, first.generation()), (&held, generation));
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    // The other one has not noticed.
    assert_eq!(second.told, <_>::default());

    // Who assigns may be restarted as well.
    second.die().await;
    let mut second = Peer::join(&bootstrap, "group-named", Some("b"));
    settle(&mut [&mut first, &mut second]).await;
    assert_eq!((&first.held, first.generation()), (&held, generation));

    // A newcomer is given what both have too much.
    let mut third = Peer::join(&bootstrap, "group-named", Some("c"));
    settle(&mut [&mut first, &mut second, &mut third]).await;
    assert!(first.held.is_subset(&held));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_with_one_name_the_first_gives_way() {
    let bootstrap = shared().await.bootstrap();
    let mut first = Peer::join(&bootstrap, "group-namesakes", Some("a"));
    settle(&mut [&mut first]).await;
    let mut second = Peer::join(&bootstrap, "group-namesakes", Some("a"));
    let error = first.failure().await;
    let expected = GroupError::Fenced {
        group: "group-namesakes".to_owned(),
        instance: "a".to_owned(),
    };
    assert_eq!(error, expected);
    settle(&mut [&mut second]).await;
}

/// Newer settings know of more partitions than those by which they were assigned.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_a_name_comes_back_with_more_partitions() {
    let bootstrap = shared().await.bootstrap();
    let fewer = |instance| Settings {
        partitions: 3,
        ..settings("group-grows", Some(instance))
    };
    let mut first = Peer::join_with(&bootstrap, fewer("a"));
    let mut second = Peer::join_with(&bootstrap, fewer("b"));
    eventually(TIMEOUT, async || {
        first.poll().unwrap();
        second.poll().unwrap();
        !first.held.is_empty() && !second.held.is_empty() && first.held.len() + second.held.len() == 3
    })
    .await
    .unwrap();
    first.leave().await;
    let mut first = Peer::join(&bootstrap, "group-grows", Some("a"));
    settle(&mut [&mut first, &mut second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_come_at_once() {
    let bootstrap = shared().await.bootstrap();
    let mut peers: Vec<Peer> = (0..12)
        .map(|_| Peer::join(&bootstrap, "group-many", None))
        .collect();
    settle(&mut peers.iter_mut().collect::<Vec<_>>()).await;
    // Half of them go at once.
    for peer in peers.drain(6..) {
        peer.leave().await;
    }
    settle(&mut peers.iter_mut().collect::<Vec<_>>()).await;
}

/// A group joins again only when its threads agree, so it waits for the slowest.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_joins_again_while_something_is_under_way() {
    let bootstrap = shared().await.bootstrap();
    let mut first = Peer::join(&bootstrap, "group-consent", None);
    settle(&mut [&mut first]).await;
    let generation = first.generation();
    let mut second = Peer::join(&bootstrap, "group-consent", None);
    // It does not poll, and so keeps what it has for the length of a transaction.
    let begun = Instant::now();
    eventually(TIMEOUT, async || {
        second.poll().unwrap();
        assert_eq!(second.held, BTreeSet::new());
        begun.elapsed() > Duration::from_secs(3)
    })
    .await
    .unwrap();
    assert_eq!(first.generation(), generation);
    settle(&mut [&mut first, &mut second]).await;
    assert!(first.generation() > generation);
}

/// One that never polls is gone on without, and cannot hold what it had.
#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_hangs_loses_what_it_has() {
    let bootstrap = shared().await.bootstrap();
    let mut first = Peer::join(&bootstrap, "group-hangs", None);
    settle(&mut [&mut first]).await;
    let mut second = Peer::join(&bootstrap, "group-hangs", None);
    settle(&mut [&mut second]).await;
    // When it comes back, all it had was given away, and it is let in as any other.
    first.told = <_>::default();
    settle(&mut [&mut first, &mut second]).await;
    assert_eq!(first.told.given, (0..PARTITIONS).collect());
    assert_eq!(first.told.gained, first.held);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_another_kind_are_named() {
    let bootstrap = shared().await.bootstrap();
    let topics = [plan("group-kinds.shards", PARTITIONS)];
    ensure_topics(&config(bootstrap.clone()), &topics, TIMEOUT)
        .await
        .unwrap();
    let consumer: BaseConsumer = config(bootstrap.clone())
        .set("group.id", "group-kinds")
        .create()
        .unwrap();
    consumer.subscribe(&["group-kinds.shards"]).unwrap();
    eventually(TIMEOUT, async || {
        drop(consumer.poll(Duration::ZERO));
        consumer.assignment().unwrap().count() > 0
    })
    .await
    .unwrap();
    let mut peer = Peer::join(&bootstrap, "group-kinds", None);
    let error = peer.failure().await;
    assert!(matches!(error, GroupError::OtherMembers { .. }), "{error}");
}

fn checkpoint(produced: u64) -> String {
    let checkpoint = Checkpoint {
        run: 7,
        started: "2026-11-21T05:48:21.123456Z".parse().unwrap(),
        produced,
        per_partition: vec![produced; 400],
        fingerprint: 42,
    };
    checkpoint.encode().unwrap()
}

/// Begins a transaction that sets one partition's offset.
fn begin(client: &ClientConfig, group: &str, producer: &BaseProducer, partition: i32, offset: u64) {
    let nobody: BaseConsumer = client.clone().set("group.id", group).create().unwrap();
    producer.begin_transaction().unwrap();
    let mut offsets = TopicPartitionList::new();
    let mut element = offsets.add_partition(&format!("{group}.shards"), partition);
    element.set_offset(Offset::Offset(offset as i64)).unwrap();
    element.set_metadata(checkpoint(offset));
    producer
        .send_offsets_to_transaction(&offsets, &nobody.group_metadata().unwrap(), TIMEOUT)
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_read_when_no_transaction_can_change_them_any_more() {
    const GROUP: &str = "group-offsets";
    let client = config(shared().await.bootstrap());
    let topics = [plan("group-offsets.shards", PARTITIONS)];
    ensure_topics(&client, &topics, TIMEOUT).await.unwrap();
    let mut peer = Peer::join(&shared().await.bootstrap(), GROUP, None);
    // Before it has joined there is no answer.
    assert_eq!(peer.committed(&[1], TIMEOUT).unwrap(), vec![]);
    settle(&mut [&mut peer]).await;
    let stored = |partition: i32, offset: Option<u64>| Committed {
        partition,
        offset: offset.map(|offset| (offset as i64, checkpoint(offset))),
    };
    let read = |asked: &[i32]| {
        let mut read = peer.committed(asked, TIMEOUT).unwrap();
        read.sort_by_key(|committed| committed.partition);
        read
    };
    assert_eq!(read(&[1, 2]), [stored(1, None), stored(2, None)]);
    assert_eq!(read(&[]), []);

    let producer: BaseProducer = client.clone().set("transactional.id", GROUP).create().unwrap();
    producer.init_transactions(TIMEOUT).unwrap();
    begin(&client, GROUP, &producer, 1, 1_000);
    // What the transaction may change is left out, and does not hold up the rest.
    let begun = Instant::now();
    assert_eq!(read(&[0, 1, 2]), [stored(0, None), stored(2, None)]);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    producer.commit_transaction(TIMEOUT).unwrap();
    let committed = [stored(1, Some(1_000)), stored(2, None)];
    eventually(TIMEOUT, async || read(&[1, 2]) == committed)
        .await
        .unwrap();

    begin(&client, GROUP, &producer, 1, 2_000);
    assert_eq!(read(&[1, 2]), [stored(2, None)]);
    producer.abort_transaction(TIMEOUT).unwrap();
    eventually(TIMEOUT, async || read(&[1, 2]) == committed)
        .await
        .unwrap();
}
