//! How far a consumer group is behind, read without joining it.

mod reader;
mod requests;

use std::time::Duration;

pub use self::reader::LagReader;
use crate::formats::commit_metadata::Telemetry;
use crate::issue::Issue;

/// Where a group stands in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition's number.
    pub partition: i32,
    /// The records that are there; `None` while the partition has no leader: unknown, not empty.
    pub range: Option<Range>,
    /// The group's committed offset; `None` if it has never committed one.
    pub committed: Option<i64>,
    /// What the group committed along with it; `None` if nothing.
    pub metadata: Option<String>,
}

/// The records of a partition that may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Offset of the oldest record.
    pub start: i64,
    /// Offset after the newest record.
    pub end: i64,
}

/// Where a partition ends, to whoever counts what is left to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// After the newest record, of a transaction that is still open too: what a group will have to read. The end grows
    /// evenly, whatever becomes of transactions.
    ReadUncommitted = 0,
    /// Before the first transaction that is open: what a reader of committed records can read now.
    ReadCommitted = 1,
}

/// Why a lag is not known.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum LagError {
    /// Kafka cannot be asked, or not by this user.
    #[error("{0}")]
    Issue(Issue),
    /// The topic is not there.
    #[error("the topic {topic} is not there")]
    TopicMissing { topic: String },
    /// Kafka was asked, and cannot tell.
    #[error("Kafka is not ready {action}: {reason}")]
    Refused {
        /// What was asked of it.
        action: String,
        reason: String,
    },
    /// Kafka did not answer.
    #[error("Kafka did not answer within {after:?}")]
    NoAnswer {
        /// For how long it was asked.
        after: Duration,
    },
}

impl LagError {
    /// Whether another moment may bring the answer.
    fn may_pass(&self) -> bool {
        match self {
            Self::Issue(issue) => issue.kind.may_pass(),
            Self::TopicMissing { .. } => false,
            Self::Refused { .. } | Self::NoAnswer { .. } => true,
        }
    }
}

impl PartitionLag {
    /// Records that the group has still to read; `None` while that is unknown.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        self.range.map(|range| lag(range, self.committed))
    }

    /// What the partition's worker reported; what another program committed is no report.
    #[must_use]
    pub fn report(&self) -> Option<Telemetry> {
        Telemetry::decode(self.metadata.as_deref()?).ok().flatten()
    }
}

/// Records between a group's position and the end of a partition. What retention has removed no longer counts,
/// and a position beyond the end (the topic was deleted and made again) is a lag of 0.
#[must_use]
pub fn lag(range: Range, committed: Option<i64>) -> u64 {
    let position = committed.unwrap_or(range.start).max(range.start);
    u64::try_from(range.end - position).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_counts_what_is_still_there_and_is_never_negative() {
        for (start, end, committed, expected) in [
            (0, 100, Some(40), 60),
            (0, 100, Some(100), 0),
            (0, 100, None, 100),
            (30, 100, None, 70),
            // Retention has passed the committed offset.
            (50, 100, Some(40), 50),
            // The topic was made again.
            (0, 10, Some(40), 0),
            (0, 0, None, 0),
        ] {
            assert_eq!(
                lag(Range { start, end }, committed),
                expected,
                "{start} {end} {committed:?}"
            );
        }
    }

    #[test]
    fn a_partition_without_a_leader_has_no_known_lag() {
        let unknown = PartitionLag {
            partition: 0,
            range: None,
            committed: Some(3),
            metadata: None,
        };
        assert_eq!(unknown.lag(), None);
    }
}
