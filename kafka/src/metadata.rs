//! What the cluster says about a topic.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// A topic as the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicMetadata {
    /// Its partitions; `None` if it is not there.
    pub(crate) partitions: Option<Vec<PartitionMetadata>>,
    /// Brokers of the cluster.
    pub(crate) brokers: usize,
}

/// A partition as the cluster knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartitionMetadata {
    /// Its number.
    pub(crate) number: i32,
    /// Whether a broker leads it, so that it can be read and written.
    pub(crate) has_leader: bool,
}

/// Asks for `topic`, and never creates it: consumers do not, where producers would.
pub(crate) fn fetch<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    timeout: Duration,
) -> Result<TopicMetadata, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), timeout)?;
    let brokers = metadata.brokers().len();
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(TopicMetadata {
            partitions: None,
            brokers,
        });
    };
    if let Some(code) = found.error().map(RDKafkaErrorCode::from) {
        return match code {
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => Ok(TopicMetadata {
                partitions: None,
                brokers,
            }),
            code => Err(KafkaError::MetadataFetch(code)),
        };
    }
    let partition = |partition: &rdkafka::metadata::MetadataPartition| PartitionMetadata {
        number: partition.id(),
        has_leader: partition.leader() >= 0,
    };
    Ok(TopicMetadata {
        partitions: Some(found.partitions().iter().map(partition).collect()),
        brokers,
    })
}
