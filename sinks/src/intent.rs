//! What a sink without transactions notes before it writes a batch, so that whoever takes over can finish exactly it.

use std::fmt;
use std::sync::Arc;

use api::Partition;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A topic's id: no other topic has it, also none of the same name. Brokers before Kafka 2.8 have none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub [u8; 16]);

/// 32 hexadecimal digits.
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

impl Serialize for TopicId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TopicId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(serde::de::Error::custom)
    }
}

/// Tells a batch from every other one of the pipeline, also where offsets come again: after a log was truncated, and in a
/// topic that was made anew. Names of files, keys of rows and marks of what is absorbed are made from all of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BatchId {
    /// Whose offsets these are.
    pub partition: Partition,
    /// Which topic of that name.
    pub topic_id: Option<TopicId>,
    /// Raised each time that the partition is read from an earlier offset than before: by what the worker saw, so it is
    /// there also where brokers tell neither ids nor epochs. With `start` it orders the batches of a partition.
    pub incarnation: u32,
    /// The epoch of the leader that took the first record.
    pub leader_epoch: Option<i32>,
    /// The first offset that the batch deals with.
    pub start: i64,
}

impl BatchId {
    /// Later batches of a partition have a greater one.
    #[must_use]
    pub fn order(&self) -> (u32, i64) {
        (self.incarnation, self.start)
    }
}

/// `plays/0@1200` and what else is known: fit for a key or, with `/` replaced, for a file's name.
impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}.{}", self.partition, self.incarnation, self.start)?;
        if let Some(epoch) = self.leader_epoch {
            write!(f, ".e{epoch}")?;
        }
        self.topic_id.map_or(Ok(()), |id| write!(f, ".{id}"))
    }
}

/// What rows are computed by, besides their records: told apart by its hash, and written out so that another program can
/// compute the same. The text is the worker's; a sink keeps it and does not look into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanDocument {
    /// Of the text.
    pub hash: Arc<str>,
    /// JSON.
    pub text: Arc<str>,
}

/// What a batch's rows follow from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputedWith {
    /// Hash of the [`PlanDocument`].
    pub plan: Arc<str>,
    /// What `now()` is, in every row.
    #[serde(with = "microseconds")]
    pub now: Timestamp,
}

/// A batch that is to be written: exactly this one, by whoever holds the lease, until the partition has moved to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Which batch.
    pub batch: BatchId,
    /// The offset after its last.
    pub end: i64,
    /// Recognises its records: those of a log that was truncated or compacted since are not the same.
    pub records: String,
    /// What its rows are computed with.
    pub computed_with: ComputedWith,
    /// The records that became dead letters. All others did not, whatever limits a query meets when it is run again.
    pub rejected: Offsets,
    /// First offsets of the parts that were computed one by one, but for the first part's: sums of doubles and the order of
    /// rows follow from what is computed together.
    pub cuts: Vec<i64>,
    /// The stored next offset before it.
    pub expected: Option<i64>,
    /// The state to be stored with its end (JSON).
    pub state: String,
}

/// An intent that somebody put and nobody has finished, as a claim finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// What is to be finished.
    pub intent: Intent,
    /// The plan that it was put under.
    pub plan: PlanDocument,
}

/// How an intent is stored. Names and forms are fixed: another version may have to finish it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic_id: Option<TopicId>,
    incarnation: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leader_epoch: Option<i32>,
    start: i64,
    end: i64,
    records: String,
    #[serde(flatten)]
    computed_with: ComputedWith,
    #[serde(default, skip_serializing_if = "Offsets::is_empty")]
    rejected: Offsets,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cuts: Vec<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected: Option<i64>,
    state: String,
}

impl Intent {
    /// The intent of a caller that knows no more of a batch than its offsets.
    pub(crate) fn bare(partition: &Partition, advance: &crate::Advance) -> Self {
        Self {
            batch: BatchId {
                partition: partition.clone(),
                topic_id: None,
                incarnation: 0,
                leader_epoch: None,
                start: advance.start.unwrap_or(0),
            },
            end: advance.end,
            records: String::new(),
            computed_with: ComputedWith {
                plan: Arc::from(""),
                now: Timestamp::UNIX_EPOCH,
            },
            rejected: Offsets::default(),
            cuts: Vec::new(),
            expected: advance.start,
            state: advance.state.clone(),
        }
    }

    /// The intent as it is stored beside its partition's position (JSON).
    ///
    /// # Errors
    /// Never.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let Self {
            batch,
            end,
            records,
            computed_with,
            rejected,
            cuts,
            expected,
            state,
        } = self.clone();
        serde_json::to_string(&Stored {
            topic_id: batch.topic_id,
            incarnation: batch.incarnation,
            leader_epoch: batch.leader_epoch,
            start: batch.start,
            end,
            records,
            computed_with,
            rejected,
            cuts,
            expected,
            state,
        })
    }

    /// Reads a stored intent of `partition`.
    ///
    /// # Errors
    /// What is not an intent, or one of a later version.
    pub fn from_json(partition: Partition, json: &str) -> Result<Self, serde_json::Error> {
        let stored: Stored = serde_json::from_str(json)?;
        Ok(Self {
            batch: BatchId {
                partition,
                topic_id: stored.topic_id,
                incarnation: stored.incarnation,
                leader_epoch: stored.leader_epoch,
                start: stored.start,
            },
            end: stored.end,
            records: stored.records,
            computed_with: stored.computed_with,
            rejected: stored.rejected,
            cuts: stored.cuts,
            expected: stored.expected,
            state: stored.state,
        })
    }
}

/// A set of offsets, as ranges: bad records come in runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offsets(Vec<(i64, i64)>);

impl Offsets {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `offset` is one of them.
    #[must_use]
    pub fn contains(&self, offset: i64) -> bool {
        let after = self.0.partition_point(|(from, _)| *from <= offset);
        let range = after.checked_sub(1).and_then(|last| self.0.get(last));
        range.is_some_and(|(_, to)| offset < *to)
    }

    /// How many ranges there are.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.0.len()
    }
}

/// Of offsets in rising order.
impl FromIterator<i64> for Offsets {
    fn from_iter<I: IntoIterator<Item = i64>>(offsets: I) -> Self {
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for offset in offsets {
            match ranges.last_mut() {
                Some((_, to)) if *to == offset => *to = offset + 1,
                _ => ranges.push((offset, offset + 1)),
            }
        }
        Self(ranges)
    }
}

/// Instants as microseconds since 1970.
mod microseconds {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(instant.as_microsecond())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let microseconds = i64::deserialize(deserializer)?;
        Timestamp::from_microsecond(microseconds).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent() -> Intent {
        Intent {
            batch: BatchId {
                partition: Partition {
                    topic: "plays".into(),
                    number: 3,
                },
                topic_id: Some(TopicId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])),
                incarnation: 1,
                leader_epoch: Some(4),
                start: 1_200,
            },
            end: 1_300,
            records: "0f".to_owned(),
            computed_with: ComputedWith {
                plan: Arc::from("abc"),
                now: Timestamp::from_microsecond(1_795_240_101_123_456).unwrap(),
            },
            rejected: [1_203, 1_204, 1_250].into_iter().collect(),
            cuts: vec![1_250, 1_251],
            expected: Some(1_200),
            state: "{}".to_owned(),
        }
    }

    /// A worker of the next version finishes what one of this has begun.
    #[test]
    fn the_stored_form_is_fixed() {
        let text = r#"{"topicId":"000102030405060708090a0b0c0d0e0f","incarnation":1,"leaderEpoch":4,"start":1200,"end":1300,"records":"0f","plan":"abc","now":1795240101123456,"rejected":[[1203,1205],[1250,1251]],"cuts":[1250,1251],"expected":1200,"state":"{}"}"#;
        let intent = intent();
        assert_eq!(intent.to_json().unwrap(), text);
        assert_eq!(
            Intent::from_json(intent.batch.partition.clone(), text).unwrap(),
            intent
        );
        let bare = Intent {
            batch: BatchId {
                topic_id: None,
                leader_epoch: None,
                ..intent.batch.clone()
            },
            rejected: Offsets::default(),
            cuts: Vec::new(),
            expected: None,
            ..intent
        };
        let text = bare.to_json().unwrap();
        assert_eq!(
            text,
            r#"{"incarnation":1,"start":1200,"end":1300,"records":"0f","plan":"abc","now":1795240101123456,"state":"{}"}"#
        );
        assert_eq!(
            Intent::from_json(bare.batch.partition.clone(), &text).unwrap(),
            bare
        );
    }

    #[test]
    fn a_batch_s_name_has_all_that_tells_it_apart() {
        let intent = intent();
        assert_eq!(
            intent.batch.to_string(),
            "plays/3@1.1200.e4.000102030405060708090a0b0c0d0e0f"
        );
        let unknown = BatchId {
            topic_id: None,
            leader_epoch: None,
            ..intent.batch
        };
        assert_eq!(unknown.to_string(), "plays/3@1.1200");
    }

    #[test]
    fn offsets_are_kept_as_runs() {
        let offsets: Offsets = [3, 4, 5, 9].into_iter().collect();
        assert_eq!(offsets.ranges(), 2);
        let found: Vec<i64> = (0..12).filter(|offset| offsets.contains(*offset)).collect();
        assert_eq!(found, [3, 4, 5, 9]);
        assert!(Offsets::default().is_empty() && !Offsets::default().contains(0));
    }
}
