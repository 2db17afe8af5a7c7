//! What keeps records from arriving.

use std::time::Duration;

use crate::error_code::{Consequence, ErrorCode};

/// Why what was written does not arrive. Everything since the last commit is void then: the producer is to be started
/// again, and what was not committed to be written anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum ProduceError {
    /// The topic is not there, may not be written, or nobody answers.
    #[error("the topic {topic} cannot be found: {code}")]
    Topic { topic: String, code: ErrorCode },
    /// A broker refuses.
    #[error("{request} is refused: {code}")]
    Refused {
        /// What was asked of it.
        request: &'static str,
        code: ErrorCode,
    },
    /// Nobody knows what became of a step of the transaction.
    #[error("the answer to {request} was lost: {reason}")]
    Lost {
        request: &'static str,
        /// What happened to the connection.
        reason: String,
    },
    /// The topic takes no batches of this size. Those after the next start are smaller, as long as they can be.
    #[error(
        "a batch of {bytes} bytes with {records} records is larger than the topic's max.message.bytes; raise that"
    )]
    TooLarge { bytes: usize, records: i32 },
    /// It takes too long.
    #[error("{doing} took longer than {after:?}{}", because(.last.as_deref()))]
    TimedOut {
        doing: &'static str,
        after: Duration,
        /// What went wrong last, if anything did.
        last: Option<String>,
    },
}

fn because(last: Option<&str>) -> String {
    last.map_or_else(String::new, |last| format!("; the last error: {last}"))
}

impl ProduceError {
    /// What a broker has said, if one has said anything.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Topic { code, .. } | Self::Refused { code, .. } => Some(*code),
            Self::TooLarge { .. } => Some(ErrorCode::MessageTooLarge),
            Self::Lost { .. } | Self::TimedOut { .. } => None,
        }
    }

    /// Whether somebody has to do something about it: grant a right, choose another setting. Everything else passes
    /// by itself.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::TimedOut { .. } => false,
            Self::TooLarge { records, .. } => *records <= 1,
            Self::Topic { code, .. } | Self::Refused { code, .. } => code.consequence() == Consequence::Fix,
        }
    }
}

/// What is wrong, by the number that a broker answers with.
pub(super) fn check(number: i16) -> Result<(), ErrorCode> {
    match ErrorCode::from_number(number) {
        // The latter: sent before, and arrived.
        None | Some(ErrorCode::DuplicateSequenceNumber) => Ok(()),
        Some(code) => Err(code),
    }
}
