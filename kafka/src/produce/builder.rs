//! Records as they stand in a batch of message format 2 (KIP-98), written one after the other into one buffer.

/// A record to write, borrowed from wherever it is.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// `None` for a record without a key.
    pub key: Option<&'a [u8]>,
    /// `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Names and values.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// The records of a batch that is not sealed yet.
#[derive(Debug, Default)]
pub(super) struct BatchBuilder {
    /// One after the other, uncompressed.
    bytes: Vec<u8>,
    count: i32,
    /// Milliseconds since 1970.
    first_timestamp: i64,
    largest_timestamp: i64,
}

impl BatchBuilder {
    /// An empty one that uses the memory of another.
    pub(super) fn reusing(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self {
            bytes,
            ..Self::default()
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Records in it.
    pub(super) fn count(&self) -> i32 {
        self.count
    }

    pub(super) fn first_timestamp(&self) -> i64 {
        self.first_timestamp
    }

    pub(super) fn largest_timestamp(&self) -> i64 {
        self.largest_timestamp
    }

    /// Adds a record that was made at `timestamp`, milliseconds since 1970.
    #[inline]
    pub(super) fn append(&mut self, record: &Record<'_>, timestamp: i64) {
        if self.count == 0 {
            self.first_timestamp = timestamp;
            self.largest_timestamp = timestamp;
        }
        self.largest_timestamp = self.largest_timestamp.max(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(self.first_timestamp);
        let offset_delta = i64::from(self.count);
        let headers: usize = record
            .headers
            .iter()
            .map(|(name, value)| sized(Some(name.as_bytes())) + sized(Some(value)))
            .sum();
        // One byte of attributes, of which none is defined.
        let length = 1
            + varint_len(timestamp_delta)
            + varint_len(offset_delta)
            + sized(record.key)
            + sized(record.value)
            + varint_len(record.headers.len() as i64)
            + headers;
        let bytes = &mut self.bytes;
        bytes.reserve(length + MAX_VARINT);
        put_varint(bytes, length as i64);
        bytes.push(0);
        put_varint(bytes, timestamp_delta);
        put_varint(bytes, offset_delta);
        put(bytes, record.key);
        put(bytes, record.value);
        put_varint(bytes, record.headers.len() as i64);
        for (name, value) in record.headers {
            put(bytes, Some(name.as_bytes()));
            put(bytes, Some(value));
        }
        self.count += 1;
    }
}

/// The longest of a number of 64 bits.
const MAX_VARINT: usize = 10;

/// Bytes of a length and what it is the length of.
#[inline]
fn sized(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_len(bytes.len() as i64) + bytes.len())
}

/// A length, -1 for none, and the bytes.
#[inline]
fn put(target: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(target, -1),
        Some(bytes) => {
            put_varint(target, bytes.len() as i64);
            target.extend_from_slice(bytes);
        }
    }
}

#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[inline]
fn varint_len(value: i64) -> usize {
    // Seven bits a byte, and at least one byte.
    (70 - (zigzag(value) | 1).leading_zeros() as usize) / 7
}

/// A number in zig-zag, seven bits a byte, the least significant first.
#[inline]
fn put_varint(target: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        target.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    target.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_is_as_long_as_it_is_said_to_be(value: i64, shift in 0_u32..64) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(bytes.len(), varint_len(value));
        }
    }
}
