//! Why there is no connection to a broker, and what is to be done about it.

use std::io;
use std::time::Duration;

use super::wire::WireError;
use crate::error_code::ErrorCode;
use crate::issue::IssueKind;

/// Why there is no connection, or none any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("the name cannot be resolved")]
    Resolve(#[source] io::Error),
    #[error("no connection")]
    Connect(#[source] io::Error),
    #[error("{doing} timed out after {after:?}")]
    TimedOut { doing: &'static str, after: Duration },
    #[error("TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("TLS handshake failed: connecting to a PLAINTEXT broker listener?")]
    NoTls(#[source] io::Error),
    #[error("the connection was lost during {doing}")]
    Lost {
        doing: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the broker closed the connection during {doing}: it might require SASL authentication")]
    Unauthenticated { doing: &'static str },
    #[error("this is no answer of Kafka: connecting to a SSL listener?")]
    TlsListener,
    #[error("the answer to {doing} has {bytes} bytes, more than any of Kafka")]
    TooLong { doing: &'static str, bytes: u32 },
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the broker offers {api} in versions {min} to {max} only")]
    Version { api: &'static str, min: i16, max: i16 },
    #[error("the broker does not take {mechanism}, but {offered}")]
    Mechanism {
        mechanism: &'static str,
        offered: String,
    },
    #[error("{0}")]
    Authentication(String),
    #[error("{api} is refused: {code}")]
    Refused { api: &'static str, code: ErrorCode },
}

impl ConnectionError {
    /// What is to be done about it.
    pub(crate) fn kind(&self) -> IssueKind {
        match self {
            Self::Resolve(_) => IssueKind::UnknownHost,
            Self::Tls(_) => IssueKind::Tls,
            Self::NoTls(_)
            | Self::TlsListener
            | Self::Unauthenticated { .. }
            | Self::Refused {
                code: ErrorCode::IllegalSaslState,
                ..
            } => IssueKind::WrongProtocol,
            Self::Mechanism { .. } | Self::Authentication(_) => IssueKind::Authentication,
            Self::Connect(_)
            | Self::TimedOut { .. }
            | Self::Lost { .. }
            | Self::TooLong { .. }
            | Self::Wire(_)
            | Self::Version { .. }
            | Self::Refused { .. } => IssueKind::Unreachable,
        }
    }
}

pub(super) fn is_about_tls(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<tokio_rustls::rustls::Error>)
}

/// A listener without TLS answers nonsense, or nothing.
pub(super) fn handshake_error(error: io::Error) -> ConnectionError {
    let nonsense = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref())
        .is_some_and(|error| matches!(error, tokio_rustls::rustls::Error::InvalidMessage(_)));
    if nonsense || !is_about_tls(&error) {
        ConnectionError::NoTls(error)
    } else {
        ConnectionError::Tls(error)
    }
}
