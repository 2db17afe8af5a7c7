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

macro_rules! api {
    ($request:ty, $answer:ty, $key:literal, $name:literal, $oldest:literal) => {
        impl Api for $request {
            const KEY: i16 = $key;
            const NAME: &'static str = $name;
            const OLDEST: i16 = $oldest;
            type Answer = $answer;
        }
    };
}

// Kafka 0.11 and later: record batches of format 2, and metadata that creates no topics.
api!(FetchRequest, FetchResponse, 1, "Fetch", 4);
api!(ListOffsetsRequest, ListOffsetsResponse, 2, "ListOffsets", 2);
api!(MetadataRequest, MetadataResponse, 3, "Metadata", 4);
// Kafka 2.5 and later: members with names of their own.
api!(JoinGroupRequest, JoinGroupResponse, 11, "JoinGroup", 5);
api!(HeartbeatRequest, HeartbeatResponse, 12, "Heartbeat", 3);
api!(LeaveGroupRequest, LeaveGroupResponse, 13, "LeaveGroup", 3);
api!(SyncGroupRequest, SyncGroupResponse, 14, "SyncGroup", 3);
api!(
    SaslHandshakeRequest,
    SaslHandshakeResponse,
    17,
    "SaslHandshake",
    1
);
api!(ApiVersionsRequest, ApiVersionsResponse, 18, "ApiVersions", 0);
api!(
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    36,
    "SaslAuthenticate",
    0
);

// Idempotent and transactional writing (Kafka 0.11 and later), with the membership that a transaction's offsets are
// committed under (2.5 and later).
api!(ProduceRequest, ProduceResponse, 0, "Produce", 3);
api!(
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    10,
    "FindCoordinator",
    1
);
api!(
    InitProducerIdRequest,
    InitProducerIdResponse,
    22,
    "InitProducerId",
    0
);
api!(
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    24,
    "AddPartitionsToTxn",
    0
);
api!(
    AddOffsetsToTxnRequest,
    AddOffsetsToTxnResponse,
    25,
    "AddOffsetsToTxn",
    0
);
api!(EndTxnRequest, EndTxnResponse, 26, "EndTxn", 0);
api!(
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
    28,
    "TxnOffsetCommit",
    3
);
// Kafka 3.0 and later.
api!(
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    65,
    "DescribeTransactions",
    0
);

impl Api for OffsetFetchRequest {
    const KEY: i16 = 9;
    const NAME: &'static str = "OffsetFetch";
    const OLDEST: i16 = 1;
    type Answer = OffsetFetchResponse;

    /// Kafka 2.5 and later can leave out offsets that an open transaction may change.
    fn oldest(&self) -> i16 {
        if self.require_stable { 7 } else { Self::OLDEST }
    }
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
    let failed = |error: &dyn std::fmt::Display| WireError::Decode {
        api: A::NAME,
        version,
        text: error.to_string(),
    };
    let header = ResponseHeader::decode(&mut frame, A::Answer::header_version(version))
        .map_err(|error| failed(&error))?;
    if header.correlation_id != correlation {
        return Err(WireError::Correlation {
            expected: correlation,
            found: header.correlation_id,
        });
    }
    A::Answer::decode(&mut frame, version).map_err(|error| failed(&error))
}
