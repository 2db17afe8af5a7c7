//! What the cluster's answers mean.

use std::sync::Arc;

use api::Partition;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};

use super::{Assignment, Leader, Topic};
use crate::broker::addresses;
use crate::error_code::ErrorCode;
use crate::fetch::chunk::{PartitionError, PartitionErrorKind};
use crate::issue::{Issue, IssueKind};

/// A topic that was just made is not known to every broker at once: so many answers in a row must miss it.
pub(super) const MISSED: u32 = 2;

/// What an answer about the cluster means for its readers.
#[derive(Debug, Default)]
pub(in crate::fetch) struct Learned {
    pub(in crate::fetch) errors: Vec<PartitionError>,
    /// For the log and for the health of the process.
    pub(in crate::fetch) issues: Vec<Issue>,
}

/// What the cluster says about one partition.
pub(in crate::fetch) enum Leadership {
    Led(Leader),
    Leaderless,
    Missing,
    Refused,
}

impl Assignment {
    /// Takes in what the cluster says.
    pub(in crate::fetch) fn learn(&mut self, answer: &MetadataResponse) -> Learned {
        self.brokers = addresses(answer).collect();
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
            let mut stop = |kind| {
                learned.errors.push(PartitionError {
                    partition: partition.clone(),
                    generation: wanted.generation,
                    offset: wanted.offset,
                    kind,
                });
            };
            let leadership = find(topic, partition.number);
            wanted.missed = if matches!(leadership, Leadership::Missing) {
                wanted.missed.saturating_add(1)
            } else {
                0
            };
            wanted.leader = None;
            match leadership {
                Leadership::Led(_) if !wanted.topic_id.is_nil() && wanted.topic_id != topic.topic_id => {
                    stop(PartitionErrorKind::Recreated);
                    wanted.resting = true;
                }
                Leadership::Led(leader) => {
                    wanted.topic_id = topic.topic_id;
                    wanted.leader = Some(leader);
                }
                Leadership::Leaderless => {}
                Leadership::Missing => {
                    if wanted.missed == MISSED {
                        stop(PartitionErrorKind::Missing);
                    }
                    if wanted.missed >= MISSED {
                        missing = Some(if topic.error_code == 0 {
                            format!("the partition {partition} is not there")
                        } else {
                            format!("the topic {name} is not there")
                        });
                    }
                }
                Leadership::Refused => {
                    wanted.refused = true;
                    let issue = Issue::of_cluster(
                        IssueKind::NotAuthorised,
                        format!("reading the topic {name} is not allowed"),
                    );
                    if !learned.issues.contains(&issue) {
                        learned.issues.push(issue);
                    }
                }
            }
        }
        learned
            .issues
            .extend(missing.map(|text| Issue::of_cluster(IssueKind::TopicMissing, text)));
        let leaders = topic.partitions.iter().filter_map(|partition| {
            let number = partition.partition_index;
            match find(topic, number) {
                Leadership::Led(leader) => Some((number, leader)),
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
pub(in crate::fetch) fn leadership(answer: &MetadataResponse, partition: &Partition) -> Leadership {
    let is_it = |topic: &&MetadataResponseTopic| {
        topic
            .name
            .as_ref()
            .is_some_and(|name| *name.0 == *partition.topic)
    };
    let topic = answer.topics.iter().find(is_it);
    topic.map_or(Leadership::Missing, |topic| find(topic, partition.number))
}

fn find(topic: &MetadataResponseTopic, number: i32) -> Leadership {
    match ErrorCode::from_number(topic.error_code) {
        None => {}
        Some(
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId | ErrorCode::InvalidTopicException,
        ) => return Leadership::Missing,
        Some(ErrorCode::TopicAuthorizationFailed) => return Leadership::Refused,
        Some(_) => return Leadership::Leaderless,
    }
    let numbered = |partition: &&MetadataResponsePartition| partition.partition_index == number;
    match topic.partitions.iter().find(numbered) {
        None => Leadership::Missing,
        Some(partition) if partition.leader_id.0 < 0 => Leadership::Leaderless,
        Some(partition) => Leadership::Led(Leader {
            broker: partition.leader_id.0,
            epoch: partition.leader_epoch,
        }),
    }
}
