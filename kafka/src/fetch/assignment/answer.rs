//! What the cluster's answers mean.

use std::sync::Arc;

use api::Partition;
use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use rdkafka::error::RDKafkaErrorCode;

use super::{Assignment, Leader, Topic};
use crate::broker::Address;
use crate::fetch::chunk::{Trouble, TroubleKind};

/// A topic that was just made is not known to every broker at once: so many answers in a row must miss it.
pub(super) const MISSED: u32 = 2;

/// What an answer about the cluster means for its readers.
#[derive(Debug, Default)]
pub(in crate::fetch) struct Learned {
    pub(in crate::fetch) troubles: Vec<Trouble>,
    /// In librdkafka's words, for the log and for the health of the process.
    pub(in crate::fetch) problems: Vec<(RDKafkaErrorCode, String)>,
}

/// What the cluster says about one partition.
pub(in crate::fetch) enum Finding {
    Led(Leader),
    Leaderless,
    Missing,
    Refused,
}

impl Assignment {
    /// Takes in what the cluster says.
    pub(in crate::fetch) fn learn(&mut self, answer: &MetadataResponse) -> Learned {
        self.brokers = answer
            .brokers
            .iter()
            .filter_map(|broker| {
                let address = Address::told(&broker.host, broker.port)?;
                Some((broker.node_id.0, address))
            })
            .collect();
        let mut learned = Learned::default();
        for topic in &answer.topics {
            if let Some(name) = &topic.name {
                self.learn_topic(name, topic, &mut learned);
            }
        }
        learned
    }

    fn learn_topic(&mut self, name: &str, topic: &MetadataResponseTopic, learned: &mut Learned) {
        let mut missing = None;
        for (partition, wanted) in &mut self.wanted {
            if *partition.topic != *name || wanted.resting {
                continue;
            }
            let mut trouble = |kind| {
                learned.troubles.push(Trouble {
                    partition: partition.clone(),
                    generation: wanted.generation,
                    offset: wanted.offset,
                    kind,
                });
            };
            let finding = find(topic, partition.number);
            wanted.missed = if matches!(finding, Finding::Missing) {
                wanted.missed.saturating_add(1)
            } else {
                0
            };
            wanted.leader = None;
            match finding {
                Finding::Led(_) if !wanted.topic_id.is_nil() && wanted.topic_id != topic.topic_id => {
                    trouble(TroubleKind::Recreated);
                    wanted.resting = true;
                }
                Finding::Led(leader) => {
                    wanted.topic_id = topic.topic_id;
                    wanted.leader = Some(leader);
                }
                Finding::Leaderless => {}
                Finding::Missing => {
                    if wanted.missed == MISSED {
                        trouble(TroubleKind::Missing);
                    }
                    if wanted.missed >= MISSED {
                        missing = Some(if topic.error_code.is_ok() {
                            format!("the partition {partition} is not there")
                        } else {
                            format!("the topic {name} is not there")
                        });
                    }
                }
                Finding::Refused => {
                    wanted.refused = true;
                    let problem = (
                        RDKafkaErrorCode::TopicAuthorizationFailed,
                        format!("reading the topic {name} is not allowed"),
                    );
                    if !learned.problems.contains(&problem) {
                        learned.problems.push(problem);
                    }
                }
            }
        }
        learned
            .problems
            .extend(missing.map(|text| (RDKafkaErrorCode::UnknownTopicOrPartition, text)));
        let leaders = topic.partitions.iter().filter_map(|partition| {
            let number = partition.partition_index;
            match find(topic, number) {
                Finding::Led(leader) => Some((number, leader)),
                _ => None,
            }
        });
        let known = Topic {
            id: topic.topic_id,
            leaders: leaders.collect(),
        };
        self.topics.insert(Arc::from(name), known);
    }
}

/// What an answer says about `partition`.
pub(in crate::fetch) fn look(answer: &MetadataResponse, partition: &Partition) -> Finding {
    let is_it = |topic: &&MetadataResponseTopic| {
        topic
            .name
            .as_ref()
            .is_some_and(|name| *name.0 == *partition.topic)
    };
    let topic = answer.topics.iter().find(is_it);
    topic.map_or(Finding::Missing, |topic| find(topic, partition.number))
}

fn find(topic: &MetadataResponseTopic, number: i32) -> Finding {
    match topic.error_code.err() {
        None => {}
        Some(
            ResponseError::UnknownTopicOrPartition
            | ResponseError::UnknownTopicId
            | ResponseError::InvalidTopicException,
        ) => return Finding::Missing,
        Some(ResponseError::TopicAuthorizationFailed) => return Finding::Refused,
        Some(_) => return Finding::Leaderless,
    }
    let numbered = |partition: &&MetadataResponsePartition| partition.partition_index == number;
    match topic.partitions.iter().find(numbered) {
        None => Finding::Missing,
        Some(partition) if partition.leader_id.0 < 0 => Finding::Leaderless,
        Some(partition) => Finding::Led(Leader {
            broker: partition.leader_id.0,
            epoch: partition.leader_epoch,
        }),
    }
}
