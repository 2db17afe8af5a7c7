//! The requests that are made, and their frames.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    ApiVersionsRequest, ApiVersionsResponse, DescribeTransactionsRequest, DescribeTransactionsResponse,
    EndTxnRequest, EndTxnResponse, FetchRequest, FetchResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, InitProducerIdRequest,
    InitProducerIdResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetFetchRequest,
    OffsetFetchResponse, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader,
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
    SyncGroupRequest, SyncGroupResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes};

use super::bounded;

/// A request and its answer.
pub(crate) trait Api: Message + Encodable + HeaderVersion {
    /// What brokers call it.
    const KEY: i16;
    /// How errors call it.
    const NAME: &'static str;
    /// The oldest version that carries what is needed of any such request.
    const OLDEST: i16;
    type Answer: Decodable + HeaderVersion;

    /// The oldest version that carries what this one asks.
    fn oldest(&self) -> i16 {
        Self::OLDEST
    }
}

macro_rules! apis {
    ($($request:ident, $answer:ty, $key:literal, $name:literal, $oldest:literal $({$($more:tt)+})?;)+) => {
        $(impl Api for $request {
            const KEY: i16 = $key;
            const NAME: &'static str = $name;
            const OLDEST: i16 = $oldest;
            type Answer = $answer;
            $($($more)+)?
        })+

        /// Shows every API to `visitor`.
        #[cfg(test)]
        fn visit_apis(visitor: &mut impl Visitor) {
            $(visitor.visit::<$request>();)+
        }
    };
}

apis! {
    // Kafka 0.11 and later: record batches of format 2, and metadata that creates no topics.
    FetchRequest, FetchResponse, 1, "Fetch", 4;
    ListOffsetsRequest, ListOffsetsResponse, 2, "ListOffsets", 2;
    MetadataRequest, MetadataResponse, 3, "Metadata", 4;
    OffsetFetchRequest, OffsetFetchResponse, 9, "OffsetFetch", 1 {
        /// Kafka 2.5 and later can leave out offsets that an open transaction may change.
        fn oldest(&self) -> i16 {
            if self.require_stable { 7 } else { Self::OLDEST }
        }
    };
    SaslHandshakeRequest, SaslHandshakeResponse, 17, "SaslHandshake", 1;
    ApiVersionsRequest, ApiVersionsResponse, 18, "ApiVersions", 0;
    SaslAuthenticateRequest, SaslAuthenticateResponse, 36, "SaslAuthenticate", 0;
    // Kafka 2.5 and later: members with names of their own.
    JoinGroupRequest, JoinGroupResponse, 11, "JoinGroup", 5;
    HeartbeatRequest, HeartbeatResponse, 12, "Heartbeat", 3;
    LeaveGroupRequest, LeaveGroupResponse, 13, "LeaveGroup", 3;
    SyncGroupRequest, SyncGroupResponse, 14, "SyncGroup", 3;
    // Idempotent and transactional writing (Kafka 0.11 and later), with the membership that a transaction's offsets are
    // committed under (2.5 and later).
    ProduceRequest, ProduceResponse, 0, "Produce", 3;
    FindCoordinatorRequest, FindCoordinatorResponse, 10, "FindCoordinator", 1;
    InitProducerIdRequest, InitProducerIdResponse, 22, "InitProducerId", 0;
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, 24, "AddPartitionsToTxn", 0;
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, 25, "AddOffsetsToTxn", 0;
    EndTxnRequest, EndTxnResponse, 26, "EndTxn", 0;
    TxnOffsetCommitRequest, TxnOffsetCommitResponse, 28, "TxnOffsetCommit", 3;
    // Kafka 3.0 and later.
    DescribeTransactionsRequest, DescribeTransactionsResponse, 65, "DescribeTransactions", 0;
}

/// Why bytes are no request or answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the {api} request cannot be written in version {version}: {text}")]
    Encode {
        api: &'static str,
        version: i16,
        text: String,
    },
    #[error("the answer to {api} (version {version}) cannot be read: {text}")]
    Decode {
        api: &'static str,
        version: i16,
        text: String,
    },
    #[error("the answer is to request {found} instead of {expected}")]
    Correlation { expected: i32, found: i32 },
}

/// Writes a whole frame, its length first.
pub(crate) fn encode<A: Api>(
    request: &A,
    version: i16,
    correlation: i32,
    client_id: &StrBytes,
) -> Result<BytesMut, WireError> {
    let failed = |error: &dyn std::fmt::Display| WireError::Encode {
        api: A::NAME,
        version,
        text: error.to_string(),
    };
    let header = RequestHeader::default()
        .with_request_api_key(A::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(client_id.clone()));
    let mut message = BytesMut::new();
    header
        .encode(&mut message, A::header_version(version))
        .and_then(|()| request.encode(&mut message, version))
        .map_err(|error| failed(&error))?;
    let length = i32::try_from(message.len()).map_err(|error| failed(&error))?;
    let mut frame = BytesMut::with_capacity(message.len() + 4);
    frame.put_i32(length);
    frame.extend_from_slice(&message);
    Ok(frame)
}

/// Reads what a frame holds behind its length.
pub(crate) fn decode<A: Api>(
    mut frame: Bytes,
    version: i16,
    correlation: i32,
) -> Result<A::Answer, WireError> {
    let failed = |text| WireError::Decode {
        api: A::NAME,
        version,
        text,
    };
    let header_version = A::Answer::header_version(version);
    let header: ResponseHeader = bounded::decode(&mut frame, header_version).map_err(failed)?;
    if header.correlation_id != correlation {
        return Err(WireError::Correlation {
            expected: correlation,
            found: header.correlation_id,
        });
    }
    bounded::decode(&mut frame, version).map_err(failed)
}

#[cfg(test)]
trait Visitor {
    fn visit<A: Api>(&mut self);
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    /// Random bytes, most of them such as counts and lengths are made of: answers are read further than their first field.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            6 => Just(0),
            3 => 1_u8..4,
            1 => prop::sample::select(vec![0x0f, 0x7f, 0x80, 0x81, 0xff]),
            1 => any::<u8>(),
        ];
        prop::collection::vec(byte, 0..200)
    }

    /// Reads each of `frames` as every answer in every version.
    struct Reading(Vec<Bytes>);

    impl Visitor for Reading {
        fn visit<A: Api>(&mut self) {
            for version in A::OLDEST..=<A as Message>::VERSIONS.max {
                for frame in &self.0 {
                    // The correlation, and a header without tags.
                    let tags = usize::from(A::Answer::header_version(version) > 0);
                    let header = vec![0; 4 + tags];
                    let _ = decode::<A>([&header[..], frame].concat().into(), version, 0);
                    let _ = decode::<A>(frame.clone(), version, 0);
                }
            }
        }
    }

    #[test]
    fn no_bytes_are_more_than_an_error() {
        testbed::within_memory(|| {
            let run = TestRunner::default().run(&bytes(), |bytes| {
                visit_apis(&mut Reading(vec![bytes.into()]));
                Ok(())
            });
            run.unwrap();
        });
    }

    /// Every number that an answer has is the largest that it can be, wherever it stands.
    #[test]
    fn no_count_is_believed() {
        testbed::within_memory(|| {
            let claims: [&[u8]; 3] = [
                &[0x7f, 0xff, 0xff, 0xff],
                &[0xff, 0xff, 0xff, 0xff, 0x0f],
                &[0x80, 0x80, 0x80, 0x80, 0x04],
            ];
            let frames = claims.iter().flat_map(|claim| {
                (0..64).map(|at| Bytes::from([&vec![0; at][..], claim, &[0; 100]].concat()))
            });
            visit_apis(&mut Reading(frames.collect()));
        });
    }
}
