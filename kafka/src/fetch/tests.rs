//! Record batches: what is written reads back, and what is broken errs.

use super::batch::{BatchError, Batches};
use super::compression::{Codec, Scratch};
use super::encode::{Given, Plan, encode, seal};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// A record as it is read, for comparison.
#[derive(Debug, PartialEq)]
struct Read {
    offset: i64,
    timestamp: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    sp: Option<Vec<u8>>,
}

fn read(bytes: &[u8]) -> Result<Vec<Read>, BatchError> {
    let mut scratch = Scratch::default();
    let mut records = Vec::new();
    for batch in Batches::new(bytes) {
        for record in batch?.records(&mut scratch)? {
            let record = record?;
            records.push(Read {
                offset: record.offset,
                timestamp: record.timestamp,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                sp: record.header(b"sp")?.map(<[u8]>::to_vec),
            });
        }
    }
    Ok(records)
}

/// What should be read of a batch.
fn expected(plan: &Plan, records: &[Given]) -> Vec<Read> {
    let reads = records.iter().map(|record| Read {
        offset: plan.base_offset + i64::from(record.offset_delta),
        timestamp: Some(plan.log_append_time.unwrap_or(record.timestamp))
            .filter(|timestamp| *timestamp != -1),
        key: record.key.clone(),
        value: record.value.clone(),
        sp: record
            .headers
            .iter()
            .find(|(name, _)| name == b"sp")
            .and_then(|(_, value)| value.clone()),
    });
    reads.collect()
}

fn header() -> impl Strategy<Value = (Vec<u8>, Option<Vec<u8>>)> {
    let name = prop_oneof![Just(b"sp".to_vec()), vec(any::<u8>(), 0..5)];
    (name, option::of(vec(any::<u8>(), 0..20)))
}

fn given_records() -> impl Strategy<Value = Vec<Given>> {
    let bytes = || option::of(vec(any::<u8>(), 0..100));
    let record = (
        1..1000_i32,
        -1..1_i64 << 41,
        bytes(),
        bytes(),
        vec(header(), 0..4),
    );
    vec(record, 1..30).prop_map(|records| {
        let mut next = -1;
        let number = |(gap, timestamp, key, value, headers)| {
            next += gap;
            Given {
                offset_delta: next,
                timestamp,
                key,
                value,
                headers,
            }
        };
        records.into_iter().map(number).collect()
    })
}

fn plans() -> impl Strategy<Value = Plan> {
    let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    let codec = prop::sample::select(codecs.to_vec());
    (0..1_i64 << 40, codec, any::<bool>(), option::of(0..1_i64 << 41)).prop_map(
        |(base_offset, codec, xerial, log_append_time)| Plan {
            codec,
            xerial,
            log_append_time,
            ..Plan::at(base_offset)
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_reads_back(batches in vec((plans(), given_records()), 0..4)) {
        let bytes: Vec<u8> = batches.iter().flat_map(|(plan, records)| encode(plan, records)).collect();
        let wanted: Vec<Read> = batches.iter().flat_map(|(plan, records)| expected(plan, records)).collect();
        prop_assert_eq!(read(&bytes).unwrap(), wanted);
    }

    /// A broker cuts its answer anywhere; what is whole is read, and nothing of the rest.
    #[test]
    fn a_batch_that_is_cut_off_is_left_for_the_next_answer(first in given_records(), second in given_records(), plan in plans(), cut: prop::sample::Index) {
        let next = Plan { base_offset: plan.base_offset + 100_000, ..plan };
        let whole = encode(&plan, &first);
        let both = [whole.clone(), encode(&next, &second)].concat();
        let end = whole.len() + cut.index(both.len() - whole.len());
        prop_assert_eq!(read(&both[..end]).unwrap(), expected(&plan, &first));
    }

    /// Everything behind the checksum is covered by it. A length that is too great is a batch that is not there yet.
    #[test]
    fn a_flipped_bit_is_noticed(records in given_records(), plan in plans(), at: prop::sample::Index, bit in 0..8) {
        let mut bytes = encode(&plan, &records);
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        match at {
            0..8 | 12..16 => {}
            8..12 => prop_assert!(read(&bytes).map_or(true, |read| read.is_empty())),
            _ => prop_assert!(read(&bytes).is_err()),
        }
    }
}

/// A writer that is broken, or means harm, gets its own checksum right.
#[test]
fn nonsense_ends_in_an_error_or_in_records() {
    testbed::within_memory(|| {
        let changes = || vec((any::<prop::sample::Index>(), any::<u8>()), 1..20);
        proptest!(|(records in given_records(), plan in plans(), changes in changes())| {
            let mut bytes = encode(&plan, &records);
            for (at, value) in changes {
                let at = 21 + at.index(bytes.len() - 21);
                bytes[at] = value;
            }
            seal(&mut bytes);
            if let Ok(read) = read(&bytes) {
                prop_assert!(read.len() <= bytes.len() * 256);
            }
        });
    });
}

#[test]
fn any_bytes_end_in_an_error_or_in_nothing() {
    testbed::within_memory(|| {
        proptest!(|(bytes in vec(any::<u8>(), 0..300))| {
            prop_assert!(read(&bytes).map_or(true, |read| read.is_empty()));
        });
    });
}

#[test]
fn formats_of_old_are_refused_with_a_remedy() {
    for magic in [0, 1] {
        let mut bytes = encode(&Plan::at(7), &Plan::values(1));
        bytes[16] = magic;
        // However little of it came.
        let error = read(&bytes[..20]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the record batch at offset 7 is in message format {magic}; only format 2, of Kafka 0.11 and later, is \
                 read: write these records to the topic anew, or begin after them"
            )
        );
    }
}

/// A count that is not the number of records, offsets that stand still, a codec that nobody knows.
#[test]
fn what_contradicts_itself_is_refused() {
    let good = encode(&Plan::at(7), &Plan::values(3));
    for (at, value, what) in [
        (60, 2, "it has bytes after its last record"),
        (60, 4, "a record is longer than the batch"),
        (22, 7, "it is compressed in a way that is not known"),
        (26, 1, "the offsets of its records do not rise"),
        (57, 0x80, "its offsets or its number of records are negative"),
    ] {
        let mut bytes = good.clone();
        bytes[at] = value;
        seal(&mut bytes);
        let error = read(&bytes).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the record batch at offset 7 cannot be read: {what}")
        );
    }
}

/// The broker writes the epoch, after the producer made the checksum.
#[test]
fn the_leader_s_epoch_is_told_where_there_is_one() {
    let epoch = |bytes: [u8; 4]| {
        let mut batch = encode(&Plan::at(7), &Plan::values(1));
        batch[12..16].copy_from_slice(&bytes);
        let batch = Batches::new(&batch).next().unwrap().unwrap();
        batch.leader_epoch()
    };
    assert_eq!(epoch(0_i32.to_be_bytes()), Some(0));
    assert_eq!(epoch(0x0102_0304_i32.to_be_bytes()), Some(0x0102_0304));
    assert_eq!(epoch((-1_i32).to_be_bytes()), None);
}
