//! Reading ranges of offsets once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::formats::sequence::{HEADER, RecordSequence};
use crate::lag::Range;

/// Reads the committed records in `ranges` of a topic's partitions, and shows the number that each carries, if it carries
/// one. Gives the partitions that were not read to the end of their range within `patience`. Blocks.
pub fn read_ranges(
    config: &ClientConfig,
    topic: &str,
    ranges: &BTreeMap<i32, Range>,
    patience: Duration,
    mut show: impl FnMut(i32, Option<RecordSequence>),
) -> Result<BTreeSet<i32>, KafkaError> {
    let mut open: BTreeSet<i32> = ranges
        .iter()
        .filter(|(_, range)| range.start < range.end)
        .map(|(number, _)| *number)
        .collect();
    if open.is_empty() {
        return Ok(open);
    }
    let consumer = consumer(config, topic, ranges, &open)?;
    let begun = Instant::now();
    while !open.is_empty() && begun.elapsed() < patience {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let number = message.partition();
                let Some(range) = ranges.get(&number) else {
                    continue;
                };
                if open.contains(&number) && message.offset() < range.end {
                    show(number, sequence(&message));
                }
                if message.offset() + 1 >= range.end {
                    open.remove(&number);
                }
            }
            Some(Err(KafkaError::PartitionEOF(number))) => {
                open.remove(&number);
            }
            // Brokers that come and go meanwhile: the deadline decides.
            Some(Err(error)) => tracing::debug!(topic, %error, "reading a range of offsets"),
            None => {}
        }
    }
    Ok(open)
}

/// A consumer that is given its partitions, and so joins no group.
fn consumer(
    config: &ClientConfig,
    topic: &str,
    ranges: &BTreeMap<i32, Range>,
    open: &BTreeSet<i32>,
) -> Result<BaseConsumer, KafkaError> {
    let mut config = config.clone();
    config
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create()?;
    let mut assigned = TopicPartitionList::new();
    for (number, range) in ranges.iter().filter(|(number, _)| open.contains(number)) {
        assigned.add_partition_offset(topic, *number, Offset::Offset(range.start))?;
    }
    consumer.assign(&assigned)?;
    Ok(consumer)
}

fn sequence(message: &BorrowedMessage<'_>) -> Option<RecordSequence> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == HEADER)?;
    RecordSequence::decode(header.value?).ok()
}
