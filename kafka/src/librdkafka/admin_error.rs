//! Why Kafka's topics are not as they should be.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::issue::Issue;

/// Why topics and groups are not as they should be.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum AdminError {
    /// The settings make no client.
    #[error("cannot make a Kafka client")]
    Client(#[source] KafkaError),
    /// Kafka cannot be asked.
    #[error("{0}")]
    Connection(Issue),
    /// Kafka was asked and does not do it.
    #[error("cannot {action} the topic {topic}: {reason}")]
    Refused {
        /// `create`, `raise the partitions of`, `delete` or `describe`.
        action: &'static str,
        topic: String,
        reason: String,
    },
    /// Kafka was asked and gave no answer.
    #[error("Kafka did not {action} topics within {timeout:?}")]
    NoAnswer {
        /// What it should have done.
        action: &'static str,
        timeout: Duration,
        #[source]
        source: KafkaError,
    },
    /// Kafka said yes, but it does not show.
    #[error(
        "the topic {topic} is not yet as it should be after {timeout:?}; look at the log of Kafka's controller"
    )]
    NotVisible { topic: String, timeout: Duration },
    /// Kafka was asked to delete groups and gave no answer.
    #[error("Kafka did not delete consumer groups")]
    Groups(#[source] KafkaError),
    /// Kafka does not delete a group.
    #[error("cannot delete the consumer group {group}: {reason}")]
    GroupRefused { group: String, reason: String },
    /// The task that waited for Kafka ended early.
    #[error("stopped while waiting for Kafka")]
    Stopped,
}

/// Kafka's refusal with its remedy, which is `detail` where the code alone says none.
pub(super) fn refused(
    action: &'static str,
    topic: &str,
    code: RDKafkaErrorCode,
    detail: String,
) -> AdminError {
    let remedy = match code {
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            "; give the user the permission (ACL) for it on the topic".to_owned()
        }
        RDKafkaErrorCode::InvalidTopic => "; another topic may differ from it only in '.' and '_'".to_owned(),
        _ => detail,
    };
    AdminError::Refused {
        action,
        topic: topic.to_owned(),
        reason: format!("{code}{remedy}"),
    }
}
