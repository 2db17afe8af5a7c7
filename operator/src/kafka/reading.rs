//! What one reading of Kafka gives: how far the workers are, and what they report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::kafka::formats::commit_metadata::{AuditCounts, Telemetry};
use ::kafka::lag::PartitionLag;
use scaler::{Committed, Handover, LogRange, PartitionId, PartitionReading};
use tokio::time::Instant;

/// How far the workers were at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct KafkaReading {
    /// When Kafka had answered.
    pub at: Instant,
    /// In the order of the manifest.
    pub topics: Vec<TopicReading>,
    /// Rows stored since the beginning, by table; a table that some partition did not tell of is left out.
    pub rows: BTreeMap<String, u64>,
    /// Dead letters since the beginning.
    pub dead_letters: u64,
    /// The audit since the beginning.
    pub audit: AuditCounts,
    /// Partitions whose worker has reported.
    pub reports: usize,
    /// All partitions, for the scaler; only the newest reading of a history has them.
    pub partitions: Vec<PartitionReading>,
    /// By the worker's name; only the newest reading of a history has it.
    pub workers: BTreeMap<String, WorkerLoad>,
}

/// What a worker would hand over if it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkerLoad {
    /// How many are assigned to it.
    pub partitions: u32,
    /// Records that wait in them, as far as is known.
    pub lag: u64,
}

/// How far the workers were in one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReading {
    pub name: String,
    pub partitions: i32,
    /// Records that wait; `None` while some partition has no leader.
    pub lag: Option<u64>,
    /// Sum of the offsets up to which is stored.
    pub stored: i64,
    /// Sum of the offsets after the newest records; `None` while some partition has no leader.
    pub end: Option<i64>,
}

impl KafkaReading {
    /// Adds up partitions.
    #[must_use]
    pub fn new(at: Instant, topics: &[(String, Vec<PartitionLag>)]) -> Self {
        let mut reading = Self {
            at,
            topics: Vec::with_capacity(topics.len()),
            rows: BTreeMap::new(),
            dead_letters: 0,
            audit: AuditCounts::default(),
            reports: 0,
            partitions: Vec::new(),
            workers: BTreeMap::new(),
        };
        let mut rows_known = true;
        for (name, partitions) in topics {
            reading.topics.push(TopicReading {
                name: name.clone(),
                partitions: partitions.len() as i32,
                lag: partitions.iter().map(PartitionLag::lag).sum(),
                stored: partitions
                    .iter()
                    .map(|partition| {
                        partition
                            .committed
                            .or(partition.range.map(|range| range.start))
                            .unwrap_or(0)
                    })
                    .sum(),
                end: partitions
                    .iter()
                    .map(|partition| partition.range.map(|range| range.end))
                    .sum(),
            });
            let topic = Arc::from(name.as_str());
            for partition in partitions {
                let report = partition.report();
                reading
                    .partitions
                    .push(partition_reading(&topic, partition, report.as_ref()));
                let Some(report) = report else {
                    continue;
                };
                let load = reading.workers.entry(report.worker).or_default();
                load.partitions += 1;
                load.lag += partition.lag().unwrap_or(0);
                reading.reports += 1;
                reading.dead_letters += report.dead_letters;
                reading.audit.missing += report.audit.missing;
                reading.audit.doubled += report.audit.doubled;
                reading.audit.reordered += report.audit.reordered;
                match report.rows {
                    Some(rows) => {
                        for (table, count) in rows {
                            *reading.rows.entry(table).or_default() += count;
                        }
                    }
                    None => rows_known = false,
                }
            }
        }
        if !rows_known {
            reading.rows.clear();
        }
        reading
    }

    /// Records that wait in all topics.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        self.topics.iter().map(|topic| topic.lag).sum()
    }

    pub(super) fn stored(&self) -> i64 {
        self.topics.iter().map(|topic| topic.stored).sum()
    }
}

/// A partition as the scaler sees it, read this moment.
#[must_use]
pub fn partition_reading(
    topic: &Arc<str>,
    partition: &PartitionLag,
    report: Option<&Telemetry>,
) -> PartitionReading {
    PartitionReading {
        id: PartitionId::new(topic, partition.partition),
        log: partition.range.map(|range| LogRange {
            start: range.start,
            end: range.end,
        }),
        committed: partition.committed.map_or(Committed::Never, Committed::At),
        age_seconds: 0.0,
        records_per_busy_second: report.and_then(|report| report.records_per_busy_second),
        sink_wait_share: report.and_then(|report| report.sink_wait_share),
        newest_event_ms: report.and_then(|report| report.newest_event_ms),
        handover: report
            .and_then(|report| report.handover)
            .map(|handover| Handover {
                at_ms: handover.at_ms,
                pause_seconds: Duration::from_millis(handover.pause_ms).as_secs_f64(),
            }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ::kafka::lag::Range;

    use super::*;

    pub(in crate::kafka) fn partition(
        number: i32,
        start: i64,
        end: i64,
        committed: i64,
        metadata: &str,
    ) -> PartitionLag {
        PartitionLag {
            partition: number,
            range: Some(Range { start, end }),
            committed: Some(committed),
            metadata: (!metadata.is_empty()).then(|| metadata.to_owned()),
        }
    }

    #[test]
    fn partitions_add_up() {
        let report = r#"{"n":{"plays":7},"d":3,"a":{"m":1}}"#;
        let topics = [
            (
                "a".to_owned(),
                vec![partition(0, 0, 10, 4, report), partition(1, 5, 9, 7, report)],
            ),
            ("b".to_owned(), vec![partition(0, 0, 3, 3, "not a report")]),
        ];
        let reading = KafkaReading::new(Instant::now(), &topics);
        assert_eq!(reading.lag(), Some(8));
        assert_eq!(reading.topics[0].stored, 11);
        assert_eq!(reading.rows, BTreeMap::from([("plays".to_owned(), 14)]));
        assert_eq!(
            (reading.dead_letters, reading.audit.missing, reading.reports),
            (6, 2, 2)
        );
    }

    #[test]
    fn unknown_is_not_zero() {
        let mut leaderless = partition(0, 0, 10, 4, r#"{"d":1}"#);
        leaderless.range = None;
        let topics = [(
            "a".to_owned(),
            vec![leaderless, partition(1, 0, 5, 5, r#"{"n":{"plays":7}}"#)],
        )];
        let reading = KafkaReading::new(Instant::now(), &topics);
        assert_eq!(reading.lag(), None);
        assert!(reading.rows.is_empty(), "one partition did not tell its rows");
    }

    #[test]
    fn a_worker_s_report_travels_with_its_partition() {
        let lag = |metadata: Option<&str>, committed| PartitionLag {
            partition: 3,
            range: Some(Range { start: 5, end: 90 }),
            committed,
            metadata: metadata.map(str::to_owned),
        };
        let topic = "plays".into();
        let readings = [
            lag(Some(r#"{"r":2500.0,"w":0.25,"t":7,"d":0}"#), Some(40)),
            lag(Some("by another program"), None),
        ]
        .map(|partition| partition_reading(&topic, &partition, partition.report().as_ref()));
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
