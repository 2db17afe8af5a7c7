//! What is stored with a partition's offset: everything that must be exactly as true as the rows are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sinks::Intent;

use crate::audit::Audit;
use crate::digest;
use crate::records::{Record, Records};

/// Gaps that are kept; older ones are only counted.
const MAX_GAPS: usize = 100;

/// The state of one partition, stored in the transaction that stores its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// Whether the partition is read from its first record on.
    pub whole: bool,
    /// How often the topic was found to be another one of the same name.
    #[serde(default)]
    pub incarnation: u32,
    /// Records stored or dead-lettered.
    #[serde(default)]
    pub records: u64,
    /// Rows written, by table.
    #[serde(default)]
    pub rows: BTreeMap<String, u64>,
    /// Records that became dead letters.
    #[serde(default)]
    pub dead_letters: u64,
    /// Newest of Kafka's record timestamps, milliseconds since 1970.
    #[serde(default)]
    pub newest: Option<i64>,
    /// Offsets that could not be read, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// Gaps before those that are kept.
    #[serde(default)]
    pub older_gaps: u64,
    /// The last record, to recognise the topic by.
    pub last: Option<Fingerprint>,
    /// What was seen of the generator's numbers.
    #[serde(default)]
    pub audit: Audit,
}

/// A range of offsets that was gone when it should have been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first offset that is gone.
    pub from: i64,
    /// End, excluded; absent where it cannot be known.
    pub to: Option<i64>,
    /// Who is to blame.
    pub reason: GapReason,
}

/// Why offsets were gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GapReason {
    /// Kafka's retention deleted them first.
    Retention,
    /// The topic was deleted and made again.
    TopicRecreated,
    /// A sink without transactions had begun the batch of these records when they went: their rows may be there in part.
    Unfinished,
}

/// Recognises a record, and so the topic that it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Where the record stands; whether it is still the same is what the digest tells.
    pub offset: i64,
    /// SHA-256 over timestamp, key and value, the first 16 bytes in hexadecimal.
    pub digest: String,
}

impl Fingerprint {
    /// The fingerprint of a record.
    #[must_use]
    pub fn of(record: Record<'_>) -> Self {
        let mut hash = Sha256::new();
        hash.update(record.timestamp.unwrap_or(-1).to_be_bytes());
        for part in [record.key, record.value] {
            hash.update(part.map_or(-1, |part| part.len() as i64).to_be_bytes());
            hash.update(part.unwrap_or_default());
        }
        Self {
            offset: record.offset,
            digest: digest::short(hash),
        }
    }
}

/// Recognises the records with these indices: by everything that rows can follow from, and that they are all there are.
#[must_use]
pub fn records_digest(records: &Records, range: std::ops::Range<usize>) -> String {
    let mut hash = Sha256::new();
    for record in range.filter_map(|index| records.get(index)) {
        hash.update(record.offset.to_be_bytes());
        hash.update(record.timestamp.unwrap_or(-1).to_be_bytes());
        for part in [record.key, record.value] {
            hash.update(part.map_or(-1, |part| part.len() as i64).to_be_bytes());
            hash.update(part.unwrap_or_default());
        }
    }
    digest::short(hash)
}

impl PartitionState {
    /// Notes the records with these indices as dealt with.
    pub fn observe(&mut self, records: &Records, range: std::ops::Range<usize>) {
        self.records += range.len() as u64;
        let taken = || range.clone().filter_map(|index| records.get(index));
        self.audit
            .observe_all(taken().filter_map(|record| record.sequence), self.whole);
        self.newest = taken()
            .map(|record| record.timestamp)
            .fold(self.newest, Option::max);
        if let Some(last) = range.end.checked_sub(1).and_then(|index| records.get(index)) {
            self.last = Some(Fingerprint::of(last));
        }
    }

    /// Notes offsets that could not be read.
    pub fn add_gap(&mut self, gap: Gap) {
        if self.gaps.len() == MAX_GAPS {
            self.gaps.remove(0);
            self.older_gaps += 1;
        }
        self.gaps.push(gap);
    }

    /// Gives up an unfinished batch whose records are gone. What is read from now on is a later batch than that one, also at
    /// the same offsets.
    pub fn give_up(&mut self, intent: &Intent) {
        self.incarnation = self.incarnation.max(intent.batch.incarnation) + 1;
        self.add_gap(Gap {
            from: intent.batch.start,
            to: Some(intent.end),
            reason: GapReason::Unfinished,
        });
    }

    /// Reads a stored state.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// The state as it is stored.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}
