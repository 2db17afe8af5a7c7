//! How far a consumer group is behind, read without joining it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};

use crate::context::{self, ErrorReporter, ReportingContext};
use crate::metadata;

/// Where a group stands in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition's number.
    pub partition: i32,
    /// The records that are there; `None` while the partition has no leader: unknown, not empty.
    pub range: Option<Range>,
    /// The group's committed offset; `None` if it has never committed one.
    pub committed: Option<i64>,
    /// What the group committed along with it; `None` if nothing.
    pub metadata: Option<String>,
}

/// The records of a partition that may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Offset of the oldest record.
    pub start: i64,
    /// Offset after the newest record.
    pub end: i64,
}

/// Why a lag is not known.
#[derive(Debug, thiserror::Error)]
pub enum LagError {
    /// The reader cannot be made.
    #[error("cannot make a Kafka client")]
    Client(#[source] KafkaError),
    /// The topic is not there.
    #[error("the topic {topic} is not there")]
    TopicMissing {
        /// Its name.
        topic: String,
    },
    /// Kafka did not answer.
    #[error("cannot read {what} of the topic {topic}")]
    Kafka {
        /// The topic.
        topic: String,
        /// What was asked for.
        what: &'static str,
        /// What Kafka said.
        #[source]
        source: KafkaError,
    },
}

/// A client that looks at one group from outside: it never subscribes, so it causes no rebalance.
pub struct LagReader {
    consumer: BaseConsumer<ReportingContext>,
}

impl PartitionLag {
    /// Records that the group has still to read; `None` while that is unknown.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        self.range.map(|range| lag(range, self.committed))
    }
}

/// Records between a group's position and the end of a partition. What retention has removed no longer counts,
/// and a position beyond the end (the topic was deleted and made again) is a lag of 0.
#[must_use]
pub fn lag(range: Range, committed: Option<i64>) -> u64 {
    let position = committed.unwrap_or(range.start).max(range.start);
    u64::try_from(range.end - position).unwrap_or(0)
}

impl LagReader {
    /// A reader of `group`, with the access that `config` gives.
    ///
    /// Offsets that a group commits in transactions (a generator's) are only seen at once if `config` has
    /// `isolation.level=read_uncommitted`; else a read waits for the transaction that is open.
    pub fn new(config: &ClientConfig, group: &str) -> Result<Self, LagError> {
        let mut config = config.clone();
        config.set("group.id", group).set("enable.auto.commit", "false");
        let reporter = ErrorReporter::new("lag reader", &mut config);
        let consumer = config
            .create_with_context(ReportingContext { reporter })
            .map_err(LagError::Client)?;
        Ok(Self { consumer })
    }

    /// What the connection to Kafka is like.
    #[must_use]
    pub fn reporter(&self) -> &ErrorReporter {
        &self.consumer.context().reporter
    }

    /// Where the group stands in each partition of `topic`, by number. Blocks for `timeout` at most, so not for
    /// an async task.
    pub fn read(&self, topic: &str, timeout: Duration) -> Result<Vec<PartitionLag>, LagError> {
        let deadline = Instant::now() + timeout;
        let left = || deadline.saturating_duration_since(Instant::now());
        let failed = |what| {
            move |source| LagError::Kafka {
                topic: topic.to_owned(),
                what,
                source,
            }
        };
        context::serve_events(&self.consumer);
        let partitions = metadata::fetch(&self.consumer, topic, left())
            .map_err(failed("the partitions"))?
            .partitions
            .ok_or_else(|| LagError::TopicMissing {
                topic: topic.to_owned(),
            })?;

        let mut all = TopicPartitionList::with_capacity(partitions.len());
        let mut led = TopicPartitionList::with_capacity(partitions.len());
        for partition in &partitions {
            all.add_partition(topic, partition.number);
            if partition.has_leader {
                led.add_partition(topic, partition.number);
            }
        }
        let starts = self
            .offsets(&led, Offset::Beginning, left())
            .map_err(failed("the first offsets"))?;
        let ends = self
            .offsets(&led, Offset::End, left())
            .map_err(failed("the last offsets"))?;
        let committed = self
            .consumer
            .committed_offsets(all, left())
            .map_err(failed("the group's committed offsets"))?;
        self.reporter().works();

        let mut lags = Vec::with_capacity(partitions.len());
        for element in committed.elements() {
            element.error().map_err(failed("the group's committed offsets"))?;
            let partition = element.partition();
            let range = starts.get(&partition).zip(ends.get(&partition));
            let metadata = element.metadata();
            lags.push(PartitionLag {
                partition,
                range: range.map(|(start, end)| Range {
                    start: *start,
                    end: *end,
                }),
                committed: position(element.offset()),
                metadata: (!metadata.is_empty()).then(|| metadata.to_owned()),
            });
        }
        lags.sort_by_key(|lag| lag.partition);
        Ok(lags)
    }

    /// One question to each leader for all its partitions; one that changed hands meanwhile is left out.
    fn offsets(
        &self,
        partitions: &TopicPartitionList,
        which: Offset,
        timeout: Duration,
    ) -> Result<HashMap<i32, i64>, KafkaError> {
        if partitions.count() == 0 {
            return Ok(HashMap::new());
        }
        let mut question = partitions.clone();
        question.set_all_offsets(which)?;
        let answer = self.consumer.offsets_for_times(question, timeout)?;
        let known = |element: &TopicPartitionListElem<'_>| {
            element
                .error()
                .ok()
                .and_then(|()| position(element.offset()))
                .map(|offset| (element.partition(), offset))
        };
        Ok(answer.elements().iter().filter_map(known).collect())
    }
}

fn position(offset: Offset) -> Option<i64> {
    match offset {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_counts_what_is_still_there_and_is_never_negative() {
        for (start, end, committed, expected) in [
            (0, 100, Some(40), 60),
            (0, 100, Some(100), 0),
            (0, 100, None, 100),
            (30, 100, None, 70),
            // Retention has passed the committed offset.
            (50, 100, Some(40), 50),
            // The topic was made again.
            (0, 10, Some(40), 0),
            (0, 0, None, 0),
        ] {
            assert_eq!(
                lag(Range { start, end }, committed),
                expected,
                "{start} {end} {committed:?}"
            );
        }
    }

    #[test]
    fn a_partition_without_a_leader_has_no_known_lag() {
        let unknown = PartitionLag {
            partition: 0,
            range: None,
            committed: Some(3),
            metadata: None,
        };
        assert_eq!(unknown.lag(), None);
    }
}
