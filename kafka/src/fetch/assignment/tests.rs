//! Decisions about what to read from whom.

use super::answer::Learned;
use super::*;
use crate::issue::{Issue, IssueKind};

use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

const TOPIC: &str = "events";
const MISSING: i16 = 3;
const FORBIDDEN: i16 = 29;

fn partition(number: i32) -> Partition {
    Partition {
        topic: TOPIC.into(),
        number,
    }
}

/// An answer of two brokers: partition n is led by broker `leaders[n]`, in epoch 5.
fn answer(id: u128, error: i16, leaders: &[i32]) -> MetadataResponse {
    let broker = |id: i32| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(id))
            .with_host(StrBytes::from_string(format!("kafka-{id}")))
            .with_port(9092)
    };
    let partitions = leaders.iter().zip(0..).map(|(leader, number)| {
        MetadataResponsePartition::default()
            .with_partition_index(number)
            .with_leader_id(BrokerId(*leader))
            .with_leader_epoch(5)
    });
    let topic = MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_static_str(TOPIC))))
        .with_topic_id(Uuid::from_u128(id))
        .with_error_code(error)
        .with_partitions(partitions.collect());
    MetadataResponse::default()
        .with_brokers(vec![broker(1), broker(2)])
        .with_topics(vec![topic])
}

fn kinds(learned: &Learned) -> Vec<String> {
    learned
        .errors
        .iter()
        .map(|error| format!("{:?}", error.kind))
        .collect()
}

fn numbers(plan: &Plan) -> Vec<i32> {
    let mut numbers: Vec<_> = plan.asked.iter().map(|asked| asked.partition.number).collect();
    numbers.sort_unstable();
    numbers
}

/// Three partitions, of which broker 1 leads two.
fn settled() -> Assignment {
    let mut assignment = Assignment::default();
    for number in 0..3 {
        assignment.set(partition(number), 10);
    }
    assert!(assignment.is_unsettled());
    let learned = assignment.learn(&answer(7, 0, &[1, 2, 1]));
    assert_eq!(kinds(&learned), Vec::<String>::new());
    assert!(!assignment.is_unsettled());
    assignment
}

#[test]
fn each_leader_is_asked_for_what_it_leads_and_each_partition_is_first_at_times() {
    let assignment = settled();
    assert_eq!(numbers(&assignment.plan(1, 1, 0)), [0, 2]);
    assert_eq!(numbers(&assignment.plan(2, 1, 0)), [1]);
    assert_eq!(assignment.leaders().len(), 2);
    let first = |turn| assignment.plan(1, 1, turn).asked[0].partition.number;
    assert_eq!([0, 1, 2].map(first), [0, 2, 0]);
    let asked = assignment.plan(2, 1, 0).asked.remove(0);
    assert_eq!(
        (asked.offset, asked.leader_epoch, asked.topic_id),
        (10, 5, Uuid::from_u128(7))
    );
}

/// Answers to what was asked before a `set` or another answer change nothing.
#[test]
fn stale_answers_change_nothing() {
    let mut assignment = settled();
    let asked = assignment.plan(2, 1, 0).asked.remove(0);
    assert!(assignment.advance(&asked, 20).is_some());
    assert!(
        assignment.advance(&asked, 30).is_none(),
        "it was answered already"
    );
    let newer = assignment.plan(2, 1, 0).asked.remove(0);
    assert_eq!(newer.offset, 20);
    assignment.set(partition(1), 20);
    assert!(assignment.advance(&newer, 40).is_none(), "it was set anew");
    assert!(assignment.rest(&newer, PartitionErrorKind::OutOfRange).is_none());
    assignment.remove(&partition(1));
    assert_eq!(numbers(&assignment.plan(2, 1, 0)), Vec::<i32>::new());
}

#[test]
fn what_the_caller_has_not_dropped_yet_is_left_out() {
    let mut assignment = settled();
    let asked = assignment.plan(2, 100, 0).asked.remove(0);
    let ahead = Arc::clone(assignment.advance(&asked, 20).unwrap());
    ahead.store(100, Ordering::Relaxed);
    let plan = assignment.plan(2, 100, 0);
    assert!(plan.asked.is_empty() && plan.holds_back);
    ahead.store(99, Ordering::Relaxed);
    assert_eq!(numbers(&assignment.plan(2, 100, 0)), [1]);
}

#[test]
fn a_leader_in_doubt_is_asked_for_nothing_until_the_cluster_has_spoken() {
    let mut assignment = settled();
    assignment.doubt(1);
    assert_eq!(numbers(&assignment.plan(1, 1, 0)), Vec::<i32>::new());
    assert!(assignment.is_unsettled());
    assert_eq!(assignment.leader(&partition(0)), None);
    // Nobody leads partition 0 for the moment.
    assignment.learn(&answer(7, 0, &[-1, 2, 2]));
    assert_eq!(numbers(&assignment.plan(2, 1, 0)), [1, 2]);
    assert!(assignment.is_unsettled());
    assignment.learn(&answer(7, 0, &[2, 2, 2]));
    assert_eq!(numbers(&assignment.plan(2, 1, 0)), [0, 1, 2]);
}

#[test]
fn a_topic_that_is_made_again_rests_until_it_is_set() {
    let mut assignment = settled();
    assert_eq!(
        kinds(&assignment.learn(&answer(7, MISSING, &[]))),
        Vec::<String>::new()
    );
    assert!(!assignment.is_refused(), "not every broker need know it at once");
    let learned = assignment.learn(&answer(7, MISSING, &[]));
    assert_eq!(kinds(&learned), ["Missing", "Missing", "Missing"]);
    assert_eq!(
        learned.issues,
        [Issue::of_cluster(
            IssueKind::TopicMissing,
            "the topic events is not there"
        )]
    );
    assert!(assignment.is_refused());
    let learned = assignment.learn(&answer(7, MISSING, &[]));
    assert_eq!((kinds(&learned).len(), learned.issues.len()), (0, 1));

    let learned = assignment.learn(&answer(8, 0, &[1, 1, 1]));
    assert_eq!(kinds(&learned), ["Recreated", "Recreated", "Recreated"]);
    assert!(!assignment.is_unsettled() && !assignment.is_refused());
    assert_eq!(numbers(&assignment.plan(1, 1, 0)), Vec::<i32>::new());
    assignment.set(partition(2), 0);
    let plan = assignment.plan(1, 1, 0);
    assert_eq!(numbers(&plan), [2]);
    assert_eq!(plan.asked[0].topic_id, Uuid::from_u128(8));
}

/// A partition that the topic does not have is missing too, and one more of it may come.
#[test]
fn a_partition_that_is_not_there_is_awaited() {
    let mut assignment = settled();
    assignment.set(partition(3), 0);
    for _ in 0..MISSED {
        assignment.learn(&answer(7, 0, &[1, 2, 1]));
    }
    assert!(assignment.is_refused());
    let learned = assignment.learn(&answer(7, 0, &[1, 2, 1]));
    assert_eq!(learned.issues[0].detail, "the partition events/3 is not there");
    assignment.learn(&answer(7, 0, &[1, 2, 1, 2]));
    assert!(!assignment.is_refused());
    assert_eq!(numbers(&assignment.plan(2, 1, 0)), [1, 3]);
}

/// A user may be allowed to look at a topic and not to read it: only the leader's answer shows that it may.
#[test]
fn what_is_refused_stays_so_until_it_is_read() {
    let mut assignment = settled();
    let learned = assignment.learn(&answer(7, FORBIDDEN, &[]));
    assert_eq!(
        learned.issues,
        [Issue::of_cluster(
            IssueKind::NotAuthorised,
            "reading the topic events is not allowed"
        )]
    );
    assignment.learn(&answer(7, 0, &[1, 1, 1]));
    assert!(assignment.is_refused());
    for asked in assignment.plan(1, 1, 0).asked {
        assignment.refuse(&asked);
    }
    assert!(assignment.is_unsettled());
    assignment.learn(&answer(7, 0, &[1, 1, 1]));
    for asked in assignment.plan(1, 1, 0).asked {
        assert!(assignment.is_refused());
        assignment.allow(&asked);
    }
    assert!(!assignment.is_refused());
}
