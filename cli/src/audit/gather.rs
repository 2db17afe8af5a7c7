//! Collects the evidence: sink first, then the generator's checkpoints, then the topics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::{Partition, Pipeline, StartFrom};
use kafka::formats::checkpoint::Checkpoint;
use kafka::lag::{LagError, LagReader, PartitionLag};
use kafka::librdkafka::ClientConfig;
use sinks::Sink;
use worker::state::PartitionState;

use super::evaluate::{AuditResult, Evidence, ObservedPartition, Produced, Tail, evaluate};
use super::tail::{self, Stretch};
use crate::error::CliError;

/// For each question to Kafka.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two partitions: a transaction that is being committed is visible everywhere by then.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// What is asked of Kafka, and by what.
pub(crate) enum KafkaAccess {
    /// Nothing: only the sink is looked at.
    None,
    /// The topics, and the generator's checkpoints.
    Checkpoints(Clients),
    /// The topics; the generator of this process has produced so many records.
    Embedded(Clients, u64),
}

/// Who asks Kafka.
pub(crate) struct Clients {
    /// For what reads records.
    pub(crate) config: ClientConfig,
    /// Where the topics end and what is committed; of topics, records of open transactions do not count: the sink cannot
    /// have them.
    pub(crate) lags: Arc<LagReader>,
}

/// Looks at everything and evaluates it. What seems missing is looked at twice.
pub(crate) async fn examine(
    pipeline: &Pipeline,
    sink: &Sink,
    access: &KafkaAccess,
) -> Result<AuditResult, CliError> {
    let result = evaluate(gather(pipeline, sink, access).await?);
    if result.missing() == 0 || matches!(access, KafkaAccess::None) {
        return Ok(result);
    }
    tokio::time::sleep(SECOND_LOOK).await;
    Ok(evaluate(gather(pipeline, sink, access).await?))
}

async fn gather(pipeline: &Pipeline, sink: &Sink, access: &KafkaAccess) -> Result<Evidence, CliError> {
    let mut stored = BTreeMap::new();
    for position in sink.positions().await? {
        let state = position.state.as_deref().map(PartitionState::from_json).transpose().map_err(|error| {
            let partition = &position.partition;
            CliError::Failed(format!(
                "the stored state of {partition} cannot be read: {error}; was it written by a newer version?"
            ))
        })?;
        stored.insert(
            position.partition,
            (position.next_offset, state.unwrap_or_default()),
        );
    }
    let in_kafka = match access {
        KafkaAccess::None => Ok(InKafka::default()),
        KafkaAccess::Checkpoints(clients) => ask(pipeline, &stored, clients, None).await,
        KafkaAccess::Embedded(clients, produced) => ask(pipeline, &stored, clients, Some(*produced)).await,
    };
    let (InKafka { mut tails, produced }, kafka_problem) = match in_kafka {
        Ok(in_kafka) if matches!(access, KafkaAccess::None) => {
            (in_kafka, Some("Kafka was not asked".to_owned()))
        }
        Ok(in_kafka) => (in_kafka, None),
        Err(error) => (InKafka::default(), Some(runtime::report::line(&error))),
    };
    let mut partitions: Vec<ObservedPartition> = stored
        .into_iter()
        .map(|(partition, (_, state))| {
            let tail = tails.remove(&partition);
            ObservedPartition {
                partition,
                state: Some(state),
                tail,
            }
        })
        .collect();
    partitions.extend(tails.into_iter().map(|(partition, tail)| ObservedPartition {
        partition,
        state: None,
        tail: Some(tail),
    }));
    partitions.sort_by(|one, other| one.partition.cmp(&other.partition));
    Ok(Evidence {
        partitions,
        produced,
        kafka_problem,
    })
}

#[derive(Debug, Default)]
struct InKafka {
    tails: BTreeMap<Partition, Tail>,
    produced: Produced,
}

type Stored = BTreeMap<Partition, (Option<i64>, PartitionState)>;

async fn ask(
    pipeline: &Pipeline,
    stored: &Stored,
    clients: &Clients,
    total: Option<u64>,
) -> Result<InKafka, CliError> {
    let produced = match (total, &pipeline.generator) {
        (Some(total), _) => Produced::Total(total),
        (None, None) => Produced::Unknown,
        (None, Some(generator)) => {
            let (group, topic) = (pipeline.generator_group(), pipeline.generator_shards_topic());
            match checkpoints(&clients.lags, &group, &topic).await? {
                Some(shards) => Produced::Checkpoints {
                    topic: generator.topic.to_string(),
                    shards,
                },
                None => Produced::Unknown,
            }
        }
    };
    let mut tails = BTreeMap::new();
    let group = pipeline.worker_group();
    let names: Vec<&str> = pipeline.topics.iter().map(|topic| topic.name.as_str()).collect();
    let lags = clients.lags.read(&group, &names, PATIENCE).await?;
    for (topic, (name, lags)) in pipeline.topics.iter().zip(lags) {
        let name: Arc<str> = name.into();
        let positions: BTreeMap<i32, Option<i64>> = stored
            .iter()
            .filter(|(partition, _)| partition.topic == name)
            .map(|(partition, (next, _))| (partition.number, *next))
            .collect();
        let stretches = stretches(&lags, &positions, topic.start_from);
        let (mut config, asked) = (clients.config.clone(), Arc::clone(&name));
        config.set("group.id", &group);
        // librdkafka's clients block.
        let of_topic = tokio::task::spawn_blocking(move || tail::read(&config, &asked, &stretches))
            .await
            .map_err(|_| CliError::Failed("stopped while waiting for Kafka".to_owned()))??;
        tails.extend(of_topic.into_iter().map(|(number, tail)| {
            (
                Partition {
                    topic: Arc::clone(&name),
                    number,
                },
                tail,
            )
        }));
    }
    Ok(InKafka { tails, produced })
}

/// From the stored position to the log's end, by partition; a partition whose end is unknown is left out.
fn stretches(
    lags: &[PartitionLag],
    positions: &BTreeMap<i32, Option<i64>>,
    start_from: StartFrom,
) -> BTreeMap<i32, Stretch> {
    let stretch = |lag: &PartitionLag| {
        let range = lag.range?;
        let next = positions.get(&lag.partition).copied().flatten();
        let from = match (next, start_from) {
            // Beyond the end: the topic is another one now, and is read from its beginning.
            (Some(next), _) if next > range.end => range.start,
            (Some(next), _) => next.max(range.start),
            (None, StartFrom::Earliest) => range.start,
            (None, StartFrom::Latest) => range.end,
        };
        Some((lag.partition, Stretch { from, to: range.end }))
    };
    lags.iter().filter_map(stretch).collect()
}

/// The checkpoints of the generator's shards; `None` if it has never run.
async fn checkpoints(
    lags: &LagReader,
    group: &str,
    topic: &str,
) -> Result<Option<Vec<(u16, Checkpoint)>>, CliError> {
    let topics = match lags.read(group, &[topic], PATIENCE).await {
        Ok(topics) => topics,
        Err(LagError::TopicMissing { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let shards = topics.into_iter().flat_map(|(_, shards)| shards);
    let decoded = shards.filter_map(|shard| {
        let text = shard.metadata?;
        let number = u16::try_from(shard.partition).ok()?;
        Some(match Checkpoint::decode(&text) {
            Ok(checkpoint) => Ok((number, checkpoint)),
            Err(error) => Err(CliError::Failed(format!(
                "the checkpoint of the generator's shard {number}: {error}"
            ))),
        })
    });
    decoded.collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use kafka::lag::Range;

    use super::*;

    #[test]
    fn what_is_unread_begins_at_the_stored_position() {
        let lag = |partition, start, end| PartitionLag {
            partition,
            range: Some(Range { start, end }),
            committed: None,
            metadata: None,
        };
        let lags = [
            lag(0, 0, 100),
            lag(1, 50, 100),
            lag(2, 0, 10),
            lag(3, 20, 30),
            PartitionLag {
                range: None,
                ..lag(4, 0, 0)
            },
        ];
        let positions = BTreeMap::from([(0, Some(40)), (1, Some(40)), (2, Some(40)), (4, Some(1))]);
        let stretch = |from, to| Stretch { from, to };
        let expected = [
            (0, stretch(40, 100)),
            (1, stretch(50, 100)),
            (2, stretch(0, 10)),
            (3, stretch(20, 30)),
        ];
        assert_eq!(
            stretches(&lags, &positions, StartFrom::Earliest),
            BTreeMap::from(expected)
        );
        assert_eq!(
            stretches(&lags, &positions, StartFrom::Latest).get(&3),
            Some(&stretch(30, 30))
        );
    }
}
