//! What the operator asks of Kafka, and how that fails.

use std::time::Duration;

use futures::future::BoxFuture;

use super::desired::DesiredTopics;
use super::reading::KafkaReading;

/// What the operator asks of Kafka; no call may take longer than its timeout by much. Tests put something else in its
/// place.
pub trait KafkaClient: Send + Sync + 'static {
    /// Partitions of each topic; `None` for one that is not there.
    fn partitions<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Option<i32>>, KafkaError>>;
    /// Creates topics and raises partitions; gives the partitions of each.
    fn ensure<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<i32>, KafkaError>>;
    /// Reads how far the workers are.
    fn read<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<KafkaReading, KafkaError>>;
    /// Deletes the pipeline's topics and groups.
    fn delete<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), KafkaError>>;
}

/// Why Kafka has not done what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct KafkaError {
    /// Decides whether it is asked again by itself, and the reason in conditions.
    pub kind: KafkaErrorKind,
    /// What is wrong and the remedy, in one line.
    pub message: String,
}

/// Whether Kafka has answered at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaErrorKind {
    /// No answer.
    Unreachable,
    /// An answer, but no.
    Refused,
}

impl KafkaErrorKind {
    /// The reason in conditions and the label of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "KafkaUnreachable",
            Self::Refused => "KafkaRefused",
        }
    }
}
