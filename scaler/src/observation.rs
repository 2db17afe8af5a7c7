//! What is known about a pipeline at one instant: all of it comes from Kafka and from the number of pods.

use std::sync::Arc;

/// A partition's name; ordered by topic and number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    pub topic: Arc<str>,
    pub partition: i32,
}

/// How far a consumer group is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The next offset that the group will read. A negative one (Kafka's −1) means [`Never`](Self::Never).
    At(i64),
    /// The group has never committed an offset here.
    Never,
    /// It could not be read.
    Unknown,
}

/// The records of a partition that may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRange {
    /// Offset of the oldest record.
    pub start: i64,
    /// Offset after the newest record.
    pub end: i64,
}

/// What Kafka says about one partition, and what its worker reported along with the committed offset.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionReading {
    pub id: PartitionId,
    /// Its records; `None` while they cannot be asked for (no leader): unknown, not empty.
    pub log: Option<LogRange>,
    pub committed: Committed,
    /// How old this reading is, in seconds.
    pub age_seconds: f64,
    /// Records a second of the time that the partition's worker was busy: what it could do.
    pub records_per_busy_second: Option<f64>,
    /// Share of its busy time that the worker waited for the sink; 0..=1.
    pub sink_wait_share: Option<f64>,
    /// Event time of the newest record that was processed, milliseconds since 1970.
    pub newest_event_ms: Option<i64>,
    /// When another worker last took it over, and what that cost; `None` if it was never taken over, or nothing is known.
    pub handover: Option<Handover>,
}

/// A partition went from one worker to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Handover {
    /// When the new owner stored its first batch, milliseconds since 1970 by its clock.
    pub at_ms: i64,
    /// For how long records had waited for that, while nobody stored any.
    pub pause_seconds: f64,
}

/// Everything that a decision looks at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observation {
    /// All partitions of all topics, in any order.
    pub partitions: Vec<PartitionReading>,
    /// Workers that are asked for at present.
    pub desired: u32,
    /// Workers that run and are ready.
    pub ready: u32,
}

impl PartitionId {
    #[must_use]
    pub fn new(topic: &Arc<str>, partition: i32) -> Self {
        Self {
            topic: Arc::clone(topic),
            partition,
        }
    }
}

impl std::fmt::Display for PartitionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl PartitionReading {
    /// Records to be read yet: end − max(start, committed), never negative. What retention has deleted does not count,
    /// nor does a position beyond the end, which a topic leaves behind that was deleted and made again. `None` while
    /// unknown.
    ///
    /// Where nothing was ever committed the group begins at the log's start, or (`from_latest`) at its end; there, the
    /// first batch says where.
    #[must_use]
    pub fn lag(&self, from_latest: bool) -> Option<u64> {
        let log = self.log?;
        let position = match self.committed {
            Committed::Unknown => return None,
            Committed::At(offset) if offset >= 0 => offset.max(log.start),
            Committed::At(_) | Committed::Never if from_latest => log.end,
            Committed::At(_) | Committed::Never => log.start,
        };
        Some(u64::try_from(log.end.saturating_sub(position)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reading(start: i64, end: i64, committed: Committed) -> PartitionReading {
        PartitionReading {
            id: PartitionId::new(&"plays".into(), 0),
            log: Some(LogRange { start, end }),
            committed,
            age_seconds: 0.0,
            records_per_busy_second: None,
            sink_wait_share: None,
            newest_event_ms: None,
            handover: None,
        }
    }

    #[test]
    fn the_lag_is_what_can_still_be_read() {
        use Committed::{At, Never, Unknown};
        for (start, end, committed, earliest, latest) in [
            (0, 100, At(40), Some(60), Some(60)),
            (0, 100, At(100), Some(0), Some(0)),
            // Retention deleted what had not been read.
            (80, 100, At(40), Some(20), Some(20)),
            // The topic was made again.
            (0, 10, At(5_000), Some(0), Some(0)),
            (80, 100, Never, Some(20), Some(0)),
            (80, 100, At(-1), Some(20), Some(0)),
            (0, 100, Unknown, None, None),
        ] {
            let reading = reading(start, end, committed);
            assert_eq!(reading.lag(false), earliest, "{reading:?}");
            assert_eq!(reading.lag(true), latest, "{reading:?}");
        }
        let without_leader = PartitionReading {
            log: None,
            ..reading(0, 1, At(0))
        };
        assert_eq!(without_leader.lag(false), None);
    }

    proptest! {
        #[test]
        fn the_lag_never_exceeds_what_the_log_holds(start in 0..i64::MAX / 2, len in 0..i64::MAX / 2, at in any::<i64>()) {
            let lag = reading(start, start + len, Committed::At(at)).lag(false).unwrap();
            prop_assert!(lag <= u64::try_from(len).unwrap());
        }
    }
}
