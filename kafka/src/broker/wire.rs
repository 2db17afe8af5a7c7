//! The requests that reading needs, and their frames.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, RequestHeader, ResponseHeader,
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes};

/// A request and its answer.
pub(crate) trait Api: Message + Encodable + HeaderVersion {
    /// What brokers call it.
    const KEY: i16;
    /// How errors call it.
    const NAME: &'static str;
    /// The oldest version that carries what is needed.
    const OLDEST: i16;
    type Answer: Decodable + HeaderVersion;
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
