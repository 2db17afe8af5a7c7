//! Record batches as brokers keep and send them: message format 2 (KIP-98), read where they lie.
//!
//! ```text
//! base offset i64 | length i32 | leader epoch i32 | magic i8 | CRC-32C u32 | attributes i16 | last offset delta i32
//! | first timestamp i64 | largest timestamp i64 | producer id i64 | producer epoch i16 | sequence i32 | count i32
//! | records, compressed together
//! ```

use super::compression::{Codec, Scratch};
use super::record::Records;

/// Bytes of the base offset and the length, which the length does not count.
const PREFIX: usize = 12;

/// Where the magic byte stands in every format that there was.
const MAGIC_AT: usize = 16;

/// Bytes before the records.
const HEADER: usize = 61;

/// What the checksum does not cover: everything up to itself.
const UNCHECKED: usize = 21;

const CODEC_MASK: i16 = 0b0111;
const LOG_APPEND_TIME: i16 = 0b1000;
const TRANSACTIONAL: i16 = 0b1_0000;
const CONTROL: i16 = 0b10_0000;

/// Why a record batch cannot be read. Reading it again gives the same, unless the broker's copy is replaced.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum BatchError {
    /// It is of another format.
    #[error(
        "the record batch at offset {offset} is in message format {magic}; only format 2, of Kafka 0.11 and later, \
         is read: write these records to the topic anew, or begin after them"
    )]
    Format { offset: i64, magic: u8 },
    /// Its bytes changed on disk or on the way.
    #[error(
        "the record batch at offset {offset} is damaged: its checksum is {found:08x} instead of {stated:08x}"
    )]
    Checksum { offset: i64, stated: u32, found: u32 },
    /// Its records cannot be decompressed.
    #[error("the record batch at offset {offset} cannot be decompressed ({codec})")]
    Compression {
        offset: i64,
        codec: &'static str,
        #[source]
        source: std::io::Error,
    },
    /// Its parts contradict each other: its writer is broken.
    #[error("the record batch at offset {offset} cannot be read: {what}")]
    Malformed { offset: i64, what: &'static str },
}

/// The batches that lie one after the other in a broker's answer. What is cut off at the end is left for the next
/// answer; after an error there is nothing more.
#[derive(Debug, Clone)]
pub(crate) struct Batches<'a> {
    rest: &'a [u8],
}

/// One batch; nothing behind its header was looked at yet.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The offset of its first record when it was written; compaction may have taken that record since.
    pub(super) base_offset: i64,
    /// The offset of its last record when it was written.
    pub(super) last_offset: i64,
    /// Counts the partition's leaders: the one that took it. -1 where nobody says.
    leader_epoch: i32,
    /// Who wrote it; -1 where nobody says.
    pub(super) producer_id: i64,
    /// Records in it.
    pub(super) count: i32,
    /// Records before this offset are passed over.
    start: i64,
    attributes: i16,
    first_timestamp: i64,
    largest_timestamp: i64,
    stated_checksum: u32,
    /// What the checksum covers: from the attributes on.
    checked: &'a [u8],
    records: &'a [u8],
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    Abort,
    /// A commit, or a marker of a kind that readers need not know.
    Other,
}

impl<'a> Batches<'a> {
    /// The batches in `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What was not taken off yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes one batch off; `None` when not all of it is there.
    fn take(&mut self) -> Result<Option<Batch<'a>>, BatchError> {
        let bytes = self.rest;
        let (Some(base_offset), Some(length), Some(&magic)) =
            (i64_at(bytes, 0), i32_at(bytes, 8), bytes.get(MAGIC_AT))
        else {
            return Ok(None);
        };
        let malformed = |what| BatchError::Malformed {
            offset: base_offset,
            what,
        };
        if magic != 2 {
            return Err(BatchError::Format {
                offset: base_offset,
                magic,
            });
        }
        let length = usize::try_from(length).map_err(|_| malformed("its length is negative"))?;
        let Some((batch, rest)) = bytes.split_at_checked(PREFIX.saturating_add(length)) else {
            return Ok(None);
        };
        let parsed = parse(batch, base_offset).ok_or_else(|| malformed("it is shorter than its header"))?;
        if base_offset < 0 || parsed.last_offset < base_offset || parsed.count < 0 {
            return Err(malformed("its offsets or its number of records are negative"));
        }
        self.rest = rest;
        Ok(Some(parsed))
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = self.take();
        if !matches!(taken, Ok(Some(_))) {
            self.rest = &[];
        }
        taken.transpose()
    }
}

impl<'a> Batch<'a> {
    /// Whether it ends a transaction instead of holding records.
    pub(super) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// The epoch of the leader that took it: records that are written to offsets for the second time, after the log was
    /// truncated, have a later one. `None` where brokers have no epochs.
    #[must_use]
    pub fn leader_epoch(&self) -> Option<i32> {
        (self.leader_epoch >= 0).then_some(self.leader_epoch)
    }

    /// Whether its records belong to a transaction.
    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Its records, after its checksum was looked at; they are decompressed into `scratch`, one batch after the
    /// other.
    pub fn records<'s>(&self, scratch: &'s mut Scratch) -> Result<Records<'s>, BatchError>
    where
        'a: 's,
    {
        self.check()?;
        let codec = Codec::from_number(self.attributes & CODEC_MASK)
            .ok_or_else(|| self.malformed("it is compressed in a way that is not known"))?;
        let bytes = scratch
            .decompress(codec, self.records)
            .map_err(|source| BatchError::Compression {
                offset: self.base_offset,
                codec: codec.as_str(),
                source,
            })?;
        let log_append_time = (self.attributes & LOG_APPEND_TIME != 0).then_some(self.largest_timestamp);
        Ok(Records::new(
            self,
            self.start,
            self.first_timestamp,
            log_append_time,
            bytes,
        ))
    }

    /// The same without its records before `start`.
    pub(super) fn read_from(self, start: i64) -> Self {
        Self { start, ..self }
    }

    /// What a control batch says.
    pub(super) fn marker(&self, scratch: &mut Scratch) -> Result<Marker, BatchError> {
        let Some(record) = self.records(scratch)?.next().transpose()? else {
            return Err(self.malformed("it is to end a transaction and does not say how"));
        };
        // Version i16, then type i16: 0 aborts, 1 commits.
        match record.key.and_then(|key| key.get(2..4)) {
            Some([0, 0]) => Ok(Marker::Abort),
            Some(_) => Ok(Marker::Other),
            None => Err(self.malformed("it is to end a transaction and does not say how")),
        }
    }

    fn check(&self) -> Result<(), BatchError> {
        let found = crc32c::crc32c(self.checked);
        if found == self.stated_checksum {
            return Ok(());
        }
        Err(BatchError::Checksum {
            offset: self.base_offset,
            stated: self.stated_checksum,
            found,
        })
    }

    pub(super) fn malformed(&self, what: &'static str) -> BatchError {
        BatchError::Malformed {
            offset: self.base_offset,
            what,
        }
    }
}

/// The batch whose bytes these are; `None` when they end within its header.
fn parse(batch: &[u8], base_offset: i64) -> Option<Batch<'_>> {
    Some(Batch {
        base_offset,
        last_offset: base_offset.checked_add(i64::from(i32_at(batch, 23)?))?,
        leader_epoch: i32_at(batch, 12)?,
        producer_id: i64_at(batch, 43)?,
        count: i32_at(batch, 57)?,
        start: base_offset,
        attributes: i16_at(batch, 21)?,
        first_timestamp: i64_at(batch, 27)?,
        largest_timestamp: i64_at(batch, 35)?,
        stated_checksum: i32_at(batch, 17)?.cast_unsigned(),
        checked: batch.get(UNCHECKED..)?,
        records: batch.get(HEADER..)?,
    })
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn i16_at(bytes: &[u8], at: usize) -> Option<i16> {
    array_at(bytes, at).map(i16::from_be_bytes)
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    array_at(bytes, at).map(i32::from_be_bytes)
}

fn i64_at(bytes: &[u8], at: usize) -> Option<i64> {
    array_at(bytes, at).map(i64::from_be_bytes)
}
