//! Offsets and reports that are missing, old, or not numbers: nothing is concluded from them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use scaler::{Committed, LogRange, Observation, Policy, Reason};
use support::{World, platform};

/// A way in which readings go bad.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    NoLeader,
    CommitUnknown,
    Old,
    AgeUnknown,
    RatesNaN,
    RatesNegative,
    WaitsInfinite,
    NoPartitions,
}

const TROUBLES: [Trouble; 8] = [
    Trouble::NoLeader,
    Trouble::CommitUnknown,
    Trouble::Old,
    Trouble::AgeUnknown,
    Trouble::RatesNaN,
    Trouble::RatesNegative,
    Trouble::WaitsInfinite,
    Trouble::NoPartitions,
];

fn afflict(trouble: Trouble, share: f64, observation: &mut Observation) {
    let count = observation.partitions.len();
    // Reports of single workers may be nonsense; only if all are is nothing known.
    let some = ((count as f64 * share).ceil() as usize).clamp(1, count);
    match trouble {
        Trouble::NoLeader => observation.partitions[..some]
            .iter_mut()
            .for_each(|p| p.log = None),
        Trouble::CommitUnknown => {
            observation.partitions[..some]
                .iter_mut()
                .for_each(|p| p.committed = Committed::Unknown);
        }
        Trouble::Old => observation.partitions[..some]
            .iter_mut()
            .for_each(|p| p.age_seconds = 120.0),
        Trouble::AgeUnknown => observation.partitions[..some]
            .iter_mut()
            .for_each(|p| p.age_seconds = f64::NAN),
        Trouble::RatesNaN => {
            observation
                .partitions
                .iter_mut()
                .for_each(|p| p.records_per_busy_second = Some(f64::NAN));
        }
        Trouble::RatesNegative => {
            observation
                .partitions
                .iter_mut()
                .for_each(|p| p.records_per_busy_second = Some(-2_500.0));
        }
        Trouble::WaitsInfinite => {
            observation
                .partitions
                .iter_mut()
                .for_each(|p| p.sink_wait_share = Some(f64::INFINITY));
        }
        Trouble::NoPartitions => observation.partitions.clear(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Half of the brokers gone, or anything else amiss: as many workers as there were, however the load changes meanwhile.
    #[test]
    fn what_is_not_known_changes_nothing(
        trouble in proptest::sample::select(&TROUBLES[..]),
        share in 0.0..1.0_f64,
        load in 1_000.0..40_000.0_f64,
        then in 0.0..80_000.0_f64,
        seconds in 10_u32..900,
    ) {
        let mut world = World::usual(Policy { min: 0, max: 24, ..Policy::default() });
        world.run(900, |_| load);
        let before = world.group.desired();
        world.forget_changes();
        world.run_seeing(seconds, |_| then, |_, observation| afflict(trouble, share, observation));
        prop_assert_eq!(&world.changes, &[]);
        prop_assert!(world.decisions.iter().all(|decision| decision.reason == Reason::ReadingsMissing));
        prop_assert_eq!(world.group.desired(), before);
        // And then it goes on.
        world.run(1_800, |_| load);
        prop_assert!(!matches!(world.last().reason, Reason::ReadingsMissing | Reason::Measuring));
    }

    /// A worker that reports nonsense does not keep the others from being heard.
    #[test]
    fn a_few_nonsensical_reports_change_nothing(
        nonsense in proptest::sample::select(&[f64::NAN, f64::INFINITY, -1.0, 0.0][..]),
        load in 5_000.0..30_000.0_f64,
    ) {
        let mut world = World::usual(Policy { max: 24, ..Policy::default() });
        world.run(2_400, |_| load);
        world.forget_changes();
        world.run_seeing(600, |_| load, |_, observation| {
            for partition in &mut observation.partitions[..8] {
                partition.records_per_busy_second = Some(nonsense);
            }
        });
        prop_assert_eq!(&world.changes, &[]);
    }
}

#[test]
fn the_text_names_what_is_missing() {
    for (trouble, expected) in [
        (
            Trouble::NoLeader,
            "4 workers, held, since Kafka does not tell the offsets of events/0 and 11 more.",
        ),
        (
            Trouble::Old,
            "4 workers, held, since the offsets of events/0 and 11 more are too old.",
        ),
        (
            Trouble::RatesNaN,
            "4 workers, held, since what the workers report are no rates.",
        ),
        (
            Trouble::NoPartitions,
            "4 workers, held, since there are no partitions to read.",
        ),
    ] {
        let mut world = World::usual(Policy {
            max: 24,
            ..Policy::default()
        });
        world.run(900, |_| 8_000.0);
        world.run_seeing(
            10,
            |_| 8_000.0,
            |_, observation| afflict(trouble, 0.5, observation),
        );
        assert_eq!(world.outcome(), (4, Reason::ReadingsMissing, expected));
    }
}

/// Bounds are the user's: they hold even when nothing can be read.
#[test]
fn bounds_hold_without_readings() {
    let mut world = World::usual(Policy {
        max: 24,
        ..Policy::default()
    });
    world.run(900, |_| 20_000.0);
    assert_eq!(world.group.desired(), 12);
    world.policy.max = 6;
    world.run_seeing(
        10,
        |_| 20_000.0,
        |_, observation| afflict(Trouble::NoLeader, 0.5, observation),
    );
    assert_eq!((world.last().replicas, world.last().reason), (6, Reason::Bounds));
}

#[test]
fn a_clock_that_jumps_changes_nothing() {
    for hours in [-1, 1, 24, -24 * 365] {
        let mut world = World::usual(Policy {
            max: 24,
            ..Policy::default()
        });
        world.run(900, |_| 20_000.0);
        let before = world.group.desired();
        world.forget_changes();
        world.now += SignedDuration::from_hours(hours);
        world.run(600, |_| 20_000.0);
        assert_eq!(world.changes, [], "{hours}");
        assert_eq!(world.group.desired(), before);
        assert_eq!(world.decisions[0].reason, Reason::Measuring);
        assert_eq!(world.last().reason, Reason::Steady);
    }
}

#[test]
fn an_operator_that_restarts_goes_on_where_it_was() {
    let policy = Policy {
        max: 24,
        ..Policy::default()
    };
    let mut whole = World::usual(policy.clone());
    let mut restarted = World::usual(policy);
    for load in [4_000.0, 24_000.0, 4_000.0] {
        for _ in 0..6 {
            whole.run(200, |_| load);
            restarted.run(200, |_| load);
            restarted.restart();
        }
        assert_eq!(whole.group.desired(), restarted.group.desired(), "{load}");
    }
    assert!(restarted.changes.len() <= whole.changes.len());
}

#[test]
fn the_history_is_small_whatever_the_number_of_partitions() {
    let weights = support::equal(1_000);
    let mut world = World::new(
        platform(),
        &weights,
        Policy {
            max: 1_000,
            ..Policy::default()
        },
    );
    let mut longest = 0;
    for minute in 0..120_u32 {
        world.run(60, |_| 20_000.0 + 15_000.0 * (f64::from(minute) / 9.0).sin());
        longest = longest.max(world.restart());
    }
    assert!(longest < 4_096, "{longest} bytes");
}

/// Kafka says −1 where nothing was ever committed.
#[test]
fn nothing_committed_means_the_beginning_or_nothing() {
    for (from_latest, expected) in [(false, 24_000_000), (true, 0)] {
        let mut world = World::usual(Policy {
            max: 24,
            from_latest,
            ..Policy::default()
        });
        world.run_seeing(
            30,
            |_| 0.0,
            |_, observation| {
                for partition in &mut observation.partitions {
                    partition.log = Some(LogRange {
                        start: 500_000,
                        end: 1_500_000,
                    });
                    partition.committed = Committed::At(-1);
                }
            },
        );
        assert_eq!(world.last().terms.lag_records, expected);
        assert!(world.changes.is_empty() || !from_latest);
    }
}

/// Retention deletes what was not read, or the topic is made again: the lag shrinks, and nothing else happens.
#[test]
fn offsets_that_fall_behind_or_go_back_are_no_lag() {
    let mut world = World::usual(Policy {
        max: 24,
        ..Policy::default()
    });
    world.run(900, |_| 20_000.0);
    let before = world.group.desired();
    world.forget_changes();
    world.run_seeing(
        60,
        |_| 20_000.0,
        |_, observation| {
            for partition in &mut observation.partitions {
                // Positions of the topic before.
                partition.log = Some(LogRange { start: 0, end: 10 });
            }
        },
    );
    assert_eq!(world.last().terms.lag_records, 0);
    assert_eq!(world.changes, []);
    assert_eq!(world.group.desired(), before);
    world.run_seeing(
        60,
        |_| 20_000.0,
        |_, observation| {
            for partition in &mut observation.partitions {
                let end = partition.log.unwrap().end;
                partition.log = Some(LogRange { start: end, end });
                partition.committed = Committed::At(0);
            }
        },
    );
    assert_eq!(world.last().terms.lag_records, 0);
    assert!(
        world.changes.iter().all(|(_, from, to)| to <= from),
        "{:?} {:?}",
        world.changes,
        world.decisions
    );
}
