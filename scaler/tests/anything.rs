//! Readings that make no sense at all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use scaler::{
    Committed, Decision, Handover, History, LogRange, Observation, PartitionId, PartitionReading, Policy,
    decide,
};

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), 0.0..5_000.0_f64, Just(f64::NAN), Just(-1.0)]
}

fn any_offset() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -2..10_000_000_i64]
}

prop_compose! {
    fn any_partition()(
        partition in 0..40_i32,
        log in proptest::option::weighted(0.95, (any_offset(), any_offset())),
        committed in prop_oneof![
            9 => any_offset().prop_map(Committed::At),
            1 => Just(Committed::Never),
            1 => Just(Committed::Unknown),
        ],
        age_seconds in prop_oneof![9 => Just(1.0), 1 => any_number()],
        records_per_busy_second in proptest::option::of(any_number()),
        sink_wait_share in proptest::option::of(any_number()),
        newest_event_ms in proptest::option::of(any::<i64>()),
        handover in proptest::option::of((any::<i64>(), any_number())),
    ) -> PartitionReading {
        PartitionReading {
            id: PartitionId::new(&"events".into(), partition),
            log: log.map(|(start, end)| LogRange { start, end }),
            committed,
            age_seconds,
            records_per_busy_second,
            sink_wait_share,
            newest_event_ms,
            handover: handover.map(|(at_ms, pause_seconds)| Handover { at_ms, pause_seconds }),
        }
    }
}

prop_compose! {
    fn any_observation()(
        partitions in proptest::collection::vec(any_partition(), 0..8),
        desired in 0_u32..30,
        ready in 0_u32..30,
    ) -> Observation {
        Observation { partitions, desired, ready }
    }
}

proptest! {
    /// However mad the readings and the clock: a decision within the bounds, whose terms are numbers.
    #[test]
    fn nothing_that_is_read_breaks_a_decision(
        readings in proptest::collection::vec((any_observation(), -5_000_i64..5_000), 1..12),
        min in 0_u32..5,
        freshness in proptest::option::of(1_u64..100),
    ) {
        let policy = Policy {
            min,
            max: 20,
            freshness: freshness.map(std::time::Duration::from_secs),
            ..Policy::default()
        };
        let mut now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let mut history = History::default();
        for (observation, seconds) in readings {
            now += SignedDuration::from_secs(seconds);
            let (decision, next) = decide(&observation, &policy, &history, now);
            prop_assert!((min..=20).contains(&decision.replicas), "{decision:?}");
            let text = serde_json::to_string(&decision).unwrap();
            // What is not known is left out; only what is no number is null.
            prop_assert!(!text.contains("null"), "{}", text);
            prop_assert!(serde_json::from_str::<Decision>(&text).is_ok(), "{}", text);
            let saved = serde_json::to_string(&next).unwrap();
            prop_assert!(serde_json::from_str::<History>(&saved).is_ok(), "{saved}");
            history = next;
        }
    }
}
