//! How workers follow the load.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::time::Duration;

use cron::Schedule;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use scaler::Platform;
use scaler::{Bound, Mode, Policy, Reason, Window, useful};
use support::{World, equal, platform};

fn policy() -> Policy {
    Policy {
        max: 24,
        ..Policy::default()
    }
}

/// No dead zone below the partition count, and no worker beyond it.
#[test]
fn a_load_without_end_gets_a_worker_a_partition() {
    for partitions in [1, 2, 7, 13, 24, 64] {
        let mut world = World::new(
            platform(),
            &equal(partitions),
            Policy {
                max: 1_000,
                ..Policy::default()
            },
        );
        world.run(900, |_| 1e6);
        assert_eq!(world.group.desired() as usize, partitions);
        assert_eq!(
            world.last().bound,
            Some(Bound::Partitions),
            "{}",
            world.last().text
        );
    }
}

#[test]
fn max_is_reached_where_it_is_of_use() {
    for (max, expected) in [(24, 24), (23, 12), (10, 8), (1, 1)] {
        let mut world = World::usual(Policy { max, ..policy() });
        world.run(900, |_| 1e6);
        assert_eq!(world.group.desired(), expected, "max {max}");
        assert!(
            matches!(world.last().bound, Some(Bound::Max | Bound::Partitions)),
            "{}",
            world.last().text
        );
    }
}

proptest! {
    // A fixed seed: this is a measurement of many cases, not a theorem.
    #![proptest_config(ProptestConfig {
        cases: 64,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever comes: only counts of use, at most two steps after a step of the load, and enough workers at the end.
    #[test]
    fn the_right_size_in_two_steps(
        partitions in 1_usize..65,
        before in 500.0..60_000.0_f64,
        factor in 1.5..8.0_f64,
    ) {
        let mut world = World::new(platform(), &equal(partitions), Policy { max: 64, ..Policy::default() });
        world.run(1_800, |_| before);
        world.forget_changes();
        let after = before * factor;
        world.run(1_500, |_| after);
        prop_assert!(world.changes.len() <= 2, "{:?}", world.changes);
        let workers = world.group.desired();
        prop_assert_eq!(workers, useful::at_most(u32::try_from(partitions).unwrap(), workers));
        let enough = useful::worth(u32::try_from(partitions).unwrap(), workers) * 2_500.0 >= after;
        prop_assert!(enough || workers as usize == partitions);
        prop_assert!(world.group.lag() < 20.0 * after || workers as usize == partitions, "lag {}", world.group.lag());
    }
}

/// At most one change an hour under ±20 % of noise, however the load lies between two useful counts, and whether a value
/// lasts for a second or for half a minute.
#[test]
fn noise_does_not_make_it_flap() {
    for (seed, load) in (0..).zip([
        2_000.0, 3_700.0, 6_200.0, 8_400.0, 12_600.0, 17_900.0, 25_000.0, 45_000.0,
    ]) {
        for lasts in [1, 10, 30] {
            let mut random = StdRng::seed_from_u64(seed);
            let mut world = World::usual(policy());
            let mut factor = 1.0;
            let mut load = |second: u32| {
                if second.is_multiple_of(lasts) {
                    factor = random.random_range(0.8..1.2);
                }
                load * factor
            };
            // It may find its size first.
            world.run(1_800, &mut load);
            world.forget_changes();
            world.run(4 * 3_600, &mut load);
            assert!(
                world.changes.len() <= 4,
                "seed {seed}, {lasts} s: {:?}",
                world.changes
            );
        }
    }
}

/// Three minutes until a worker works: what is asked for meanwhile is what was found at the beginning.
#[test]
fn a_slow_start_does_not_overshoot() {
    let slow = Platform {
        start_seconds: 180,
        ..platform()
    };
    let mut world = World::new(slow, &equal(24), policy());
    world.run(1_200, |_| 4_000.0);
    // Once, so that it knows.
    world.run(1_800, |_| 9_000.0);
    world.forget_changes();
    world.run(1_500, |_| 14_000.0);
    let ups: Vec<_> = world.changes.iter().filter(|(_, from, to)| to > from).collect();
    assert_eq!(ups.len(), 1, "{:?}", world.changes);
    // 14,000 arrive, and what gathers in three minutes is drained in as many: 12 workers at the utmost.
    assert!(ups[0].2 <= 12, "{ups:?}");
    let waiting = world
        .decisions
        .iter()
        .filter(|d| d.reason == Reason::WaitingForWorkers)
        .count();
    assert!(waiting > 10, "{waiting}");
    assert!((world.history.start_seconds() - 180.0).abs() < 50.0);
}

#[test]
fn asleep_at_zero_and_awake_for_the_first_record() {
    let alike = Platform {
        rate_noise: 0.0,
        ..platform()
    };
    let mut world = World::new(alike, &equal(24), Policy { min: 0, ..policy() });
    world.run(600, |_| 4_000.0);
    world.run(600, |_| 0.0);
    assert_eq!(
        world.outcome(),
        (
            0,
            Reason::Idle,
            "no workers, since nothing arrives. 0 records/s arrive, a worker does \
         2,500/s, the lag is 0, so that 0 are needed."
        )
    );
    world.run(4 * 3_600, |_| 0.0);
    assert_eq!(world.group.desired(), 0);
    world.forget_changes();
    // A single record.
    world.run(10, |second| if second == 0 { 24.0 } else { 0.0 });
    world.run(10, |_| 0.0);
    assert_eq!(world.changes, [(15_610, 0, 1)]);
    assert_eq!(world.last().reason, Reason::Wake);
    // One look, a worker's start, and a rebalance.
    world.run(40, |_| 0.0);
    assert!(world.group.lag() < 1.0);
    world.run(600, |_| 0.0);
    assert_eq!(world.group.desired(), 0, "{:?}", world.last());
}

#[test]
fn a_great_load_wakes_as_many_as_it_needs() {
    let mut world = World::usual(Policy { min: 0, ..policy() });
    world.run(600, |_| 20_000.0);
    world.run(1_200, |_| 0.0);
    world.forget_changes();
    world.run(60, |_| 20_000.0);
    assert!(world.changes.len() <= 2, "{:?}", world.changes);
    assert!(world.group.desired() >= 12);
}

#[test]
fn fewer_workers_need_a_surplus_that_lasts() {
    let mut world = World::usual(policy());
    world.run(1_200, |_| 20_000.0);
    assert_eq!(world.group.desired(), 12);
    world.forget_changes();
    world.run(170, |_| 4_000.0);
    assert_eq!(
        (world.last().replicas, world.last().reason),
        (12, Reason::SurplusObserved)
    );
    assert!(world.last().earliest_change > world.now);
    assert!(
        world.last().text.contains("Fewer at 12:2"),
        "{}",
        world.last().text
    );
    world.run(120, |_| 4_000.0);
    assert_eq!(
        world.changes.len(),
        1,
        "one rebalance, not one a worker: {:?}",
        world.changes
    );
    assert_eq!(world.changes[0].2, 2);
}

#[test]
fn freshness_shortens_the_time_for_draining() {
    let drained = |freshness: Option<u64>| {
        let mut world = World::usual(Policy {
            drain_within: Duration::from_mins(10),
            freshness: freshness.map(Duration::from_secs),
            ..policy()
        });
        world.run(900, |_| 9_000.0);
        world.run(300, |_| 12_000.0);
        world.changes.iter().map(|(_, _, to)| *to).max().unwrap()
    };
    assert!(drained(Some(20)) > drained(None));
}

#[test]
fn a_pin_a_mode_and_a_window_come_first() {
    let mut world = World::usual(Policy {
        pinned: Some(7),
        ..policy()
    });
    world.run(300, |_| 20_000.0);
    assert_eq!((world.last().replicas, world.last().reason), (7, Reason::Pinned));
    assert!(world.last().recommended >= 12);
    for mode in [Mode::Recommend, Mode::Off] {
        let mut world = World::usual(Policy {
            mode,
            min: 2,
            ..policy()
        });
        world.run(300, |_| 20_000.0);
        assert_eq!(
            (world.last().replicas, world.last().reason),
            (2, Reason::NotApplied)
        );
        assert_eq!(world.last().recommended >= 12, mode == Mode::Recommend);
    }
    let evening = Window {
        start: Schedule::parse("5 12 * * *").unwrap(),
        duration: Duration::from_mins(10),
        min: Some(6),
        max: None,
    };
    let mut world = World::usual(Policy {
        windows: vec![evening],
        ..policy()
    });
    world.run(290, |_| 2_000.0);
    assert_eq!(world.group.desired(), 1);
    assert_eq!(world.last().earliest_change.to_string(), "2026-11-21T12:04:40Z");
    world.run(30, |_| 2_000.0);
    assert_eq!(
        (world.last().replicas, world.last().reason),
        (6, Reason::WaitingForWorkers)
    );
    world.run(300, |_| 2_000.0);
    assert_eq!(
        (world.last().replicas, world.last().bound),
        (6, Some(Bound::Window))
    );
    world.run(1_200, |_| 2_000.0);
    assert_eq!(world.group.desired(), 1);
}
