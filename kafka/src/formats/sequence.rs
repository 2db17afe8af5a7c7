//! The number that a generated record carries, so that the reader can prove that none is missing or doubled.

/// Name of the Kafka record header that holds an encoded [`RecordSequence`].
pub const HEADER: &str = "sp";

/// Bytes of an encoded [`RecordSequence`].
pub const ENCODED_LEN: usize = 18;

/// Which record of which generator run this is.
///
/// `number` counts the records of one (run, shard, partition) from 0 without gaps, so each partition can be
/// audited without looking at any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordSequence {
    /// The generator run; a new one begins when settings change that change the events.
    pub run: u64,
    /// The generator's virtual shard.
    pub shard: u16,
    /// Position among the records of this run and shard in the record's partition, from 0.
    pub number: u64,
}

/// The header's value has a length that no [`RecordSequence`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the record header {HEADER} has {length} bytes instead of {ENCODED_LEN}: not written by this product's generator"
)]
pub struct SequenceError {
    /// Bytes that it has.
    pub length: usize,
}

impl RecordSequence {
    /// The header's value: run, shard, number, each big-endian.
    #[must_use]
    pub fn encode(self) -> [u8; ENCODED_LEN] {
        let mut bytes = [0; ENCODED_LEN];
        let (run, rest) = bytes.split_at_mut(8);
        let (shard, number) = rest.split_at_mut(2);
        run.copy_from_slice(&self.run.to_be_bytes());
        shard.copy_from_slice(&self.shard.to_be_bytes());
        number.copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// Reads a header's value.
    pub fn decode(bytes: &[u8]) -> Result<Self, SequenceError> {
        let wrong = SequenceError { length: bytes.len() };
        let (run, rest) = bytes.split_first_chunk().ok_or(wrong)?;
        let (shard, number) = rest.split_first_chunk().ok_or(wrong)?;
        Ok(Self {
            run: u64::from_be_bytes(*run),
            shard: u16::from_be_bytes(*shard),
            number: u64::from_be_bytes(number.try_into().map_err(|_| wrong)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn the_layout_on_the_wire_is_fixed() {
        let sequence = RecordSequence {
            run: 0x0102_0304_0506_0708,
            shard: 0x090a,
            number: 0x0b0c_0d0e_0f10_1112,
        };
        let expected: Vec<u8> = (1..=18).collect();
        assert_eq!(sequence.encode().as_slice(), expected);
    }

    #[test]
    fn other_lengths_are_refused() {
        for length in [0, 7, 8, 10, 17, 19] {
            assert_eq!(
                RecordSequence::decode(&vec![0; length]),
                Err(SequenceError { length })
            );
        }
    }

    proptest! {
        #[test]
        fn reads_back(run: u64, shard: u16, number: u64) {
            let sequence = RecordSequence { run, shard, number };
            prop_assert_eq!(RecordSequence::decode(&sequence.encode()), Ok(sequence));
        }
    }
}
