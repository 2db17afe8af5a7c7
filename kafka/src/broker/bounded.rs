//! Decoding what a peer sent without reserving memory on its word.
//!
//! kafka-protocol's decoders reserve room for as many elements as an array claims to have before they read the first: a
//! few damaged bytes, or another protocol's, ask for tens of gigabytes, and where memory is not overcommitted that ends
//! the process. The decoders are generic over what they read from, and all that they see of it goes through this
//! module's reader. So one place bounds every count by the bytes that are left, for every message and version, and no
//! message's layout is written down a second time.
//!
//! The reader does not know which number is a count. It goes by how numbers are encoded:
//!
//! - Varints are read byte by byte, and all of them are counts, lengths and (small) tags. One that is larger than what is
//!   left is an error at its last byte.
//! - An `i32` may be a count or anything else, such as a node's id. One that is larger than what is left is read as
//!   [`i32::MIN`]: as a count or a length every decoder refuses that, and a decoder that comes to the end all the same has
//!   shown that it was neither. Then the message is decoded once more, as it is. That is rare: an answer to `Fetch` is
//!   larger than any such number in it.
//!
//! What is reserved at any time is thus a small multiple of the bytes that have arrived: an element's size in memory for
//! each of them, in each of the few arrays that lie within one another.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;

/// Counts up to this are believed with fewer bytes left: a bound as well, and neither tags nor partition numbers near the
/// end of a message are taken for claims.
const BELIEVED: usize = 1024;

/// Bytes of the longest varint.
const VARINT: u32 = 5;

/// Takes a message off `bytes`; how much of them is gone after an error is not said.
pub(crate) fn decode<M: Decodable>(bytes: &mut Bytes, version: i16) -> Result<M, String> {
    let mut reader = Reader {
        bytes: bytes.clone(),
        varint: Varint::default(),
        has_doubts: false,
    };
    let message = M::decode(&mut reader, version);
    let message = if reader.has_doubts && message.is_ok() {
        M::decode(bytes, version)
    } else {
        *bytes = reader.bytes;
        message
    };
    message.map_err(|error| error.to_string())
}

struct Reader {
    bytes: Bytes,
    varint: Varint,
    /// Whether an `i32` was read as another.
    has_doubts: bool,
}

/// The varint that is being read. A boolean is a byte as well, and one that is neither 0 nor 1 looks like a varint's
/// first byte. What follows then counts for more here than for the decoder, or is too long: never for less.
#[derive(Default)]
struct Varint {
    value: u64,
    length: u32,
}

impl Varint {
    /// Takes the next byte: the value with the last one. `Err` for what is no varint of 32 bits.
    fn push(&mut self, byte: u8) -> Result<Option<u64>, ()> {
        self.value |= u64::from(byte & 0x7f) << (7 * self.length);
        self.length += 1;
        if byte < 0x80 {
            return Ok(Some(std::mem::take(self).value));
        }
        if self.length < VARINT { Ok(None) } else { Err(()) }
    }
}

impl Reader {
    /// The largest count that may be true.
    fn most(&self) -> usize {
        self.bytes.len() + BELIEVED
    }

    fn refuse(&self, count: u64) -> TryGetError {
        TryGetError {
            requested: usize::try_from(count).unwrap_or(usize::MAX),
            available: self.bytes.len(),
        }
    }
}

impl Buf for Reader {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        let byte = self.bytes.try_get_u8()?;
        match self.varint.push(byte) {
            Ok(Some(count)) if count > self.most() as u64 => Err(self.refuse(count)),
            Ok(_) => Ok(byte),
            Err(()) => Err(self.refuse(u64::MAX)),
        }
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        let number = self.bytes.try_get_i32()?;
        if usize::try_from(number).is_ok_and(|count| count > self.most()) {
            self.has_doubts = true;
            return Ok(i32::MIN);
        }
        Ok(number)
    }
}

impl ByteBuf for Reader {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.bytes.split_to(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use kafka_protocol::messages::{FetchResponse, MetadataResponse, ResponseHeader};
    use proptest::prelude::*;

    fn refused<M: Decodable>(bytes: &[&[u8]], version: i16) -> String {
        let mut bytes = Bytes::from(bytes.concat());
        decode::<M>(&mut bytes, version).err().unwrap()
    }

    #[test]
    fn a_count_that_is_not_there_is_refused_before_room_is_made() {
        testbed::within_memory(|| {
            let billion = &1_000_000_000_i32.to_be_bytes()[..];
            let billions = &[0xff, 0xff, 0xff, 0xff, 0x0f][..];
            // The throttle time, and the brokers.
            refused::<MetadataResponse>(&[&[0; 4], billion], 4);
            refused::<MetadataResponse>(&[&[0; 4], billions], 9);
            // An error, a session, and the topics. Zeroes follow, as many as a large answer has.
            let zeroes = &vec![0; 1_000_000][..];
            refused::<FetchResponse>(&[&[0; 10], billion, zeroes], 11);
            refused::<FetchResponse>(&[&[0; 10], billions, zeroes], 12);
            // The last field of the header is the number of its tags, of which none is that long.
            refused::<ResponseHeader>(&[&[0; 4], &[1, 7], billions], 1);
        });
    }

    /// Whether a topic is internal is a byte that may look as if a varint began. The count of its partitions follows.
    #[test]
    fn a_boolean_that_is_none_hides_no_count() {
        testbed::within_memory(|| {
            // No brokers; a cluster without a name and its controller; one topic: no error, and its name.
            let before = &[0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 2, 0, 0, 2, b't'][..];
            for boolean in [0x80, 0x81, 0xff] {
                for count in [
                    &[0x80, 0x80, 0x80, 0x80, 0x0f][..],
                    &[0x80, 0x80, 0x80, 0x40],
                    &[0xff, 0xff, 0xff, 0xff, 0x0f],
                ] {
                    refused::<MetadataResponse>(&[before, &[boolean], count], 9);
                }
            }
            // It is that field: with a count of nothing the message can be read.
            let (partitions, rest) = (&[1][..], [&[0; 4][..], &[0], &[0; 4], &[0]].concat());
            let mut bytes = Bytes::from([before, &[1], partitions, &rest].concat());
            assert!(decode::<MetadataResponse>(&mut bytes, 9).is_ok());
            assert!(bytes.is_empty());
        });
    }

    proptest! {
        /// Whatever numbers of four bytes are there that count nothing: the answer is the one that kafka-protocol gives.
        #[test]
        fn large_numbers_are_no_counts(
            [throttle, node, port, controller, operations]: [i32; 5],
            brokers in 0_u8..4,
            rest: [u8; 3],
        ) {
            let [throttle, node, port, controller, operations] =
                [throttle, node, port, controller, operations].map(i32::to_be_bytes);
            // A host, and no rack.
            let broker = [&node[..], &[0, 1, b'h'], &port, &[0xff, 0xff]].concat();
            let old = [
                &throttle[..],
                &[0, 0, 0, brokers],
                &broker.repeat(brokers.into()),
                // No name, and no topics.
                &[0xff, 0xff],
                &controller,
                &[0; 4],
                &operations,
            ];
            let compact = [&node[..], &[2, b'h'], &port, &[0, 0]].concat();
            let new = [
                &throttle[..],
                &[brokers + 1],
                &compact.repeat(brokers.into()),
                &[0],
                &controller,
                &[1],
                &operations,
                // A tag that nobody knows, and its value.
                &[1, 3, 1, 0x80],
            ];
            for (version, bytes) in [(8, old.concat()), (9, new.concat())] {
                let mut bytes = Bytes::from([&bytes[..], &rest].concat());
                let expected = MetadataResponse::decode(&mut bytes.clone(), version).unwrap();
                prop_assert_eq!(expected.brokers.len(), usize::from(brokers));
                prop_assert_eq!(decode::<MetadataResponse>(&mut bytes, version).unwrap(), expected);
                prop_assert_eq!(&bytes[..], &rest[..]);
            }
        }
    }
}
