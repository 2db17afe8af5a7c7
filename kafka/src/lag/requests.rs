//! What the brokers are asked for lags, and what their answers mean: decisions only.

use std::collections::HashMap;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    BrokerId, GroupId, ListOffsetsRequest, ListOffsetsResponse, MetadataResponse, OffsetFetchRequest,
    OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::{Isolation, LagError};
use crate::broker::{Address, addresses};
use crate::error_code::ErrorCode;
use crate::issue::{Issue, IssueKind};

/// What is asked for instead of a time.
pub(super) const EARLIEST: i64 = -2;
pub(super) const LATEST: i64 = -1;

/// The newest version that asks about one group only.
pub(super) const OFFSETS_OF_ONE: i16 = 7;

/// A topic as the cluster tells of it.
#[derive(Debug, PartialEq)]
pub(super) struct Topic {
    pub(super) name: TopicName,
    /// In the order of their numbers; `None` if the topic is not there.
    pub(super) partitions: Option<Vec<Led>>,
}

/// A partition, and who leads it; `None` while nobody does.
#[derive(Debug, PartialEq)]
pub(super) struct Led {
    pub(super) number: i32,
    pub(super) leader: Option<Address>,
}

/// Something that is known of each of some partitions.
pub(super) type ByPartition<T> = HashMap<(TopicName, i32), T>;

/// The topics of an answer, in the order of `names`.
pub(super) fn topics(answer: &MetadataResponse, names: &[&str]) -> Result<Vec<Topic>, LagError> {
    let brokers: HashMap<i32, Address> = addresses(answer).collect();
    let named = |name: &str| {
        let is_it =
            |topic: &&MetadataResponseTopic| topic.name.as_ref().is_some_and(|known| *known.0 == *name);
        let partitions = match answer.topics.iter().find(is_it) {
            None => None,
            Some(topic) => match ErrorCode::from_number(topic.error_code) {
                None => Some(partitions(topic, &brokers)),
                Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::InvalidTopicException) => None,
                Some(code) => return Err(refused(&format!("to describe the topic {name}"), code)),
            },
        };
        Ok(Topic {
            name: topic_name(name),
            partitions,
        })
    };
    names.iter().map(|name| named(name)).collect()
}

fn partitions(topic: &MetadataResponseTopic, brokers: &HashMap<i32, Address>) -> Vec<Led> {
    let mut partitions: Vec<Led> = topic
        .partitions
        .iter()
        .map(|partition| Led {
            number: partition.partition_index,
            leader: brokers.get(&partition.leader_id.0).cloned(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.number);
    partitions
}

/// The partitions that each leader has.
pub(super) fn by_leader(topics: &[Topic]) -> HashMap<&Address, Vec<(TopicName, i32)>> {
    let mut leaders: HashMap<_, Vec<_>> = HashMap::new();
    for topic in topics {
        for partition in topic.partitions.iter().flatten() {
            if let Some(leader) = &partition.leader {
                let led = (topic.name.clone(), partition.number);
                leaders.entry(leader).or_default().push(led);
            }
        }
    }
    leaders
}

/// `time` is [`EARLIEST`] or [`LATEST`]: brokers take one of them for each partition of a request.
pub(super) fn list_offsets(
    partitions: &[(TopicName, i32)],
    time: i64,
    isolation: Isolation,
) -> ListOffsetsRequest {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for (name, number) in partitions {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(*number)
            .with_current_leader_epoch(-1)
            .with_timestamp(time);
        match topics.last_mut().filter(|topic| topic.name == *name) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(
                ListOffsetsTopic::default()
                    .with_name(name.clone())
                    .with_partitions(vec![partition]),
            ),
        }
    }
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(isolation as i8)
        .with_topics(topics)
}

/// The offsets of an answer. A partition that changed hands meanwhile is left out.
pub(super) fn listed(answer: ListOffsetsResponse) -> ByPartition<i64> {
    let mut offsets = HashMap::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            if partition.error_code == 0 && partition.offset >= 0 {
                offsets.insert((topic.name.clone(), partition.partition_index), partition.offset);
            }
        }
    }
    offsets
}

pub(super) fn fetch_offsets(group: &str, topics: &[Topic]) -> OffsetFetchRequest {
    let topic = |topic: &Topic| {
        let partitions = topic.partitions.iter().flatten();
        OffsetFetchRequestTopic::default()
            .with_name(topic.name.clone())
            .with_partition_indexes(partitions.map(|partition| partition.number).collect())
    };
    OffsetFetchRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(Some(topics.iter().map(topic).collect()))
}

/// The group's offsets with their metadata. A partition without an offset is left out.
pub(super) fn fetched(
    answer: OffsetFetchResponse,
    group: &str,
) -> Result<ByPartition<(i64, Option<String>)>, LagError> {
    let action = || format!("to read the offsets of the group {group}");
    if let Some(code) = ErrorCode::from_number(answer.error_code) {
        return Err(refused(&action(), code));
    }
    let mut offsets = HashMap::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            if let Some(code) = ErrorCode::from_number(partition.error_code) {
                return Err(refused(&action(), code));
            }
            // One that was never committed says -1.
            if partition.committed_offset >= 0 {
                let metadata = partition.metadata.filter(|text| !text.is_empty());
                let known = (partition.committed_offset, metadata.map(|text| text.to_string()));
                offsets.insert((topic.name.clone(), partition.partition_index), known);
            }
        }
    }
    Ok(offsets)
}

/// What an error means. Rights are missing until somebody gives them; a coordinator or a leader may be there in a moment.
pub(super) fn refused(action: &str, code: ErrorCode) -> LagError {
    match code {
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed => {
            LagError::Issue(Issue::of_cluster(IssueKind::NotAuthorised, action))
        }
        code => LagError::Refused {
            action: action.to_owned(),
            reason: code.to_string(),
        },
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::list_offsets_response::{
        ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
    };
    use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition};
    use kafka_protocol::messages::offset_fetch_response::{
        OffsetFetchResponsePartition, OffsetFetchResponseTopic,
    };

    use super::*;

    const NOT_LEADER: i16 = 6;
    const UNKNOWN_TOPIC: i16 = 3;
    const NO_LEADER_YET: i16 = 5;
    const TOPIC_FORBIDDEN: i16 = 29;
    const GROUP_FORBIDDEN: i16 = 30;
    const LOADING: i16 = 14;

    fn address(port: i32) -> Address {
        Address::told("kafka", port).unwrap()
    }

    /// Brokers 1 and 2; partitions by their leaders, in the order that a broker happens to have.
    fn metadata(topic: &str, error: i16, leaders: &[(i32, i32)]) -> MetadataResponse {
        let broker = |id: i32| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_host(text("kafka"))
                .with_port(id)
        };
        let partition = |(number, leader): &(i32, i32)| {
            MetadataResponsePartition::default()
                .with_partition_index(*number)
                .with_leader_id(BrokerId(*leader))
        };
        let topic = MetadataResponseTopic::default()
            .with_name(Some(topic_name(topic)))
            .with_error_code(error)
            .with_partitions(leaders.iter().map(partition).collect());
        MetadataResponse::default()
            .with_brokers(vec![broker(1), broker(2)])
            .with_topics(vec![topic])
    }

    fn led(number: i32, leader: Option<i32>) -> Led {
        Led {
            number,
            leader: leader.map(address),
        }
    }

    #[test]
    fn partitions_are_in_order_and_each_has_a_leader_that_can_be_asked_or_none() {
        // Nobody leads 1, and broker 9 is gone.
        let answer = metadata("plays", 0, &[(2, 9), (0, 2), (3, 1), (1, -1)]);
        let found = topics(&answer, &["users", "plays"]).unwrap();
        let plays = Topic {
            name: topic_name("plays"),
            partitions: Some(vec![led(0, Some(2)), led(1, None), led(2, None), led(3, Some(1))]),
        };
        let users = Topic {
            name: topic_name("users"),
            partitions: None,
        };
        assert_eq!(found, [users, plays]);
        let asked = by_leader(&found);
        assert_eq!(asked[&address(1)], [(topic_name("plays"), 3)]);
        assert_eq!(asked[&address(2)], [(topic_name("plays"), 0)]);
        assert_eq!(asked.len(), 2);
    }

    #[test]
    fn what_is_wrong_with_a_topic_is_told_apart() {
        let missing = topics(&metadata("plays", UNKNOWN_TOPIC, &[]), &["plays"]).unwrap();
        assert_eq!(missing[0].partitions, None);
        let failure = |error| topics(&metadata("plays", error, &[]), &["plays"]).unwrap_err();
        let forbidden = failure(TOPIC_FORBIDDEN);
        assert!(
            matches!(&forbidden, LagError::Issue(issue) if issue.kind == IssueKind::NotAuthorised),
            "{forbidden:?}"
        );
        assert!(forbidden.to_string().contains("plays") && !forbidden.may_pass());
        assert!(failure(NO_LEADER_YET).may_pass());
    }

    #[test]
    fn one_request_asks_about_all_topics_of_a_leader() {
        let partitions = [("a", 0), ("a", 2), ("b", 1)].map(|(name, number)| (topic_name(name), number));
        let request = list_offsets(&partitions, LATEST, Isolation::ReadCommitted);
        let asked: Vec<_> = request
            .topics
            .iter()
            .flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions.map(|partition| (topic.name.clone(), partition.partition_index))
            })
            .collect();
        assert_eq!(asked, partitions);
        assert_eq!((request.topics.len(), request.isolation_level), (2, 1));
    }

    #[test]
    fn a_partition_that_changed_hands_is_unknown() {
        let partition = |number, error, offset| {
            ListOffsetsPartitionResponse::default()
                .with_partition_index(number)
                .with_error_code(error)
                .with_offset(offset)
        };
        let topic = ListOffsetsTopicResponse::default()
            .with_name(topic_name("plays"))
            .with_partitions(vec![
                partition(0, 0, 7),
                partition(1, NOT_LEADER, -1),
                partition(2, 0, 0),
            ]);
        let offsets = listed(ListOffsetsResponse::default().with_topics(vec![topic]));
        let expected = [(0, 7), (2, 0)].map(|(number, offset)| ((topic_name("plays"), number), offset));
        assert_eq!(offsets, HashMap::from(expected));
    }

    #[test]
    fn offsets_come_with_their_reports() {
        let partition = |number, offset, metadata: Option<&str>| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(number)
                .with_committed_offset(offset)
                .with_metadata(metadata.map(text))
        };
        let answer = |partitions| {
            let topic = OffsetFetchResponseTopic::default()
                .with_name(topic_name("plays"))
                .with_partitions(partitions);
            OffsetFetchResponse::default().with_topics(vec![topic])
        };
        let offsets = fetched(
            answer(vec![
                partition(0, 4, Some("report")),
                partition(1, 5, Some("")),
                partition(2, 0, None),
                partition(3, -1, Some("")),
            ]),
            "workers",
        );
        let expected =
            [(0, 4, Some("report")), (1, 5, None), (2, 0, None)].map(|(number, offset, report)| {
                let key = (topic_name("plays"), number);
                (key, (offset, report.map(str::to_owned)))
            });
        assert_eq!(offsets.unwrap(), HashMap::from(expected));

        for (error, may_pass) in [(GROUP_FORBIDDEN, false), (LOADING, true)] {
            let whole = fetched(answer(Vec::new()).with_error_code(error), "workers");
            let part = answer(vec![partition(0, -1, None).with_error_code(error)]);
            for failed in [whole, fetched(part, "workers")] {
                let failed = failed.unwrap_err();
                assert_eq!(failed.may_pass(), may_pass, "{failed}");
                assert!(failed.to_string().contains("the group workers"), "{failed}");
            }
        }
    }
}
