//! What a worker and a sink say to each other.

use std::fmt;
use std::time::Duration;

use api::Partition;
use arrow::datatypes::SchemaRef;

use crate::intent::{Intent, Unfinished};

/// A table to be made and written, as its SQL gives it.
#[derive(Debug, Clone)]
pub struct TableDefinition {
    /// Name, write mode, key and indexes as the manifest has them.
    pub table: api::Table,
    /// Columns as the planned SQL gives them.
    pub schema: SchemaRef,
}

/// A reference table to be made and loaded.
#[derive(Debug, Clone)]
pub struct ReferenceDefinition {
    /// The table's name.
    pub name: api::TableName,
    /// Primary key, possibly none.
    pub key: Vec<String>,
    /// As the rows of `load_reference` have them.
    pub schema: SchemaRef,
    /// Changes when the rows change; a reference whose fingerprint is stored already is not loaded again.
    pub fingerprint: String,
}

/// The right to write one partition, until someone else claims it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What may be written.
    pub partition: Partition,
    /// Raised by each claim.
    pub epoch: i64,
}

/// What a claim found.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Without it nothing is committed.
    pub lease: Lease,
    /// The first offset that is not stored yet; `None` for a partition that was never written.
    pub next_offset: Option<i64>,
    /// The state stored with it (JSON), opaque to the sink.
    pub state: Option<String>,
    /// A batch that somebody began in a sink without transactions: it has to be finished before anything else.
    pub unfinished: Option<Unfinished>,
    /// How long ago the partition was last written, by the sink's clock; zero if it never was.
    pub idle: Duration,
}

/// A time that a sink gives in seconds. One that its clock makes negative is none.
pub(crate) fn idle(seconds: Option<f64>) -> Duration {
    Duration::try_from_secs_f64(seconds.unwrap_or(0.0)).unwrap_or_default()
}

/// Why rows of a reference cannot be read.
pub type RowsError = Box<dyn std::error::Error + Send + Sync>;

/// A record that could not be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its offset in the lease's partition.
    pub offset: i64,
    /// Kafka's timestamp, milliseconds since 1970; `None` if the record has none.
    pub timestamp: Option<i64>,
    /// As Kafka had it; `None` if the record has none.
    pub key: Option<Vec<u8>>,
    /// As Kafka had it; `None` for a tombstone.
    pub value: Option<Vec<u8>>,
    /// Where it failed: `decode`, `sql`, `sink`.
    pub stage: &'static str,
    /// Why, for a person.
    pub error: String,
}

impl DeadLetter {
    /// Tells the record from another one at the same offset: a topic that was deleted and made again has others.
    #[must_use]
    pub fn digest(&self) -> i64 {
        let timestamp = self.timestamp.unwrap_or(-1).to_be_bytes();
        let [key, value] = [&self.key, &self.value].map(|bytes| bytes.as_deref().unwrap_or_default());
        crate::sql::stable_hash([timestamp.as_slice(), key, value]).cast_signed()
    }
}

/// How far a transaction moves its partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The stored next offset must be this (`None`: no offset may be stored yet).
    pub start: Option<i64>,
    /// It becomes this.
    pub end: i64,
    /// State to store with it (JSON).
    pub state: String,
    /// What the batch's rows follow from. Only sinks without transactions ask for it; one that is given none takes the
    /// batch for one of which nothing but its offsets is known.
    pub intent: Option<Intent>,
}

/// How far a partition is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPosition {
    /// Whose records these are.
    pub partition: Partition,
    /// The first offset that is not stored yet.
    pub next_offset: Option<i64>,
    /// Of the last claim.
    pub epoch: i64,
    /// The state stored with it (JSON).
    pub state: Option<String>,
}

/// What tells a dead letter from every other one of its pipeline, in every sink.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadLetterId {
    /// Where the record came from.
    pub partition: Partition,
    /// Where it was there.
    pub offset: i64,
    /// Of its timestamp, key and value: a topic that was deleted and made again has other records at the same offsets.
    pub digest: i64,
}

impl fmt::Display for DeadLetterId {
    /// `topic/partition/offset/digest`, the digest as 16 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            offset,
            digest,
        } = self;
        write!(f, "{partition}/{offset}/{:016x}", digest.cast_unsigned())
    }
}

/// A dead letter as the sink has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDeadLetter {
    /// Which one it is.
    pub id: DeadLetterId,
    /// Kafka's timestamp, milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// As Kafka had it; `None` if the record has none.
    pub key: Option<Vec<u8>>,
    /// As Kafka had it; `None` for a tombstone.
    pub value: Option<Vec<u8>>,
    /// Where it failed: `decode`, `sql`, `sink`.
    pub stage: String,
    /// Why, for a person.
    pub error: String,
    /// When it was stored by the sink's clock, RFC 3339. In one sink all have the same length, so that texts sort.
    pub stored_at: String,
    /// When it was sent to its topic again, RFC 3339.
    pub replayed_at: Option<String>,
}
