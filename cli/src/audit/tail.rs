//! The records that are in a topic and not stored yet, counted by reading them. Offsets alone would count the
//! markers of transactions too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kafka::sequence::{HEADER, RecordSequence};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use worker::audit::RunId;

use super::evaluate::Tail;
use crate::error::CliError;

/// After that, what was not read is only counted by its offsets.
const PATIENCE: Duration = Duration::from_secs(15);

/// Offsets of a partition from the stored position to the log's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The first one that is not stored.
    pub(super) from: i64,
    /// Behind the last one.
    pub(super) to: i64,
}

/// Reads the stretches of one topic's partitions. Blocks.
pub(super) fn read(
    config: &ClientConfig,
    topic: &str,
    stretches: &BTreeMap<i32, Stretch>,
) -> Result<BTreeMap<i32, Tail>, CliError> {
    let mut tails: BTreeMap<i32, Tail> = stretches
        .keys()
        .map(|number| {
            (
                *number,
                Tail {
                    read: true,
                    ..Tail::default()
                },
            )
        })
        .collect();
    let mut open: BTreeSet<i32> = stretches
        .iter()
        .filter(|(_, stretch)| stretch.from < stretch.to)
        .map(|(number, _)| *number)
        .collect();
    if open.is_empty() {
        return Ok(tails);
    }
    let failed = || {
        CliError::kafka(format!(
            "cannot read the records of topic {topic} that are not stored yet"
        ))
    };
    let consumer = consumer(config, topic, stretches, &open).map_err(failed())?;
    let begun = Instant::now();
    while !open.is_empty() && begun.elapsed() < PATIENCE {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let number = message.partition();
                let (Some(tail), Some(stretch)) = (tails.get_mut(&number), stretches.get(&number)) else {
                    continue;
                };
                if open.contains(&number) && message.offset() < stretch.to {
                    count(tail, &message);
                }
                if message.offset() + 1 >= stretch.to {
                    open.remove(&number);
                }
            }
            Some(Err(KafkaError::PartitionEOF(number))) => {
                open.remove(&number);
            }
            // Brokers that come and go meanwhile: the deadline decides.
            Some(Err(error)) => tracing::debug!(topic, %error, "reading what is not stored yet"),
            None => {}
        }
    }
    for number in open {
        if let (Some(tail), Some(stretch)) = (tails.get_mut(&number), stretches.get(&number)) {
            *tail = Tail {
                records: stretch.to.abs_diff(stretch.from),
                ..Tail::default()
            };
        }
    }
    Ok(tails)
}

/// A consumer that is given its partitions, and so joins no group.
fn consumer(
    config: &ClientConfig,
    topic: &str,
    stretches: &BTreeMap<i32, Stretch>,
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
    for (number, stretch) in stretches.iter().filter(|(number, _)| open.contains(number)) {
        assigned.add_partition_offset(topic, *number, Offset::Offset(stretch.from))?;
    }
    consumer.assign(&assigned)?;
    Ok(consumer)
}

fn count(tail: &mut Tail, message: &BorrowedMessage<'_>) {
    tail.records += 1;
    let sequence = message.headers().and_then(|headers| {
        let header = headers.iter().find(|header| header.key == HEADER)?;
        RecordSequence::decode(header.value?).ok()
    });
    if let Some(RecordSequence { run, shard, number }) = sequence {
        let (first, end) = tail
            .numbers
            .entry((RunId(run), shard))
            .or_insert((number, number));
        *first = (*first).min(number);
        *end = (*end).max(number + 1);
    }
}
