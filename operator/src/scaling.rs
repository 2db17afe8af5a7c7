//! What the scaler looks at: the manifest's policy, and Kafka's answers.

use std::sync::Arc;

use ::kafka::commit_metadata::Telemetry;
use ::kafka::lag::PartitionLag;
use api::{Pipeline, ScalingMode, StartFrom};
use scaler::cron::Schedule;
use scaler::{Committed, LogRange, Mode, PartitionId, PartitionReading, Policy, Window};

/// The policy that a manifest asks for.
#[must_use]
pub fn policy(pipeline: &Pipeline) -> Policy {
    let scaling = &pipeline.scaling;
    Policy {
        min: scaling.min,
        max: scaling.max,
        drain_within: scaling.drain_within,
        freshness: scaling.freshness,
        patience: scaling.patience,
        // What validation has let through is a schedule.
        windows: scaling
            .windows
            .iter()
            .filter_map(|window| {
                Some(Window {
                    start: Schedule::parse(&window.schedule).ok()?,
                    duration: window.duration,
                    min: window.min,
                    max: window.max,
                })
            })
            .collect(),
        mode: match scaling.mode {
            ScalingMode::Auto => Mode::Auto,
            ScalingMode::Recommend => Mode::Recommend,
            ScalingMode::Off => Mode::Off,
        },
        pinned: scaling.replicas,
        from_latest: pipeline
            .topics
            .iter()
            .all(|topic| topic.start_from == StartFrom::Latest),
    }
}

/// A topic's partitions as the scaler sees them, read this moment.
#[must_use]
pub fn readings(topic: &str, partitions: &[PartitionLag]) -> Vec<PartitionReading> {
    let topic: Arc<str> = topic.into();
    partitions
        .iter()
        .map(|partition| {
            // What another program committed is no report.
            let report = partition
                .metadata
                .as_deref()
                .and_then(|text| Telemetry::decode(text).ok().flatten());
            PartitionReading {
                id: PartitionId::new(&topic, partition.partition),
                log: partition.range.map(|range| LogRange {
                    start: range.start,
                    end: range.end,
                }),
                committed: partition.committed.map_or(Committed::Never, Committed::At),
                age_seconds: 0.0,
                records_per_busy_second: report.as_ref().and_then(|report| report.records_per_busy_second),
                sink_wait_share: report.as_ref().and_then(|report| report.sink_wait_share),
                newest_event_ms: report.as_ref().and_then(|report| report.newest_event_ms),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ::kafka::lag::Range;

    use super::*;

    #[test]
    fn every_window_of_a_manifest_is_the_policys() {
        let pipeline = crate::testing::pipeline(
            "scaling: {min: 0, max: 8, freshness: 30s, patience: 5m, windows: [{schedule: '0 18 * * mon-fri', duration: 5h, min: 4}]}",
        );
        let policy = policy(&pipeline);
        assert_eq!((policy.min, policy.max, policy.windows.len()), (0, 8, 1));
        assert_eq!(policy.freshness.map(|freshness| freshness.as_secs()), Some(30));
        assert!(policy.problems().is_empty());
    }

    #[test]
    fn a_worker_s_report_travels_with_its_partition() {
        let lag = |metadata: Option<&str>, committed| PartitionLag {
            partition: 3,
            range: Some(Range { start: 5, end: 90 }),
            committed,
            metadata: metadata.map(str::to_owned),
        };
        let readings = readings(
            "plays",
            &[
                lag(Some(r#"{"r":2500.0,"w":0.25,"t":7,"d":0}"#), Some(40)),
                lag(Some("by another program"), None),
            ],
        );
        assert_eq!(readings[0].id.to_string(), "plays/3");
        assert_eq!(readings[0].records_per_busy_second, Some(2500.0));
        assert_eq!(
            (readings[0].lag(false), readings[1].lag(false)),
            (Some(50), Some(85))
        );
        assert_eq!(readings[1].committed, Committed::Never);
        assert_eq!(readings[1].records_per_busy_second, None);
    }
}
