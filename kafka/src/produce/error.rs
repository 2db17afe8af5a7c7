//! What keeps records from arriving.

use std::time::Duration;

use kafka_protocol::error::ResponseError;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;

/// Why what was written does not arrive. Everything since the last commit is void then: the producer is to be started
/// again, and what was not committed to be written anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProduceError {
    /// The topic is not there, may not be written, or nobody answers.
    #[error("the topic {topic} cannot be found: {code}")]
    Topic {
        /// The topic.
        topic: String,
        /// What the cluster says.
        code: RDKafkaErrorCode,
    },
    /// A broker refuses.
    #[error("{request} is refused: {code}")]
    Refused {
        /// What was asked of it.
        request: &'static str,
        /// What it says.
        code: RDKafkaErrorCode,
    },
    /// Nobody knows what became of a step of the transaction.
    #[error("the answer to {request} was lost: {reason}")]
    Lost {
        /// What was asked.
        request: &'static str,
        /// What happened to the connection.
        reason: String,
    },
    /// The topic takes no batches of this size. Those after the next start are smaller, as long as they can be.
    #[error(
        "a batch of {bytes} bytes with {records} records is larger than the topic's max.message.bytes; raise that"
    )]
    TooLarge {
        /// The batch's size, uncompressed.
        bytes: usize,
        /// Records in it.
        records: i32,
    },
    /// It takes too long.
    #[error("{doing} took longer than {after:?}{}", because(.last.as_deref()))]
    TimedOut {
        /// What.
        doing: &'static str,
        /// How long was waited.
        after: Duration,
        /// What went wrong last, if anything did.
        last: Option<String>,
    },
}

fn because(last: Option<&str>) -> String {
    last.map_or_else(String::new, |last| format!("; the last error: {last}"))
}

impl ProduceError {
    /// The same in the words of librdkafka.
    #[must_use]
    pub fn code(&self) -> RDKafkaErrorCode {
        match self {
            Self::Topic { code, .. } | Self::Refused { code, .. } => *code,
            Self::TooLarge { .. } => RDKafkaErrorCode::MessageSizeTooLarge,
            Self::Lost { .. } => RDKafkaErrorCode::BrokerTransportFailure,
            Self::TimedOut { .. } => RDKafkaErrorCode::OperationTimedOut,
        }
    }

    /// Whether somebody has to do something about it: grant a right, choose another setting. Everything else passes
    /// by itself.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        use RDKafkaErrorCode as Code;
        match self {
            Self::Lost { .. } | Self::TimedOut { .. } => false,
            Self::TooLarge { records, .. } => *records <= 1,
            Self::Topic { code, .. } | Self::Refused { code, .. } => matches!(
                code,
                Code::ClusterAuthorizationFailed
                    | Code::FencedInstanceId
                    | Code::GroupAuthorizationFailed
                    | Code::InvalidGroupId
                    | Code::InvalidRecord
                    | Code::InvalidTimestamp
                    | Code::InvalidTransactionTimeout
                    | Code::MessageSizeTooLarge
                    | Code::OffsetMetadataTooLarge
                    | Code::PolicyViolation
                    | Code::TopicAuthorizationFailed
                    | Code::TransactionalIdAuthorizationFailed
                    | Code::UnsupportedVersion
            ),
        }
    }
}

/// What a broker's error number asks for; the worse, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It is done.
    Done,
    /// The same again, soon: a transaction is still being ended.
    Wait,
    /// The same again, after the cluster was asked who is responsible now.
    Again,
    /// Nothing more will come of it.
    Final,
}

impl Verdict {
    /// Of a number that a broker answers with, to whatever question.
    pub(super) fn of(number: i16) -> Self {
        match ResponseError::try_from_code(number) {
            // The latter: sent before, and arrived.
            None | Some(ResponseError::DuplicateSequenceNumber) => Self::Done,
            Some(ResponseError::ConcurrentTransactions) => Self::Wait,
            Some(error) if error.is_retriable() => Self::Again,
            Some(_) => Self::Final,
        }
    }
}

/// A broker's error number by its name.
pub(super) fn code(number: i16) -> RDKafkaErrorCode {
    RDKafkaRespErr::try_from(i32::from(number)).map_or(RDKafkaErrorCode::Unknown, RDKafkaErrorCode::from)
}
