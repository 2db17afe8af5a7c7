//! A connection to one broker: one request at a time, each with its answer.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::{Message, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

use super::access::{Access, Address};
use super::connection_error::{ConnectionError, handshake_error, is_about_tls};
use super::sasl;
use super::wire::{self, Api};
use crate::error_code::ErrorCode;

/// Longest that a connection may take to stand, passwords included.
const SETUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Brokers end connections that are idle for 10 minutes, and what lies between may do so earlier.
const MAX_IDLE: Duration = Duration::from_mins(3);

/// No answer is longer: what looks so is another protocol's.
const MAX_FRAME: u32 = 256 * 1024 * 1024;

/// Room for so much of an answer is made on its word.
const FIRST_STEP: usize = 64 * 1024;

/// The frame length that a TLS alert looks like.
const TLS_ALERT: u32 = 0x1503_0000;

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// A connection that stands.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    client_id: StrBytes,
    correlation: i32,
    versions: ApiVersionsResponse,
    /// What was read and not taken off yet; its memory is used again when no answer is held any more.
    buffer: BytesMut,
    /// The longest answer that there was.
    longest: usize,
    /// When the broker ends it, unless it is made anew before.
    expires: Option<Instant>,
    /// When it last answered.
    used: Instant,
    /// Counts it among those that stand.
    _standing: Arc<()>,
    /// Whether the broker has answered more than what anybody may ask.
    trusted: bool,
}

impl Connection {
    /// Connects, and gets in.
    pub(crate) async fn open(access: &Access, address: &Address) -> Result<Self, ConnectionError> {
        timeout(SETUP_TIMEOUT, Self::set_up(access, address))
            .await
            .map_err(|_| ConnectionError::TimedOut {
                doing: "connecting",
                after: SETUP_TIMEOUT,
            })?
    }

    async fn set_up(access: &Access, address: &Address) -> Result<Self, ConnectionError> {
        let addresses: Vec<_> = tokio::net::lookup_host((address.host.as_str(), address.port))
            .await
            .map_err(ConnectionError::Resolve)?
            .collect();
        let tcp = TcpStream::connect(addresses.as_slice())
            .await
            .map_err(ConnectionError::Connect)?;
        tcp.set_nodelay(true).map_err(ConnectionError::Connect)?;
        let stream: Box<dyn Stream> = match &access.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let name = ServerName::try_from(address.host.clone())
                    .map_err(|error| ConnectionError::Tls(io::Error::other(error)))?;
                Box::new(tls.connect(name, tcp).await.map_err(handshake_error)?)
            }
        };
        let mut connection = Self {
            stream,
            client_id: StrBytes::from_string(access.client_id.clone()),
            correlation: 0,
            versions: ApiVersionsResponse::default(),
            buffer: BytesMut::new(),
            longest: 0,
            expires: None,
            used: Instant::now(),
            trusted: false,
            _standing: Arc::clone(&access.connections),
        };
        // Version 0 is what every broker understands, and says all that is needed.
        connection.versions = connection.exchange(&ApiVersionsRequest::default(), 0).await?;
        if let Some(code) = ErrorCode::from_number(connection.versions.error_code) {
            return Err(ConnectionError::Refused {
                api: ApiVersionsRequest::NAME,
                code,
            });
        }
        if let Some(credentials) = &access.sasl {
            let lifetime = sasl::authenticate(&mut connection, credentials).await?;
            connection.expires = lifetime.map(|lifetime| Instant::now() + lifetime);
        }
        Ok(connection)
    }

    /// Asks in a version that is no newer than `newest`, and waits for the answer no longer than `patience`. After an error
    /// the connection is of no use.
    pub(crate) async fn ask<A: Api>(
        &mut self,
        request: &A,
        newest: i16,
        patience: Duration,
    ) -> Result<A::Answer, ConnectionError> {
        let version = self.version(request)?.min(newest);
        let answer = timeout(patience, self.exchange(request, version))
            .await
            .map_err(|_| ConnectionError::TimedOut {
                doing: A::NAME,
                after: patience,
            })??;
        self.trusted = true;
        self.used = Instant::now();
        Ok(answer)
    }

    /// The newest version that both sides know.
    pub(crate) fn version<A: Api>(&self, request: &A) -> Result<i16, ConnectionError> {
        let known = <A as Message>::VERSIONS;
        let offered = self
            .versions
            .api_keys
            .iter()
            .find(|offered| offered.api_key == A::KEY);
        let (min, max) = offered.map_or((0, -1), |offered| (offered.min_version, offered.max_version));
        let version = max.min(known.max);
        if version >= min.max(request.oldest()) {
            Ok(version)
        } else {
            Err(ConnectionError::Version {
                api: A::NAME,
                min,
                max,
            })
        }
    }

    /// Whether the broker may soon end it, or has: the proof of identity grows old, or nothing was asked for long.
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now) || now >= self.used + MAX_IDLE
    }

    /// As [`ask`](Self::ask), in a version of one's own choice and without a time limit.
    pub(crate) async fn exchange<A: Api>(
        &mut self,
        request: &A,
        version: i16,
    ) -> Result<A::Answer, ConnectionError> {
        self.correlation = self.correlation.wrapping_add(1);
        let frame = wire::encode(request, version, self.correlation, &self.client_id)?;
        let sent = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        if let Err(error) = sent.await {
            return Err(self.lost(A::NAME, error));
        }
        let answer = self.receive(A::NAME).await?;
        Ok(wire::decode::<A>(answer, version, self.correlation)?)
    }

    async fn receive(&mut self, doing: &'static str) -> Result<Bytes, ConnectionError> {
        let length = match self.stream.read_u32().await {
            Ok(length) => length,
            Err(error) => return Err(self.lost(doing, error)),
        };
        if length & 0xffff_0000 == TLS_ALERT {
            return Err(ConnectionError::TlsListener);
        }
        if length > MAX_FRAME {
            return Err(ConnectionError::TooLong { doing, bytes: length });
        }
        let length = length as usize;
        self.buffer.clear();
        while self.buffer.len() < length {
            let arrived = self.buffer.len();
            if arrived == self.buffer.capacity() || arrived == 0 {
                let room = room(length, arrived, self.longest);
                self.buffer.reserve(room - arrived);
            }
            let missing = (length - self.buffer.len()) as u64;
            let read = (&mut self.stream).take(missing).read_buf(&mut self.buffer).await;
            match read {
                Ok(0) => return Err(self.lost(doing, io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(self.lost(doing, error)),
            }
        }
        self.longest = self.longest.max(length);
        Ok(self.buffer.split().freeze())
    }

    /// Brokers answer some mistakes by closing the connection.
    fn lost(&self, doing: &'static str, source: io::Error) -> ConnectionError {
        if is_about_tls(&source) {
            // The broker looks at a client's certificate after the handshake.
            ConnectionError::Tls(source)
        } else if !self.trusted && doing == "Metadata" {
            ConnectionError::Unauthenticated { doing }
        } else {
            ConnectionError::Lost { doing, source }
        }
    }
}

/// How much room there is to be for an answer that says it has `length` bytes, `arrived` of which are there: as much as
/// has come at once before, and after that in steps that double. So memory follows what arrives, not what is claimed, and
/// a broker that is read from all the time is read into one piece.
fn room(length: usize, arrived: usize, longest: usize) -> usize {
    length.min((2 * arrived).max(longest).max(FIRST_STEP))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Connection {
        fn over(stream: impl Stream + 'static) -> Self {
            Self {
                stream: Box::new(stream),
                client_id: StrBytes::default(),
                correlation: 0,
                versions: ApiVersionsResponse::default(),
                buffer: BytesMut::new(),
                longest: 0,
                expires: None,
                used: Instant::now(),
                trusted: false,
                _standing: Arc::default(),
            }
        }
    }

    /// What a broker sends, in frames, before it closes the connection.
    fn answering(frames: Vec<(u32, Vec<u8>)>) -> Connection {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            for (length, bytes) in frames {
                theirs.write_u32(length).await.unwrap();
                theirs.write_all(&bytes).await.unwrap();
            }
        });
        Connection::over(ours)
    }

    #[tokio::test]
    async fn memory_follows_what_arrives() {
        let mut connection = answering(vec![(MAX_FRAME, vec![7; 100_000])]);
        assert!(connection.receive("Fetch").await.is_err());
        assert_eq!(connection.buffer.len(), 100_000);
        assert!(connection.buffer.capacity() < 300_000);
    }

    #[tokio::test]
    async fn an_answer_is_whole_however_long() {
        let lengths = [0, 1, FIRST_STEP, FIRST_STEP + 1, 1_000_000, 5, 1_000_000];
        let frames = lengths.map(|length| (length as u32, vec![length as u8; length]));
        let mut connection = answering(frames.to_vec());
        let mut held = Vec::new();
        for (length, bytes) in frames {
            let answer = connection.receive("Fetch").await.unwrap();
            assert_eq!(answer, bytes, "{length}");
            // The memory of one that is held is not used again.
            held.push((answer, bytes));
        }
        assert!(held.iter().all(|(answer, bytes)| answer == bytes));
    }

    #[test]
    fn room_is_made_for_what_is_likely_to_come() {
        const MIB: usize = 1024 * 1024;
        for (length, arrived, longest, expected) in [
            (10, 0, 0, 10),
            (4 * MIB, 0, 0, FIRST_STEP),
            (4 * MIB, FIRST_STEP, 0, 2 * FIRST_STEP),
            (4 * MIB, 3 * MIB, 0, 4 * MIB),
            (4 * MIB, 0, 3 * MIB, 3 * MIB),
            (4 * MIB, 3 * MIB, 3 * MIB, 4 * MIB),
            (2 * MIB, 0, 3 * MIB, 2 * MIB),
        ] {
            assert_eq!(
                room(length, arrived, longest),
                expected,
                "{length} {arrived} {longest}"
            );
        }
    }
}
