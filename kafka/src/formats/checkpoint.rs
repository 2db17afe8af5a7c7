//! How far a generator shard has come: what it needs to continue after a crash without repeating or
//! skipping an event.
//!
//! It travels in the metadata of the generator group's committed offset of the shard's partition; the
//! offset itself is [`Checkpoint::produced`]. Both commit in the same Kafka transaction as the events.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use jiff::Timestamp;

/// Longest text: Kafka's default `offset.metadata.max.bytes` is 4096.
pub const MAX_LEN: usize = 4000;

/// First character of the text: the layout that follows.
const VERSION: char = '1';

/// A shard's state between two transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The run that the shard's numbering belongs to.
    pub run: u64,
    /// When the run began (kept to the microsecond).
    pub started: Timestamp,
    /// Events that the shard has produced in this run; the index of its next event.
    pub produced: u64,
    /// Records by partition of the generator's topic: the next `number` of
    /// [`RecordSequence`](crate::formats::sequence::RecordSequence).
    pub per_partition: Vec<u64>,
    /// Hash of the generator's settings that decide what events say. Another value asks for a new run.
    pub fingerprint: u64,
}

/// Why a checkpoint cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum CheckpointError {
    /// There are too many partitions for the room that Kafka gives.
    #[error(
        "a checkpoint over {partitions} partitions takes {length} bytes and Kafka keeps {MAX_LEN}: \
         give the generator's topic fewer partitions"
    )]
    TooLong {
        /// Partitions of the generator's topic.
        partitions: usize,
        /// Bytes that it would take.
        length: usize,
    },
    /// The text begins with another version.
    #[error("the checkpoint has the unknown layout {found:?}: it was written by a newer version")]
    Version {
        /// The first character, if any.
        found: Option<char>,
    },
    /// The text is damaged.
    #[error("the checkpoint is damaged: {problem}")]
    Damaged { problem: &'static str },
}

impl Checkpoint {
    /// The text for the offset's metadata: printable ASCII.
    pub fn encode(&self) -> Result<String, CheckpointError> {
        let mut bytes = Vec::with_capacity(32 + 4 * self.per_partition.len());
        bytes.extend(self.run.to_le_bytes());
        bytes.extend(self.fingerprint.to_le_bytes());
        bytes.extend(self.started.as_microsecond().to_le_bytes());
        write_varint(&mut bytes, self.produced);
        write_varint(&mut bytes, self.per_partition.len() as u64);
        for count in &self.per_partition {
            write_varint(&mut bytes, *count);
        }
        let mut text = String::from(VERSION);
        BASE64.encode_string(&bytes, &mut text);
        if text.len() > MAX_LEN {
            return Err(CheckpointError::TooLong {
                partitions: self.per_partition.len(),
                length: text.len(),
            });
        }
        Ok(text)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(text: &str) -> Result<Self, CheckpointError> {
        let Some(encoded) = text.strip_prefix(VERSION) else {
            return Err(CheckpointError::Version {
                found: text.chars().next(),
            });
        };
        let bytes = BASE64.decode(encoded).map_err(|_| damaged("not base64"))?;
        let mut rest = bytes.as_slice();
        let run = read_u64(&mut rest)?;
        let fingerprint = read_u64(&mut rest)?;
        let started = Timestamp::from_microsecond(read_u64(&mut rest)?.cast_signed())
            .map_err(|_| damaged("its start is no instant"))?;
        let produced = read_varint(&mut rest)?;
        let partitions = read_varint(&mut rest)?;
        // Every count takes a byte, so this bounds the allocation by the text's own length.
        if partitions > rest.len() as u64 {
            return Err(damaged("it ends too early"));
        }
        let per_partition = (0..partitions)
            .map(|_| read_varint(&mut rest))
            .collect::<Result<_, _>>()?;
        if !rest.is_empty() {
            return Err(damaged("it goes on after its end"));
        }
        Ok(Self {
            run,
            started,
            produced,
            per_partition,
            fingerprint,
        })
    }
}

fn damaged(problem: &'static str) -> CheckpointError {
    CheckpointError::Damaged { problem }
}

fn read_u64(rest: &mut &[u8]) -> Result<u64, CheckpointError> {
    let (bytes, after) = rest.split_first_chunk().ok_or(damaged("it ends too early"))?;
    *rest = after;
    Ok(u64::from_le_bytes(*bytes))
}

/// LEB128: seven bits a byte, the lowest first, the top bit set on all but the last.
fn write_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value as u8) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read_varint(rest: &mut &[u8]) -> Result<u64, CheckpointError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(damaged("it ends too early"))?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged("a count does not fit 64 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn checkpoint(per_partition: Vec<u64>) -> Checkpoint {
        Checkpoint {
            run: 7,
            started: "2026-11-21T05:48:21.123456Z".parse().unwrap(),
            produced: per_partition.iter().sum(),
            per_partition,
            fingerprint: u64::MAX,
        }
    }

    /// What is stored today must be readable by every later version.
    #[test]
    fn the_stored_text_is_fixed() {
        let text = "1BwAAAAAAAAD//////////4CVg+jCYAYA6QcDAOgHAQ";
        assert_eq!(checkpoint(vec![0, 1000, 1]).encode().unwrap(), text);
        assert_eq!(Checkpoint::decode(text).unwrap(), checkpoint(vec![0, 1000, 1]));
    }

    #[test]
    fn too_many_partitions_are_named() {
        let error = Checkpoint {
            per_partition: vec![1 << 60; 500],
            ..checkpoint(vec![])
        }
        .encode()
        .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("a checkpoint over 500 partitions takes"),
            "{error}"
        );
    }

    #[test]
    fn foreign_and_damaged_texts_are_refused() {
        let text = checkpoint(vec![5, 6]).encode().unwrap();
        assert_eq!(
            Checkpoint::decode(""),
            Err(CheckpointError::Version { found: None })
        );
        assert_eq!(
            Checkpoint::decode("2abc"),
            Err(CheckpointError::Version { found: Some('2') })
        );
        assert_eq!(Checkpoint::decode("1?"), Err(damaged("not base64")));
        for end in 1..text.len() {
            assert!(
                matches!(
                    Checkpoint::decode(&text[..end]),
                    Err(CheckpointError::Damaged { .. })
                ),
                "{end}"
            );
        }
        assert!(matches!(
            Checkpoint::decode(&format!("{text}AAAA")),
            Err(CheckpointError::Damaged { .. })
        ));
    }

    proptest! {
        /// 400 partitions fit until each has had 500 million million records of one shard.
        #[test]
        fn reads_back(
            run: u64,
            fingerprint: u64,
            produced: u64,
            started in 0_i64..4_000_000_000_000_000,
            per_partition in prop::collection::vec(0_u64..(1 << 49), 0..=400),
        ) {
            let started = Timestamp::from_microsecond(started).unwrap();
            let checkpoint = Checkpoint { run, started, produced, per_partition, fingerprint };
            let text = checkpoint.encode().unwrap();
            prop_assert!(text.len() <= MAX_LEN && text.is_ascii());
            prop_assert_eq!(Checkpoint::decode(&text).unwrap(), checkpoint);
        }

        #[test]
        fn any_count_reads_back(value: u64) {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            prop_assert_eq!(read_varint(&mut bytes.as_slice()), Ok(value));
        }
    }

    #[test]
    fn no_text_is_more_than_an_error() {
        testbed::within_memory(|| {
            proptest!(|(text in "1?[A-Za-z0-9+/]{0,80}")| {
                let _ = Checkpoint::decode(&text);
            });
        });
    }
}
