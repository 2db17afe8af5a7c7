//! What members say to each other through the coordinator, in the encoding of Kafka's own consumers, so that its tools
//! can show the group.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as Assigned;
use kafka_protocol::messages::consumer_protocol_subscription::TopicPartition as Owned;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::assignor::Claim;
use crate::broker::decode_bounded;

/// What all members of a group are.
pub(super) const TYPE: &str = "consumer";

/// How partitions are assigned. Members that cannot agree on one are not let in.
pub(super) const ASSIGNOR: &str = "streampipeline-shards";

/// The first version in which a member tells what it has, and since when; assignments have not changed since.
const VERSION: i16 = 2;

/// What a member tells the one that assigns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    /// Partitions that there are, as far as it knows: newer settings may know of more.
    pub(super) count: i32,
    pub(super) claim: Claim,
}

/// What a member is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    /// Partitions that were assigned, to it or to others.
    pub(super) count: i32,
    pub(super) partitions: Vec<i32>,
}

/// The bytes are another protocol's, or damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what members of the group tell each other cannot be read or written: {0}")]
pub(super) struct ProtocolError(String);

impl Subscription {
    pub(super) fn encode(&self, topic: &str) -> Result<Bytes, ProtocolError> {
        let owned = Owned::default()
            .with_topic(name(topic))
            .with_partitions(self.claim.partitions.clone());
        let message = ConsumerProtocolSubscription::default()
            .with_topics(vec![StrBytes::from_string(topic.to_owned())])
            .with_user_data(Some(number(self.count)))
            .with_owned_partitions(vec![owned])
            .with_generation_id(self.claim.generation);
        encode(&message)
    }

    pub(super) fn decode(bytes: Bytes, topic: &str) -> Result<Self, ProtocolError> {
        let message: ConsumerProtocolSubscription = decode(bytes)?;
        let owned = message.owned_partitions.into_iter();
        let partitions = owned
            .filter(|owned| *owned.topic.0 == *topic)
            .flat_map(|owned| owned.partitions);
        Ok(Self {
            count: read_number(message.user_data.as_ref()),
            claim: Claim {
                generation: message.generation_id,
                partitions: partitions.collect(),
            },
        })
    }
}

impl Assignment {
    pub(super) fn encode(&self, topic: &str) -> Result<Bytes, ProtocolError> {
        let assigned = Assigned::default()
            .with_topic(name(topic))
            .with_partitions(self.partitions.clone());
        let message = ConsumerProtocolAssignment::default()
            .with_user_data(Some(number(self.count)))
            .with_assigned_partitions(vec![assigned]);
        encode(&message)
    }

    pub(super) fn decode(bytes: Bytes, topic: &str) -> Result<Self, ProtocolError> {
        let message: ConsumerProtocolAssignment = decode(bytes)?;
        let assigned = message.assigned_partitions.into_iter();
        let partitions = assigned
            .filter(|assigned| *assigned.topic.0 == *topic)
            .flat_map(|assigned| assigned.partitions);
        Ok(Self {
            count: read_number(message.user_data.as_ref()),
            partitions: partitions.collect(),
        })
    }
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

fn number(number: i32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// 0 where nothing is said.
fn read_number(bytes: Option<&Bytes>) -> i32 {
    let bytes = bytes.and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| i32::from_be_bytes(*bytes))
}

/// The version goes before the message.
fn encode(message: &impl Encodable) -> Result<Bytes, ProtocolError> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(VERSION);
    message
        .encode(&mut bytes, VERSION)
        .map_err(|error| ProtocolError(error.to_string()))?;
    Ok(bytes.freeze())
}

/// Newer versions have more at the end.
fn decode<M: Decodable>(mut bytes: Bytes) -> Result<M, ProtocolError> {
    let version = bytes
        .try_get_i16()
        .map_err(|error| ProtocolError(error.to_string()))?;
    decode_bounded(&mut bytes, version.min(VERSION)).map_err(ProtocolError)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_said_is_understood(
            count: i32,
            generation: i32,
            partitions in prop::collection::vec(any::<i32>(), 0..70),
        ) {
            let claim = Claim { generation, partitions: partitions.clone() };
            let subscription = Subscription { count, claim };
            let bytes = subscription.encode("shards").unwrap();
            prop_assert_eq!(Subscription::decode(bytes, "shards").unwrap(), subscription);
            let assignment = Assignment { count, partitions };
            let bytes = assignment.encode("shards").unwrap();
            prop_assert_eq!(Assignment::decode(bytes, "shards").unwrap(), assignment);
        }

    }

    #[test]
    fn no_bytes_are_more_than_an_error() {
        testbed::within_memory(|| {
            proptest!(|(bytes in prop::collection::vec(any::<u8>(), 0..60))| {
                // As they are, and in a version that is read.
                for bytes in [bytes.clone(), [&VERSION.to_be_bytes()[..], &bytes].concat()] {
                    let bytes = Bytes::from(bytes);
                    let _ = Subscription::decode(bytes.clone(), "shards");
                    let _ = Assignment::decode(bytes, "shards");
                }
            });
        });
    }

    /// As Kafka's own consumers encode it: version, topics, user data, owned partitions, generation.
    #[test]
    fn the_encoding_is_that_of_kafka() {
        let claim = Claim {
            generation: 7,
            partitions: vec![3],
        };
        let bytes = Subscription { count: 5, claim }.encode("ab").unwrap();
        let expected = [
            &[0, 2, 0, 0, 0, 1, 0, 2][..],
            b"ab",
            &[0, 0, 0, 4, 0, 0, 0, 5],
            &[0, 0, 0, 1, 0, 2],
            b"ab",
            &[0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 7],
        ]
        .concat();
        assert_eq!(bytes, expected);
        // One of another topic has nothing of ours.
        let foreign = Subscription::decode(expected.into(), "c").unwrap();
        assert_eq!(foreign.claim.partitions, Vec::<i32>::new());
    }

    /// An empty assignment is what a member gets that was not thought of.
    #[test]
    fn nothing_is_an_error() {
        assert!(Assignment::decode(Bytes::new(), "shards").is_err());
    }
}
