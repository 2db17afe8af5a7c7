//! What the cluster says about a topic.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// A topic as the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicMetadata {
    /// Its partitions; `None` if it is not there.
    pub(super) partitions: Option<Vec<PartitionMetadata>>,
    /// Brokers of the cluster.
    pub(super) brokers: usize,
}

/// A partition as the cluster knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartitionMetadata {
    pub(super) number: i32,
    /// Whether a broker leads it, so that it can be read and written.
    pub(super) has_leader: bool,
}

/// Id and `host:port` of each broker. Blocks.
pub(super) fn brokers(config: &ClientConfig, timeout: Duration) -> Option<Vec<(i32, String)>> {
    let consumer: BaseConsumer = config.create().ok()?;
    let metadata = consumer.fetch_metadata(None, timeout).ok()?;
    let address = |broker: &rdkafka::metadata::MetadataBroker| {
        (broker.id(), format!("{}:{}", broker.host(), broker.port()))
    };
    Some(metadata.brokers().iter().map(address).collect())
}

/// Asks for `topic`, and never creates it: consumers do not, where producers would.
pub(super) fn fetch<C: ConsumerContext>(
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
