//! Closing a batch: its records are compressed, and get the header by which brokers know them.

use std::io::Write;

use bytes::Bytes;
use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};

use super::builder::BatchBuilder;

/// Bytes before the records; [`fetch`](crate::fetch) reads the same.
const HEADER: usize = 61;
/// Where the checksum stands, and from where on it covers.
const CHECKSUM_AT: usize = 17;
const CHECKED_FROM: usize = 21;
/// Bytes of the base offset and the length, which the length does not count.
const PREFIX: usize = 12;
/// Where the attributes stand.
const ATTRIBUTES_AT: usize = 21;

const MAGIC: u8 = 2;
const LZ4: i16 = 3;
const TRANSACTIONAL: i16 = 0b1_0000;

/// Who writes a batch, and which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchIdentity {
    pub(super) producer_id: i64,
    pub(super) epoch: i16,
    /// Number of the batch's first record among those of this producer in this partition.
    pub(super) sequence: i32,
    pub(super) transactional: bool,
}

/// Compresses one batch after the other with the same tables and buffers.
pub(super) struct BatchEncoder {
    encoder: FrameEncoder<Vec<u8>>,
}

impl Default for BatchEncoder {
    fn default() -> Self {
        // Independent blocks, which is the encoder's default: Java's client reads no others.
        let info = FrameInfo::new().block_size(BlockSize::Max64KB);
        Self {
            encoder: FrameEncoder::with_frame_info(info, Vec::new()),
        }
    }
}

impl BatchEncoder {
    /// The batch as it is sent.
    pub(super) fn encode(&mut self, builder: &BatchBuilder, identity: BatchIdentity) -> Bytes {
        let mut batch = Vec::with_capacity(HEADER + builder.len() / 2);
        put_header(&mut batch, builder, identity);
        *self.encoder.get_mut() = batch;
        let compressed = self
            .encoder
            .write_all(builder.bytes())
            .and_then(|()| Ok(self.encoder.try_finish()?));
        let mut batch = std::mem::take(self.encoder.get_mut());
        // Neither happens with text; what cannot be compressed is as good as it is.
        if compressed.is_err() || batch.len() > HEADER + builder.len() {
            *self = Self::default();
            batch.truncate(HEADER);
            write_at(
                &mut batch,
                ATTRIBUTES_AT,
                &attributes(identity, false).to_be_bytes(),
            );
            batch.extend_from_slice(builder.bytes());
        }
        let length = (batch.len() - PREFIX) as i32;
        write_at(&mut batch, 8, &length.to_be_bytes());
        let checksum = crc32c::crc32c(batch.get(CHECKED_FROM..).unwrap_or_default());
        write_at(&mut batch, CHECKSUM_AT, &checksum.to_be_bytes());
        batch.into()
    }
}

fn attributes(identity: BatchIdentity, compressed: bool) -> i16 {
    (if compressed { LZ4 } else { 0 }) | (if identity.transactional { TRANSACTIONAL } else { 0 })
}

/// The header without length and checksum.
fn put_header(batch: &mut Vec<u8>, builder: &BatchBuilder, identity: BatchIdentity) {
    // Base offset: the broker's to choose. Length.
    batch.extend([0; PREFIX]);
    // Leader epoch: the broker's too.
    batch.extend((-1_i32).to_be_bytes());
    batch.push(MAGIC);
    // Checksum.
    batch.extend([0; 4]);
    batch.extend(attributes(identity, true).to_be_bytes());
    batch.extend((builder.count() - 1).to_be_bytes());
    batch.extend(builder.first_timestamp().to_be_bytes());
    batch.extend(builder.largest_timestamp().to_be_bytes());
    batch.extend(identity.producer_id.to_be_bytes());
    batch.extend(identity.epoch.to_be_bytes());
    batch.extend(identity.sequence.to_be_bytes());
    batch.extend(builder.count().to_be_bytes());
}

fn write_at(batch: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = batch.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fetch::{Batches, Scratch};
    use crate::produce::builder::Record;

    const IDENTITY: BatchIdentity = BatchIdentity {
        producer_id: 0x0102_0304_0506_0708,
        epoch: 0x090a,
        sequence: 0x0b0c_0d0e,
        transactional: true,
    };

    /// Key, value, header, and when it was made.
    type Given = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, i64);

    fn given() -> impl Strategy<Value = Given> {
        let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..200));
        (bytes(), bytes(), bytes(), 0..i64::MAX / 2)
    }

    fn fill(records: &[Given]) -> BatchBuilder {
        let mut builder = BatchBuilder::default();
        for (key, value, header, timestamp) in records {
            let headers = header.as_ref().map(|value| ("name", value.as_slice()));
            let record = Record {
                key: key.as_deref(),
                value: value.as_deref(),
                headers: headers.as_slice(),
            };
            builder.append(&record, *timestamp);
        }
        builder
    }

    proptest! {
        /// Random bytes, which are not compressed, and with a text that is.
        #[test]
        fn batches_read_back(mut records in prop::collection::vec(given(), 1..40), text: bool) {
            if text {
                records.push((None, Some(b"the same again and again, ".repeat(3_000)), None, 7));
            }
            let mut encoder = BatchEncoder::default();
            // One encoder serves many batches.
            drop(encoder.encode(&fill(&records[..1]), IDENTITY));
            let encoded = encoder.encode(&fill(&records), IDENTITY);
            let batches: Vec<_> = Batches::new(&encoded).map(Result::unwrap).collect();
            prop_assert_eq!(batches.len(), 1);
            prop_assert!(batches[0].is_transactional());
            let mut scratch = Scratch::default();
            let mut read = Vec::new();
            for (offset, record) in (0..).zip(batches[0].records(&mut scratch).unwrap()) {
                let record = record.unwrap();
                prop_assert_eq!(record.offset, offset);
                let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
                let header = owned(record.header(b"name").unwrap());
                read.push((owned(record.key), owned(record.value), header, record.timestamp.unwrap()));
            }
            prop_assert_eq!(read, records);
        }
    }

    #[test]
    fn the_identity_stands_where_brokers_look_for_it() {
        let record = (None, Some(b"value".to_vec()), None, 5);
        let encoded = BatchEncoder::default().encode(&fill(&vec![record; 300]), IDENTITY);
        assert!(encoded.len() < 3_000, "{}", encoded.len());
        // Lz4, transactional.
        assert_eq!(encoded[21..23], [0, 0x13]);
        assert_eq!(encoded[43..57], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        assert_eq!(encoded[57..61], 300_i32.to_be_bytes());
    }
}
