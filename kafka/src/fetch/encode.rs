//! Writes record batches for tests, as producers and brokers would.

use std::io::Write;

use super::compression::Codec;

/// The header of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) base_offset: i64,
    pub(super) codec: Codec,
    /// Whether snappy is framed as the Java client does.
    pub(super) xerial: bool,
    pub(super) transactional: bool,
    pub(super) control: bool,
    pub(super) producer_id: i64,
    pub(super) log_append_time: Option<i64>,
}

/// A record to write.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    pub(super) offset_delta: i32,
    pub(super) timestamp: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Plan {
    pub(super) fn at(base_offset: i64) -> Self {
        Self {
            base_offset,
            codec: Codec::None,
            xerial: false,
            transactional: false,
            control: false,
            producer_id: -1,
            log_append_time: None,
        }
    }

    /// Records that nobody looks at.
    pub(super) fn values(count: usize) -> Vec<Given> {
        (0..count as i32)
            .map(|offset_delta| Given {
                offset_delta,
                timestamp: 0,
                key: None,
                value: Some(b"{}".to_vec()),
                headers: Vec::new(),
            })
            .collect()
    }
}

/// The marker that ends a transaction.
pub(super) fn marker(offset: i64, producer_id: i64, commit: bool) -> Vec<u8> {
    let plan = Plan {
        transactional: true,
        control: true,
        producer_id,
        ..Plan::at(offset)
    };
    let record = Given {
        offset_delta: 0,
        timestamp: 0,
        key: Some(vec![0, 0, 0, u8::from(commit)]),
        value: Some(vec![0; 6]),
        headers: Vec::new(),
    };
    encode(&plan, &[record])
}

pub(super) fn encode(plan: &Plan, records: &[Given]) -> Vec<u8> {
    let first = records.first().map_or(0, |record| record.timestamp);
    let largest = plan
        .log_append_time
        .unwrap_or_else(|| records.iter().map(|record| record.timestamp).max().unwrap_or(0));
    let body: Vec<u8> = records
        .iter()
        .flat_map(|record| encode_record(record, first))
        .collect();
    let attributes = plan.codec as i16
        | if plan.log_append_time.is_some() { 8 } else { 0 }
        | if plan.transactional { 16 } else { 0 }
        | if plan.control { 32 } else { 0 };
    let mut checked = attributes.to_be_bytes().to_vec();
    let last = records.last().map_or(0, |record| record.offset_delta);
    checked.extend(last.to_be_bytes());
    checked.extend(first.to_be_bytes());
    checked.extend(largest.to_be_bytes());
    checked.extend(plan.producer_id.to_be_bytes());
    checked.extend(0_i16.to_be_bytes());
    checked.extend(0_i32.to_be_bytes());
    checked.extend((records.len() as i32).to_be_bytes());
    checked.extend(compress(plan, &body));

    let mut batch = plan.base_offset.to_be_bytes().to_vec();
    batch.extend((checked.len() as i32 + 9).to_be_bytes());
    batch.extend(0_i32.to_be_bytes());
    batch.push(2);
    batch.extend(crc32c::crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    batch
}

/// Writes the batch's checksum anew, so that what was changed behind it looks meant.
pub(super) fn seal(batch: &mut [u8]) {
    let checksum = crc32c::crc32c(&batch[21..]).to_be_bytes();
    batch[17..21].copy_from_slice(&checksum);
}

fn encode_record(record: &Given, first_timestamp: i64) -> Vec<u8> {
    let mut bytes = vec![0];
    put(&mut bytes, record.timestamp.wrapping_sub(first_timestamp));
    put(&mut bytes, i64::from(record.offset_delta));
    put_bytes(&mut bytes, record.key.as_deref());
    put_bytes(&mut bytes, record.value.as_deref());
    put(&mut bytes, record.headers.len() as i64);
    for (name, value) in &record.headers {
        put_bytes(&mut bytes, Some(name));
        put_bytes(&mut bytes, value.as_deref());
    }
    let mut sized = Vec::new();
    put(&mut sized, bytes.len() as i64);
    sized.extend(bytes);
    sized
}

fn put_bytes(target: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put(target, bytes.map_or(-1, |bytes| bytes.len() as i64));
    target.extend(bytes.unwrap_or_default());
}

fn put(target: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        target.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    target.push(zigzag as u8);
}

fn compress(plan: &Plan, body: &[u8]) -> Vec<u8> {
    match plan.codec {
        Codec::None => body.to_vec(),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Snappy if plan.xerial => {
            let mut bytes = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
            for block in body.chunks(40) {
                let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
                bytes.extend((block.len() as u32).to_be_bytes());
                bytes.extend(block);
            }
            bytes
        }
        Codec::Snappy => snap::raw::Encoder::new().compress_vec(body).unwrap(),
        Codec::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Zstd => zstd::bulk::compress(body, 1).unwrap(),
    }
}
