//! Where the topic is.

use std::collections::HashMap;

use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;

use super::queue::PartitionQueue;
use super::{Phase, State};
use crate::broker::{Address, addresses};
use crate::error_code::ErrorCode;
use crate::issue::{Issue, IssueKind};

/// A topic that was just made is not known to every broker at once: so many answers in a row must miss it.
const MISSED: u32 = 2;

impl State {
    /// What is wrong with the topic, if anything is.
    pub(in crate::produce) fn topic_error(&self) -> Option<ErrorCode> {
        if self.refused {
            Some(ErrorCode::TopicAuthorizationFailed)
        } else if self.missed >= MISSED {
            Some(ErrorCode::UnknownTopicOrPartition)
        } else {
            None
        }
    }

    /// Whether a partition waits for somebody to ask who leads it.
    pub(in crate::produce) fn is_unsettled(&self) -> bool {
        self.phase != Phase::Idle
            && (self.queues.is_empty() || self.queues.iter().any(|queue| queue.leader.is_none()))
    }

    /// The brokers that lead a partition.
    pub(in crate::produce) fn leaders(&self) -> HashMap<i32, Address> {
        let ids = self.queues.iter().filter_map(|queue| queue.leader);
        ids.filter_map(|id| Some((id, self.brokers.get(&id)?.clone())))
            .collect()
    }

    /// Forgets what `broker` was thought to lead: the cluster is asked again.
    pub(in crate::produce) fn doubt(&mut self, broker: i32) {
        for queue in &mut self.queues {
            queue.leader = queue.leader.filter(|leader| *leader != broker);
        }
    }

    /// Takes in what the cluster says about the topic; gives what is wrong with it, for the log and for the health of the
    /// process.
    pub(in crate::produce) fn learn(&mut self, name: &str, answer: &MetadataResponse) -> Option<Issue> {
        self.brokers = addresses(answer).collect();
        let is_it =
            |topic: &&MetadataResponseTopic| topic.name.as_ref().is_some_and(|found| *found.0 == *name);
        let topic = answer.topics.iter().find(is_it)?;
        self.refused = false;
        match ErrorCode::from_number(topic.error_code) {
            None => self.missed = 0,
            Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::InvalidTopicException) => {
                self.missed = self.missed.saturating_add(1);
                for queue in &mut self.queues {
                    queue.leader = None;
                }
                return (self.missed >= MISSED).then(|| {
                    Issue::of_cluster(IssueKind::TopicMissing, format!("the topic {name} is not there"))
                });
            }
            Some(ErrorCode::TopicAuthorizationFailed) => {
                self.refused = true;
                return Some(Issue::of_cluster(
                    IssueKind::NotAuthorised,
                    format!("writing the topic {name} is not allowed"),
                ));
            }
            Some(_) => return None,
        }
        // Fewer than before: the topic was made again. What is written to the others fails by its time.
        self.partitions = topic.partitions.len();
        let queues = self.queues.len().max(self.partitions);
        self.queues.resize_with(queues, PartitionQueue::default);
        for queue in &mut self.queues {
            queue.leader = None;
        }
        for partition in &topic.partitions {
            let queue = usize::try_from(partition.partition_index)
                .ok()
                .and_then(|index| self.queues.get_mut(index));
            if let Some(queue) = queue {
                queue.leader = Some(partition.leader_id.0).filter(|leader| *leader >= 0);
            }
        }
        None
    }
}
