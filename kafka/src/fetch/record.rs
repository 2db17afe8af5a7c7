//! The records of one batch, borrowed from its bytes.

use super::batch::{Batch, BatchError};

/// A record where it lies. Nothing of it was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The place in its partition.
    pub offset: i64,
    /// When it was made, or appended if the topic says so: milliseconds since 1970. `None` where nobody says.
    pub timestamp: Option<i64>,
    /// `None` for a record without a key.
    pub key: Option<&'a [u8]>,
    /// `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    headers: &'a [u8],
}

/// The records of a batch in the order of their offsets; after an error there are no more.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    remaining: i32,
    batch_offset: i64,
    /// The next record's offset is this or greater.
    at_least: i64,
    last_offset: i64,
    /// Records before it are passed over.
    start: i64,
    first_timestamp: i64,
    log_append_time: Option<i64>,
}

impl<'a> Records<'a> {
    pub(super) fn new(
        batch: &Batch<'_>,
        start: i64,
        first_timestamp: i64,
        log_append_time: Option<i64>,
        bytes: &'a [u8],
    ) -> Self {
        Self {
            rest: bytes,
            remaining: batch.count,
            batch_offset: batch.base_offset,
            at_least: batch.base_offset,
            last_offset: batch.last_offset,
            start,
            first_timestamp,
            log_append_time,
        }
    }

    fn take(&mut self) -> Result<Record<'a>, &'static str> {
        let record = take_record(&mut self.rest).map_err(|Short| "a record is longer than the batch")?;
        let parts = parse(record).map_err(|Short| "the parts of a record are longer than the record")?;
        let offset = self
            .batch_offset
            .checked_add(parts.offset_delta)
            .filter(|offset| (self.at_least..=self.last_offset).contains(offset))
            .ok_or("the offsets of its records do not rise")?;
        self.at_least = offset + 1;
        let timestamp = self
            .log_append_time
            .unwrap_or_else(|| self.first_timestamp.wrapping_add(parts.timestamp_delta));
        Ok(Record {
            offset,
            timestamp: (timestamp != NO_TIMESTAMP).then_some(timestamp),
            key: parts.key,
            value: parts.value,
            headers: parts.headers,
        })
    }
}

/// What a record without a timestamp has in its place.
const NO_TIMESTAMP: i64 = -1;

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let outcome = loop {
            if self.remaining == 0 {
                if self.rest.is_empty() {
                    return None;
                }
                break Err("it has bytes after its last record");
            }
            self.remaining -= 1;
            match self.take() {
                Ok(record) if record.offset < self.start => {}
                outcome => break outcome,
            }
        };
        Some(outcome.map_err(|what| {
            self.remaining = 0;
            self.rest = &[];
            BatchError::Malformed {
                offset: self.batch_offset,
                what,
            }
        }))
    }
}

impl<'a> Record<'a> {
    /// The value of the first header called `name`; `None` if there is none, or it has no value.
    pub fn header(&self, name: &[u8]) -> Result<Option<&'a [u8]>, BatchError> {
        find_header(self.headers, name).map_err(|Short| BatchError::Malformed {
            offset: self.offset,
            what: "the headers of a record are longer than the record",
        })
    }
}

/// Bytes end before what they are to hold.
struct Short;

/// A record's fields; the deltas are to the batch's first.
struct Parts<'a> {
    timestamp_delta: i64,
    offset_delta: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a [u8],
}

fn take_record<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Short> {
    let length = varint(input)?;
    take(input, length)
}

fn parse(record: &[u8]) -> Result<Parts<'_>, Short> {
    // Attributes: none is defined yet.
    let (_, mut rest) = record.split_first().ok_or(Short)?;
    Ok(Parts {
        timestamp_delta: varint(&mut rest)?,
        offset_delta: varint(&mut rest)?,
        key: take_bytes(&mut rest)?,
        value: take_bytes(&mut rest)?,
        headers: rest,
    })
}

fn find_header<'a>(mut headers: &'a [u8], name: &[u8]) -> Result<Option<&'a [u8]>, Short> {
    for _ in 0..varint(&mut headers)? {
        let key = take_bytes(&mut headers)?;
        let value = take_bytes(&mut headers)?;
        if key == Some(name) {
            return Ok(value);
        }
    }
    Ok(None)
}

/// Bytes after their length, which is -1 for none.
fn take_bytes<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Short> {
    match varint(input)? {
        -1 => Ok(None),
        length => take(input, length).map(Some),
    }
}

fn take<'a>(input: &mut &'a [u8], length: i64) -> Result<&'a [u8], Short> {
    let length = usize::try_from(length).map_err(|_| Short)?;
    let (bytes, rest) = input.split_at_checked(length).ok_or(Short)?;
    *input = rest;
    Ok(bytes)
}

/// A number in zig-zag, seven bits a byte, the least significant first.
#[inline]
fn varint(input: &mut &[u8]) -> Result<i64, Short> {
    let (&first, rest) = input.split_first().ok_or(Short)?;
    if first < 0x80 {
        *input = rest;
        return Ok(unzigzag(u64::from(first)));
    }
    long_varint(input)
}

fn long_varint(input: &mut &[u8]) -> Result<i64, Short> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first().ok_or(Short)?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(unzigzag(value));
        }
    }
    Err(Short)
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
