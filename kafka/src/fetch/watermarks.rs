//! Where a partition begins and ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::Partition;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use runtime::backoff::Backoff;

use super::assignment::{Leadership, leadership};
use super::metadata;
use super::shared::Shared;
use crate::broker::Address;
use crate::error_code::ErrorCode;

/// What is asked for instead of a time.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

const READ_UNCOMMITTED: i8 = 0;
const READ_COMMITTED: i8 = 1;

/// A topic that was just made is not known to every broker at once: so many answers must miss it.
const MISSED: u32 = 3;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(100),
    max: Duration::from_secs(1),
};

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// Offset of the oldest record that is left.
    pub low: i64,
    /// Offset after the newest record that is safe on enough brokers.
    pub high: i64,
    /// Offset after the newest record that may be read: before the first transaction that is not ended.
    pub last_stable: i64,
}

/// Why it is not known where a partition begins and ends.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum WatermarksError {
    /// There is no such topic, or no such partition of it.
    #[error("{partition} is not there")]
    Missing { partition: Partition },
    /// The user may not look.
    #[error("Kafka does not allow to describe the topic {}; give the user this permission (ACL)", .partition.topic)]
    NotAllowed { partition: Partition },
    /// No broker that has the partition answered.
    #[error("Kafka does not say where {partition} begins and ends, asked for {after:.1?}: {last}")]
    NoAnswer {
        partition: Partition,
        /// For how long it was asked.
        after: Duration,
        /// What came of the last question.
        last: String,
    },
}

/// Why one question was not answered.
enum Failure {
    Missing,
    NotAllowed,
    /// Another moment may bring the answer.
    Passing(String),
}

/// Asks until there is an answer, for no longer than `patience`.
pub(super) async fn ask(
    shared: &Shared,
    partition: &Partition,
    patience: Duration,
) -> Result<Watermarks, WatermarksError> {
    let begun = Instant::now();
    let mut last = "no broker leads it".to_owned();
    let attempts = async {
        let (mut failures, mut missed) = (0, 0);
        loop {
            match ask_once(shared, partition, failures > 0).await {
                Ok(watermarks) => return Ok(watermarks),
                Err(Failure::NotAllowed) => {
                    return Err(WatermarksError::NotAllowed {
                        partition: partition.clone(),
                    });
                }
                Err(Failure::Missing) => {
                    missed += 1;
                    if missed >= MISSED {
                        return Err(WatermarksError::Missing {
                            partition: partition.clone(),
                        });
                    }
                }
                Err(Failure::Passing(text)) => last = text,
            }
            tokio::time::sleep(BACKOFF.delay(failures, rand::random())).await;
            failures += 1;
        }
    };
    match tokio::time::timeout(patience, attempts).await {
        Ok(outcome) => outcome,
        Err(_) => Err(WatermarksError::NoAnswer {
            partition: partition.clone(),
            after: begun.elapsed(),
            last,
        }),
    }
}

async fn ask_once(shared: &Shared, partition: &Partition, again: bool) -> Result<Watermarks, Failure> {
    let known = shared.assignment().leader(partition).filter(|_| !again);
    let leader = match known {
        Some(known) => known,
        None => find_leader(shared, partition).await?,
    };
    let offset = async |time, isolation| {
        let request = request(partition, time, isolation);
        let answer = shared.cluster.ask(&leader, &request, i16::MAX).await;
        let answer =
            answer.map_err(|error| Failure::Passing(shared.cluster.report(&error, &shared.reporter)))?;
        let topic = answer.topics.first().and_then(|topic| topic.partitions.first());
        let Some(found) = topic else {
            return Err(Failure::Passing("the answer is empty".to_owned()));
        };
        match ErrorCode::from_number(found.error_code) {
            None => Ok(found.offset),
            Some(ErrorCode::TopicAuthorizationFailed) => Err(Failure::NotAllowed),
            Some(error) => Err(Failure::Passing(error.to_string())),
        }
    };
    Ok(Watermarks {
        low: offset(EARLIEST, READ_UNCOMMITTED).await?,
        high: offset(LATEST, READ_UNCOMMITTED).await?,
        last_stable: offset(LATEST, READ_COMMITTED).await?,
    })
}

async fn find_leader(shared: &Shared, partition: &Partition) -> Result<Address, Failure> {
    let topics = [Arc::clone(&partition.topic)];
    let answer = metadata::ask(shared, &topics, false)
        .await
        .map_err(|error| Failure::Passing(error.line()))?;
    match leadership(&answer, partition) {
        Leadership::Missing => Err(Failure::Missing),
        Leadership::Refused => Err(Failure::NotAllowed),
        Leadership::Leaderless => Err(Failure::Passing("no broker leads it".to_owned())),
        Leadership::Led(_) => shared
            .assignment()
            .leader(partition)
            .ok_or_else(|| Failure::Passing("no broker leads it".to_owned())),
    }
}

fn request(partition: &Partition, time: i64, isolation: i8) -> ListOffsetsRequest {
    let name = TopicName(StrBytes::from_string(partition.topic.to_string()));
    let partition = ListOffsetsPartition::default()
        .with_partition_index(partition.number)
        .with_current_leader_epoch(-1)
        .with_timestamp(time);
    let topic = ListOffsetsTopic::default()
        .with_name(name)
        .with_partitions(vec![partition]);
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(isolation)
        .with_timeout_ms(PATIENCE.as_millis() as i32)
        .with_topics(vec![topic])
}
