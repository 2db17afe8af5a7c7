//! Where more workers do not help: a sink at its limit, hot and stalled partitions, dear rebalances.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use scaler::Platform;
use scaler::{Bound, Policy, Reason};
use support::{World, equal, platform};

fn policy() -> Policy {
    Policy {
        max: 24,
        ..Policy::default()
    }
}

fn zipf(partitions: usize) -> Vec<f64> {
    (1..=partitions).map(|rank| 1.0 / rank as f64).collect()
}

/// A sink that takes 6,000 records a second, and 20,000 come.
#[test]
fn a_saturated_sink_is_met_once_and_said() {
    let slow = Platform {
        sink_per_second: Some(6_000.0),
        workers: 1,
        ..platform()
    };
    let mut world = World::new(slow, &equal(24), policy());
    world.run(600, |_| 2_000.0);
    world.forget_changes();
    world.run(1_200, |_| 20_000.0);
    assert!(world.changes.len() <= 4, "{:?}", world.changes);
    assert_eq!(world.group.desired(), 3, "{:?}", world.changes);
    assert_eq!(
        (world.last().reason, world.last().bound),
        (Reason::SinkSaturated, Some(Bound::Sink))
    );
    assert!(world.last().sink_saturated);
    let found = world.last().terms.sink_per_second.unwrap();
    assert!((found - 6_000.0).abs() < 1_200.0, "{found}");
    // Nothing more for an hour of the same.
    world.forget_changes();
    world.run(3_600, |_| 20_000.0);
    assert_eq!(world.changes, []);
    let text = world.last().text.clone();
    assert!(
        text.starts_with("3 workers, since the sink takes no more. 20,000 records/s arrive"),
        "{text}"
    );
    // Within what the sink takes it scales as ever, once the backlog is gone.
    world.run(9 * 3_600, |_| 2_000.0);
    assert_eq!(
        (world.group.desired(), world.last().sink_saturated),
        (1, false),
        "{}",
        world.last().text
    );
    world.run(600, |_| 4_500.0);
    assert_eq!(
        (world.group.desired(), world.last().sink_saturated),
        (3, false),
        "{}",
        world.last().text
    );
}

#[test]
fn waiting_for_the_sink_alone_is_no_reason_not_to_scale() {
    let distant = Platform {
        sink_wait: 0.7,
        ..platform()
    };
    let mut world = World::new(distant, &equal(24), policy());
    world.run(1_200, |_| 4_000.0);
    world.run(3_600, |_| 20_000.0);
    assert_eq!(world.group.desired(), 12, "{}", world.last().text);
    assert!(!world.last().sink_saturated);
}

/// One partition gets more than a worker can do: it is named, and the others' need decides.
#[test]
fn a_hot_partition_is_named_and_not_scaled_for_in_vain() {
    let mut weights = equal(24);
    weights[5] = 30.0;
    let mut world = World::new(platform(), &weights, policy());
    // 5,660 a second in the hot one, 190 in each other.
    world.run(5_400, |_| 10_000.0);
    let most = world.changes.iter().map(|(_, _, to)| *to).max().unwrap();
    assert!(most <= 12, "{:?}", world.changes);
    assert_eq!(world.last().reason, Reason::HotPartition, "{}", world.last().text);
    assert_eq!(world.last().terms.hot_partitions, ["events/5"]);
    assert!(
        world
            .last()
            .text
            .contains("More arrives in events/5 than one worker can do"),
        "{}",
        world.last().text
    );
    world.forget_changes();
    world.run(3_600, |_| 10_000.0);
    assert_eq!(
        world.changes,
        [],
        "the lag of the hot partition grows, and that is no reason"
    );
}

#[test]
fn skew_that_can_be_borne_is_borne() {
    let mut world = World::new(platform(), &zipf(24), policy());
    world.run(3_600, |_| 6_000.0);
    assert!(world.group.lag() < 60_000.0, "{}", world.group.lag());
    assert!(world.last().terms.hot_partitions.is_empty());
}

/// A partition that stands still, say on a record that halts it, is not helped by workers.
#[test]
fn a_stalled_partition_is_named_and_no_reason() {
    let mut world = World::usual(policy());
    world.run(900, |_| 12_000.0);
    world.forget_changes();
    let mut stuck_at = None;
    world.run_seeing(
        3_600,
        |_| 12_000.0,
        |_, observation| {
            let partition = &mut observation.partitions[3];
            partition.committed = *stuck_at.get_or_insert(partition.committed);
        },
    );
    // What it lagged by before that was certain may have asked for more for a while.
    assert_eq!(world.group.desired(), 6, "{:?}", world.changes);
    assert!(world.changes.len() <= 2, "{:?}", world.changes);
    assert!(
        world
            .last()
            .text
            .contains("events/3 is standing still: look at the worker's log"),
        "{}",
        world.last().text
    );
}

/// A sink that is down: workers would only wait for it in greater number.
#[test]
fn where_nothing_moves_nothing_is_added() {
    let mut world = World::usual(policy());
    world.run(900, |_| 12_000.0);
    world.forget_changes();
    let mut frozen = None;
    world.run_seeing(
        1_800,
        |_| 12_000.0,
        |_, observation| {
            let frozen: &Vec<_> =
                frozen.get_or_insert_with(|| observation.partitions.iter().map(|p| p.committed).collect());
            for (partition, committed) in observation.partitions.iter_mut().zip(frozen) {
                partition.committed = *committed;
            }
        },
    );
    assert_eq!(
        (world.last().reason, &world.changes[..]),
        (Reason::NoProgress, &[][..])
    );
    // It moves again.
    world.run(600, |_| 12_000.0);
    assert_eq!(world.last().reason, Reason::Steady);
}

/// Workers that claim twice what they are seen to do are not believed.
#[test]
fn an_exaggerated_rate_is_corrected() {
    let mut world = World::usual(policy());
    let exaggerate = |_: u32, observation: &mut scaler::Observation| {
        for partition in &mut observation.partitions {
            partition.records_per_busy_second = partition.records_per_busy_second.map(|rate| 2.0 * rate);
        }
    };
    world.run_seeing(600, |_| 4_000.0, exaggerate);
    world.run_seeing(1_800, |_| 18_000.0, exaggerate);
    assert!(
        world.group.lag() < 10.0 * 18_000.0,
        "{} {:?}",
        world.group.lag(),
        world.changes
    );
    assert!(world.group.desired() >= 8);
}

/// With a pause of 90 s, a backlog that is gone in less is left alone, and fewer workers wait for longer.
#[test]
fn the_measured_cost_of_a_rebalance_counts() {
    let changes = |pause_seconds: u32| {
        let platform = Platform {
            pause_seconds,
            ..platform()
        };
        let mut world = World::new(platform, &equal(24), policy());
        for _ in 0..6 {
            world.run(600, |_| 5_000.0);
            world.run(600, |_| 9_000.0);
        }
        (world.changes.len(), world.history.pause_seconds())
    };
    let (cheap, short) = changes(2);
    let (dear, long) = changes(90);
    assert!(dear < cheap, "{dear} against {cheap}");
    assert!(short < 10.0 && long > 30.0, "{short} {long}");
}
