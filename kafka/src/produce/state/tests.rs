use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use proptest::prelude::*;

use super::*;
use crate::error_code::ErrorCode;
use crate::group::Membership;
use crate::produce::builder::{BatchBuilder, Record};
use crate::produce::encoder::BatchEncoder;

const IDENTITY: ProducerIdentity = ProducerIdentity { id: 5, epoch: 3 };
const BROKERS: i32 = 2;

/// Brokers 0 and 1, and who leads each partition.
fn metadata(leaders: &[i32]) -> MetadataResponse {
    let broker = |id| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(id))
            .with_host(StrBytes::from_static_str("kafka"))
            .with_port(9_000 + id)
    };
    let partition = |(index, leader): (usize, &i32)| {
        MetadataResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(BrokerId(*leader))
    };
    let topic = MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_static_str("t"))))
        .with_partitions(leaders.iter().enumerate().map(partition).collect());
    MetadataResponse::default()
        .with_brokers((0..BROKERS).map(broker).collect())
        .with_topics(vec![topic])
}

fn failed(code: i16) -> MetadataResponse {
    let mut answer = metadata(&[]);
    answer.topics[0].error_code = code;
    answer
}

fn builder(records: i32) -> BatchBuilder {
    let mut builder = BatchBuilder::default();
    for _ in 0..records {
        let record = Record {
            key: None,
            value: Some(b"value"),
            headers: &[],
        };
        builder.append(&record, 0);
    }
    builder
}

fn started(leaders: &[i32]) -> State {
    let mut state = State::new(true);
    assert_eq!(state.step(), None);
    state.start();
    assert_eq!(state.step(), Some(Step::Start));
    assert_eq!(state.learn("t", &metadata(leaders)), None);
    assert!(!state.is_ready());
    state.started(IDENTITY);
    assert!(!state.is_ready());
    let partitions = (0..leaders.len()).collect();
    assert_eq!(state.step(), Some(Step::Clear(IDENTITY, partitions)));
    state.cleared(IDENTITY);
    assert!(state.is_ready());
    state
}

fn offsets() -> Offsets {
    Offsets {
        member: Membership {
            group: "g".to_owned(),
            member_id: "m".to_owned(),
            generation: 1,
            instance_id: None,
        },
        topic: "shards".to_owned(),
        offsets: vec![(0, 7, String::new())],
    }
}

/// The base sequence that a sealed batch says.
fn sequence(asked: &InFlight) -> i32 {
    i32::from_be_bytes(asked.batch[53..57].try_into().unwrap())
}

fn seal_all(state: &mut State, broker: i32, ahead: bool) -> usize {
    let mut encoder = BatchEncoder::default();
    let mut sealed = 0;
    while let Some(task) = state.take(broker, ahead) {
        let batch = encoder.encode(&task.builder, task.identity);
        state.put(task, batch);
        sealed += 1;
    }
    sealed
}

#[test]
fn a_transaction_goes_its_way() {
    let mut state = started(&[0, 1]);
    let current = state.transaction();
    state.touch(1, current);
    assert_eq!(state.step(), Some(Step::Add(IDENTITY, vec![1])));
    state.push(1, current, builder(3));
    // Not before the coordinator knows of it.
    assert_eq!(seal_all(&mut state, 1, false), 0);
    state.added(&[1]);
    assert_eq!(state.step(), None);
    state.push(1, current, builder(2));
    assert!(!state.is_open(1));
    assert_eq!(
        (seal_all(&mut state, 0, true), seal_all(&mut state, 1, false)),
        (0, 1)
    );
    assert!(state.has_plan(1) && !state.has_plan(0));
    let plan = state.plan(1);
    assert_eq!(plan.iter().map(sequence).collect::<Vec<_>>(), [0]);

    // The offsets go while batches are under way, the end does not.
    state.commit(Some(offsets()));
    assert_eq!(state.step(), Some(Step::Offsets(IDENTITY, Arc::new(offsets()))));
    state.offsets_taken();
    assert_eq!(state.step(), None);

    // What is written now belongs to the next one.
    state.touch(0, current + 1);
    state.push(0, current + 1, builder(1));
    state.push(1, current + 1, builder(4));
    state.arrived(&plan[0]);
    assert_eq!(state.under_way(), 7);
    assert_eq!(seal_all(&mut state, 1, true), 2);
    let plan = state.plan(1);
    assert_eq!(plan.iter().map(sequence).collect::<Vec<_>>(), [3]);
    state.arrived(&plan[0]);
    assert!(!state.has_plan(1));
    assert_eq!(state.step(), Some(Step::End(IDENTITY)));
    state.committed();
    assert_eq!(state.transaction(), current + 1);
    assert_eq!(state.step(), Some(Step::Add(IDENTITY, vec![0, 1])));
    state.added(&[0, 1]);
    seal_all(&mut state, 0, false);
    assert_eq!(state.plan(0).iter().map(sequence).collect::<Vec<_>>(), [0]);
    assert_eq!(state.plan(1).iter().map(sequence).collect::<Vec<_>>(), [5]);
}

/// Answers to what was asked before a start count no more, and neither does what was written.
#[test]
fn a_start_begins_from_nothing() {
    let mut state = started(&[0]);
    let current = state.transaction();
    state.touch(0, current);
    state.push(0, current, builder(3));
    state.added(&[0]);
    seal_all(&mut state, 0, false);
    let before = state.plan(0);
    state.push(0, current, builder(1));
    let task = state.take(0, true).unwrap();
    state.fail(ProduceError::Refused {
        request: "EndTxn",
        code: ErrorCode::ProducerFenced,
    });
    assert!(state.failure().is_some());
    assert_eq!((state.plan(0), state.step()), (Vec::new(), None));

    state.start();
    assert_eq!((state.failure(), state.held(), state.under_way()), (None, 0, 0));
    state.started(IDENTITY);
    state.cleared(IDENTITY);
    let current = state.transaction();
    state.touch(0, current);
    state.push(0, current, builder(2));
    state.added(&[0]);
    let held = state.held();
    let batch = BatchEncoder::default().encode(&task.builder, task.identity);
    state.put(task, batch);
    state.arrived(&before[0]);
    state.refuse(&before[0], ErrorCode::MessageTooLarge);
    state.unsettle(&before[0], String::new());
    assert_eq!(
        (state.failure(), state.held(), state.under_way()),
        (None, held, 2)
    );
    seal_all(&mut state, 0, false);
    assert_eq!(state.plan(0).iter().map(sequence).collect::<Vec<_>>(), [0]);
}

#[test]
fn leaders_are_followed_and_doubted() {
    let mut state = started(&[0, 1, 0]);
    assert_eq!(state.leaders().len(), 2);
    assert!(!state.is_unsettled());
    state.doubt(0);
    assert!(state.is_unsettled());
    assert_eq!(state.leaders().keys().collect::<Vec<_>>(), [&1]);
    // One has none for the moment, and there is one more.
    state.learn("t", &metadata(&[1, -1, 1, 0]));
    assert!(state.is_unsettled());
    assert_eq!((state.partitions(), state.leaders().len()), (4, 2));
    // An answer about other topics, or one that is no answer, says nothing.
    state.learn("another", &metadata(&[0]));
    state.learn("t", &failed(15));
    assert_eq!((state.partitions(), state.leaders().len()), (4, 2));
    // Made again with fewer: the others are there, and nobody leads them, until the next start.
    state.learn("t", &metadata(&[1]));
    assert_eq!((state.partitions(), state.is_unsettled()), (4, true));
    state.start();
    assert_eq!((state.partitions(), state.is_unsettled()), (1, false));
}

#[test]
fn a_topic_is_missing_when_several_miss_it() {
    let mut state = started(&[0]);
    assert_eq!(state.learn("t", &failed(3)), None);
    assert!(state.is_unsettled());
    assert_eq!(state.topic_error(), None);
    let issue = state.learn("t", &failed(3)).unwrap();
    assert!(issue.detail.contains("not there"), "{issue}");
    assert!(state.topic_error().is_some());
    let issue = state.learn("t", &failed(29)).unwrap();
    assert!(issue.detail.contains("not allowed"), "{issue}");
    state.learn("t", &metadata(&[0]));
    assert_eq!(state.topic_error(), None);
}

#[test]
fn batches_become_smaller_until_they_hold_one_record() {
    for (records, lasting) in [(2, false), (1, true)] {
        let mut state = started(&[0]);
        let (current, before) = (state.transaction(), state.batch_bytes());
        state.touch(0, current);
        state.push(0, current, builder(records));
        state.added(&[0]);
        seal_all(&mut state, 0, false);
        let plan = state.plan(0);
        state.refuse(&plan[0], ErrorCode::MessageTooLarge);
        assert_eq!(state.failure().unwrap().is_lasting(), lasting);
        assert!(state.batch_bytes() < before);
    }
}

/// A broker's copy of a partition: who wrote what under which transaction.
#[derive(Debug, Default)]
struct Log {
    /// Transaction, first sequence, records.
    batches: Vec<(u64, i32, i32)>,
}

impl Log {
    /// What Kafka does: takes the next sequence, knows the last ones again, refuses all others.
    fn append(&mut self, transaction: u64, batch: &InFlight) {
        let sequence = sequence(batch);
        let count = i32::from_be_bytes(batch.batch[57..61].try_into().unwrap());
        let next = self.batches.last().map_or(0, |(_, first, count)| first + count);
        if sequence == next {
            self.batches.push((transaction, sequence, count));
        } else {
            assert!(
                self.batches.iter().any(|(_, first, _)| *first == sequence),
                "{sequence} is neither next nor known: {self:?}"
            );
        }
    }
}

#[derive(Debug, Clone)]
enum Deed {
    Write {
        partition: usize,
        records: i32,
    },
    Commit,
    Step,
    Seal {
        broker: i32,
        ahead: bool,
    },
    Ask {
        broker: i32,
    },
    /// The oldest request that was asked reaches its broker, and the answer this side, or not.
    Answer {
        arrives: bool,
        answered: bool,
    },
    Lead {
        partition: usize,
        broker: i32,
    },
    Doubt {
        broker: i32,
    },
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let broker = || 0..BROKERS;
    let deed = prop_oneof![
        4 => (0..3_usize, 1..4_i32).prop_map(|(partition, records)| Deed::Write { partition, records }),
        1 => Just(Deed::Commit),
        4 => Just(Deed::Step),
        4 => (broker(), any::<bool>()).prop_map(|(broker, ahead)| Deed::Seal { broker, ahead }),
        4 => broker().prop_map(|broker| Deed::Ask { broker }),
        4 => (any::<bool>(), any::<bool>()).prop_map(|(arrives, answered)| Deed::Answer { arrives, answered }),
        1 => (0..3_usize, broker()).prop_map(|(partition, broker)| Deed::Lead { partition, broker }),
        1 => broker().prop_map(|broker| Deed::Doubt { broker }),
    ];
    prop::collection::vec(deed, 0..300)
}

proptest! {
    /// Whatever is lost, late or sent twice: each partition gets every record once and in order, within the
    /// transaction that it was written in, and a transaction ends when all of it is there.
    #[test]
    fn everything_arrives_once_and_in_its_transaction(deeds in deeds()) {
        let mut leaders = vec![0, 1, 0];
        let mut state = started(&leaders);
        let mut logs: Vec<Log> = (0..3).map(|_| Log::default()).collect();
        let mut written: Vec<Vec<(u64, i32)>> = vec![Vec::new(); 3];
        let mut open = state.transaction();
        let mut requests: Vec<Vec<InFlight>> = Vec::new();
        // At last everything that is left goes its way.
        let rest = (0..400).flat_map(|_| {
            [Deed::Step, Deed::Seal { broker: 0, ahead: false }, Deed::Seal { broker: 1, ahead: false },
             Deed::Ask { broker: 0 }, Deed::Ask { broker: 1 }, Deed::Answer { arrives: true, answered: true },
             Deed::Answer { arrives: true, answered: true }, Deed::Answer { arrives: true, answered: true },
             Deed::Lead { partition: 0, broker: 1 }]
        });
        for deed in deeds.into_iter().chain([Deed::Commit]).chain(rest) {
            match deed {
                Deed::Write { partition, records } => {
                    state.touch(partition, open);
                    state.push(partition, open, builder(records));
                    written[partition].push((open, records));
                }
                Deed::Commit if state.transaction() == open => {
                    state.commit(Some(offsets()));
                    open += 1;
                }
                Deed::Step => match state.step() {
                    Some(Step::Add(_, partitions)) => state.added(&partitions),
                    Some(Step::Offsets(..)) => state.offsets_taken(),
                    Some(Step::End(_)) => {
                        let current = state.transaction();
                        for (log, written) in logs.iter().zip(&written) {
                            let arrived: i32 = log.batches.iter().map(|(_, _, count)| count).sum();
                            let due: i32 = written.iter().filter(|(of, _)| *of <= current).map(|(_, count)| count).sum();
                            prop_assert_eq!(arrived, due);
                        }
                        state.committed();
                    }
                    Some(Step::Start | Step::Clear(..)) => prop_assert!(false),
                    None => {}
                },
                Deed::Seal { broker, ahead } => {
                    seal_all(&mut state, broker, ahead);
                }
                Deed::Ask { broker } => requests.push(state.plan(broker)),
                Deed::Answer { arrives, answered } if !requests.is_empty() => {
                    for asked in requests.remove(0) {
                        if arrives {
                            logs[asked.partition].append(state.transaction(), &asked);
                        }
                        match (arrives, answered) {
                            (true, true) => state.arrived(&asked),
                            (false, true) => state.unsettle(&asked, String::new()),
                            (_, false) => {}
                        }
                    }
                }
                Deed::Commit | Deed::Answer { .. } => {}
                Deed::Lead { partition, broker } => {
                    leaders[partition] = broker;
                    state.learn("t", &metadata(&leaders));
                }
                Deed::Doubt { broker } => state.doubt(broker),
            }
        }
        let left = state.under_way();
        let uncommitted: i32 = written.iter().flatten().filter(|(of, _)| *of == open).map(|(_, count)| count).sum();
        prop_assert!(left <= uncommitted as u64, "{left} of {uncommitted} are left");
        for (log, written) in logs.iter().zip(&written) {
            let arrived: Vec<(u64, i32)> = log.batches.iter().map(|(of, _, count)| (*of, *count)).collect();
            prop_assert_eq!(&arrived[..], &written[..arrived.len()]);
        }
        if left == 0 {
            prop_assert_eq!(state.held(), 0);
        }
    }

    #[test]
    fn sequences_go_round(sequence in 0..=i32::MAX, count in 1..1_000_000) {
        let next = i64::from(sequence) + i64::from(count);
        let expected = if next > i64::from(i32::MAX) { next - i64::from(i32::MAX) - 1 } else { next };
        prop_assert_eq!(i64::from(super::queue::following(sequence, count)), expected);
    }
}
