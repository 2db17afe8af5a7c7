//! A decision must not be felt, however many partitions there are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use scaler::backtest::{self, Contender};
use scaler::{Policy, decide, trace};
use support::{World, equal, platform};

/// Optimised, the goal is a millisecond; tests are not, so they get more.
const SLOWER: u32 = if cfg!(debug_assertions) { 20 } else { 1 };

#[test]
fn a_decision_on_a_thousand_partitions() {
    let mut world = World::new(
        platform(),
        &equal(1_000),
        Policy {
            max: 1_000,
            ..Policy::default()
        },
    );
    world.run(120, |_| 40_000.0);
    let observation = world.group.observe();
    let now = world.now;
    // The fastest of many is what the code takes; the others waited for a core.
    let fastest = (0..50)
        .map(|_| {
            let start = Instant::now();
            let decided = decide(&observation, &world.policy, &world.history, now);
            let took = start.elapsed();
            assert!(decided.0.replicas > 0);
            took
        })
        .min()
        .unwrap();
    assert!(fastest < Duration::from_millis(1) * SLOWER, "{fastest:?}");
}

#[test]
fn a_day_of_one_policy() {
    let day = trace::all(1)
        .into_iter()
        .find(|trace| trace.name == "day")
        .unwrap();
    let ours = Contender::Ours {
        name: "ours".to_owned(),
        policy: Policy {
            max: 24,
            ..Policy::default()
        },
    };
    let fastest = (0..3)
        .map(|_| {
            let start = Instant::now();
            let reports = backtest::run(vec![day.clone()], std::slice::from_ref(&ours), 1);
            assert_eq!(reports.len(), 1);
            start.elapsed()
        })
        .min()
        .unwrap();
    assert!(fastest < Duration::from_secs(1) * SLOWER, "{fastest:?}");
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let run = |seed| {
        let traces = trace::all(seed)
            .into_iter()
            .filter(|trace| trace.name == "step")
            .collect();
        backtest::run(
            traces,
            &backtest::contenders(Policy {
                max: 24,
                ..Policy::default()
            }),
            seed,
        )
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
