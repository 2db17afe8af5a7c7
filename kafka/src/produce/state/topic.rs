//! Where the topic is.

use std::collections::HashMap;

use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use rdkafka::error::RDKafkaErrorCode;

use super::lane::Lane;
use super::{Phase, State};
use crate::broker::Address;
use crate::produce::error;

/// A topic that was just made is not known to every broker at once: so many answers in a row must miss it.
const MISSED: u32 = 2;

/// What an answer about the cluster means.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::produce) enum Learned {
    Fine,
    /// In librdkafka's words, for the log and for the health of the process.
    Problem(RDKafkaErrorCode, String),
}

impl State {
    /// What is wrong with the topic, if anything is.
    pub(in crate::produce) fn topic_problem(&self) -> Option<RDKafkaErrorCode> {
        if self.refused {
            Some(RDKafkaErrorCode::TopicAuthorizationFailed)
        } else if self.missed >= MISSED {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition)
        } else {
            None
        }
    }

    /// Whether a partition waits for somebody to ask who leads it.
    pub(in crate::produce) fn is_unsettled(&self) -> bool {
        self.phase != Phase::Idle
            && (self.lanes.is_empty() || self.lanes.iter().any(|lane| lane.leader.is_none()))
    }

    pub(in crate::produce) fn brokers(&self) -> impl Iterator<Item = &Address> {
        self.brokers.values()
    }

    /// The brokers that lead a partition.
    pub(in crate::produce) fn leaders(&self) -> HashMap<i32, Address> {
        let ids = self.lanes.iter().filter_map(|lane| lane.leader);
        ids.filter_map(|id| Some((id, self.brokers.get(&id)?.clone())))
            .collect()
    }

    /// Forgets what `broker` was thought to lead: the cluster is asked again.
    pub(in crate::produce) fn doubt(&mut self, broker: i32) {
        for lane in &mut self.lanes {
            lane.leader = lane.leader.filter(|leader| *leader != broker);
        }
    }

    /// Takes in what the cluster says about the topic.
    pub(in crate::produce) fn learn(&mut self, name: &str, answer: &MetadataResponse) -> Learned {
        let addresses = answer.brokers.iter().filter_map(|broker| {
            let address = Address::told(&broker.host, broker.port)?;
            Some((broker.node_id.0, address))
        });
        self.brokers = addresses.collect();
        let is_it =
            |topic: &&MetadataResponseTopic| topic.name.as_ref().is_some_and(|found| *found.0 == *name);
        let Some(topic) = answer.topics.iter().find(is_it) else {
            return Learned::Fine;
        };
        self.refused = false;
        match error::code(topic.error_code) {
            RDKafkaErrorCode::NoError => self.missed = 0,
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::InvalidTopic => {
                self.missed = self.missed.saturating_add(1);
                for lane in &mut self.lanes {
                    lane.leader = None;
                }
                return if self.missed < MISSED {
                    Learned::Fine
                } else {
                    Learned::Problem(
                        RDKafkaErrorCode::UnknownTopicOrPartition,
                        format!("the topic {name} is not there"),
                    )
                };
            }
            RDKafkaErrorCode::TopicAuthorizationFailed => {
                self.refused = true;
                return Learned::Problem(
                    RDKafkaErrorCode::TopicAuthorizationFailed,
                    format!("writing the topic {name} is not allowed"),
                );
            }
            _ => return Learned::Fine,
        }
        // Fewer than before: the topic was made again. What is written to the others fails by its time.
        self.partitions = topic.partitions.len();
        let lanes = self.lanes.len().max(self.partitions);
        self.lanes.resize_with(lanes, Lane::default);
        for lane in &mut self.lanes {
            lane.leader = None;
        }
        for partition in &topic.partitions {
            let lane = usize::try_from(partition.partition_index)
                .ok()
                .and_then(|index| self.lanes.get_mut(index));
            if let Some(lane) = lane {
                lane.leader = Some(partition.leader_id.0).filter(|leader| *leader >= 0);
            }
        }
        Learned::Fine
    }
}
