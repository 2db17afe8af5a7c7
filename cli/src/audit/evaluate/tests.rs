//! Evidence and what it says.

use kafka::formats::sequence::RecordSequence;
use worker::state::GapReason;

use super::*;

const RUN: u64 = 0xabc;

fn partition(number: i32) -> Partition {
    Partition {
        topic: "plays".into(),
        number,
    }
}

/// A partition of which these (shard, number) were stored.
fn stored(numbers: &[(u16, u64)]) -> PartitionState {
    let mut state = PartitionState {
        whole: true,
        records: numbers.len() as u64,
        ..PartitionState::default()
    };
    for (shard, number) in numbers {
        state.audit.observe(
            RecordSequence {
                run: RUN,
                shard: *shard,
                number: *number,
            },
            true,
        );
    }
    state
}

fn look(number: i32, state: PartitionState, tail: impl Into<Option<Tail>>) -> ObservedPartition {
    ObservedPartition {
        partition: partition(number),
        state: Some(state),
        tail: tail.into(),
    }
}

fn nothing_unread() -> Tail {
    Tail {
        read: true,
        ..Tail::default()
    }
}

fn unread(shard: u16, from: u64, to: u64) -> Tail {
    let numbers = BTreeMap::from([((RunId(RUN), shard), (from, to))]);
    Tail {
        records: to - from,
        read: true,
        numbers,
    }
}

/// Checkpoints of shards that have put so many records into partitions 0 and 1.
fn checkpoints(shards: &[(u16, [u64; 2])]) -> Produced {
    let checkpoint = |(shard, counts): &(u16, [u64; 2])| {
        let checkpoint = Checkpoint {
            run: RUN,
            started: jiff::Timestamp::UNIX_EPOCH,
            produced: counts.iter().sum(),
            per_partition: counts.to_vec(),
            fingerprint: 1,
        };
        (*shard, checkpoint)
    };
    Produced::Checkpoints {
        topic: "plays".to_owned(),
        shards: shards.iter().map(checkpoint).collect(),
    }
}

fn result(partitions: Vec<ObservedPartition>, produced: Produced) -> AuditResult {
    evaluate(Evidence {
        partitions,
        produced,
        kafka_problem: None,
    })
}

/// Partition, shard, kind, ranges.
type Found = (i32, u16, DeviationKind, Vec<(u64, u64)>);

/// Everything that is wrong.
fn deviations(result: &AuditResult) -> Vec<Found> {
    let partitions = result.partitions.iter();
    partitions
        .flat_map(|partition| {
            let number = partition.partition.number;
            partition
                .deviations
                .iter()
                .map(move |found| (number, found.shard, found.kind, found.ranges.ranges.clone()))
        })
        .collect()
}

#[test]
fn a_pipeline_that_has_read_everything_is_clean() {
    let result = result(
        vec![
            look(0, stored(&[(3, 0), (3, 1)]), nothing_unread()),
            look(1, stored(&[(3, 0)]), nothing_unread()),
        ],
        checkpoints(&[(3, [2, 1])]),
    );
    assert!(result.is_clean());
    assert_eq!(
        (result.produced, result.stored(), result.unread()),
        (Some(3), 3, Some(0))
    );
}

#[test]
fn removed_and_repeated_records_are_named_by_run_shard_and_number() {
    let numbers: Vec<(u16, u64)> = (0..200)
        .filter(|number| !(120..125).contains(number))
        .chain([7, 7, 8])
        .map(|number| (5, number))
        .collect();
    let result = result(
        vec![look(1, stored(&numbers), nothing_unread())],
        checkpoints(&[(5, [0, 200])]),
    );
    assert_eq!(
        deviations(&result),
        [
            (1, 5, DeviationKind::Missing, vec![(120, 125)]),
            (1, 5, DeviationKind::Doubled, vec![(7, 9)])
        ]
    );
    assert_eq!((result.missing(), result.doubled()), (5, 3));
    assert!(!result.is_clean());
}

/// The last records of a shard leave no gap behind when they vanish: only the checkpoint knows of them.
#[test]
fn a_tail_that_is_neither_stored_nor_in_the_topic_is_missing() {
    let state = || stored(&[(0, 0), (0, 1), (0, 2)]);
    for (tail, expected) in [
        (Some(nothing_unread()), vec![(3, 10)]),
        (Some(unread(0, 3, 10)), vec![]),
        (Some(unread(0, 3, 8)), vec![(8, 10)]),
        (Some(unread(0, 5, 10)), vec![(3, 5)]),
        (Some(unread(0, 5, 7)), vec![(3, 5), (7, 10)]),
        // The generator went on after its checkpoint was read.
        (Some(unread(0, 3, 12)), vec![]),
        // Unread records that were not all read prove nothing, nor does a broker that was not asked.
        (
            Some(Tail {
                records: 7,
                read: false,
                ..Tail::default()
            }),
            vec![],
        ),
        (None, vec![]),
    ] {
        let result = result(vec![look(0, state(), tail.clone())], checkpoints(&[(0, [10, 0])]));
        let found: Vec<(u64, u64)> = deviations(&result)
            .into_iter()
            .flat_map(|deviation| deviation.3)
            .collect();
        assert_eq!(found, expected, "{tail:?}");
    }
}

#[test]
fn a_partition_that_was_never_stored_misses_what_is_not_in_the_topic() {
    let never = |tail| ObservedPartition {
        partition: partition(1),
        state: None,
        tail: Some(tail),
    };
    let lost = result(vec![never(nothing_unread())], checkpoints(&[(0, [0, 4])]));
    assert_eq!(deviations(&lost), [(1, 0, DeviationKind::Missing, vec![(0, 4)])]);
    assert!(result(vec![never(unread(0, 0, 4))], checkpoints(&[(0, [0, 4])])).is_clean());
}

/// Numbers before the first that was seen were never this pipeline's to store.
#[test]
fn a_partition_that_is_joined_late_misses_nothing_before() {
    let joined = PartitionState {
        whole: false,
        ..PartitionState::default()
    };
    assert!(
        result(
            vec![look(0, joined, nothing_unread())],
            checkpoints(&[(0, [50, 0])])
        )
        .is_clean()
    );
}

#[test]
fn a_total_tells_that_records_vanished() {
    let partitions = || vec![look(0, stored(&[(0, 0), (0, 1)]), unread(0, 2, 5))];
    assert!(result(partitions(), Produced::Total(5)).is_clean());
    let short = result(partitions(), Produced::Total(9));
    assert_eq!((short.missing(), short.vanished, short.is_clean()), (4, 4, false));
}

#[test]
fn gaps_are_faults_and_records_of_earlier_runs_count_as_produced() {
    let mut state = stored(&[(0, 0), (0, 1)]);
    state.audit.observe(
        RecordSequence {
            run: 7,
            shard: 0,
            number: 0,
        },
        true,
    );
    let clean = result(
        vec![look(0, state.clone(), nothing_unread())],
        checkpoints(&[(0, [2, 0])]),
    );
    assert_eq!((clean.produced, clean.is_clean()), (Some(3), true));
    state.add_gap(Gap {
        from: 50,
        to: Some(70),
        reason: GapReason::Retention,
    });
    assert!(!result(vec![look(0, state, nothing_unread())], Produced::Unknown).is_clean());
}
