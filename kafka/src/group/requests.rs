//! What a member asks the coordinator.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, OffsetFetchRequest,
    OffsetFetchResponse, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::assignor::{Claim, assign};
use super::member::Committed;
use super::protocol::{ASSIGNOR, Assignment, ProtocolError, Subscription, TYPE};
use super::{Membership, Settings};
use crate::error_code::ErrorCode;

/// A member that is not heard of for so long is given up, and its partitions go to others.
const SESSION: Duration = Duration::from_secs(10);

/// So long the group waits for a member's consent: the longest transaction, and some time to get there.
pub(super) const REBALANCE: Duration = Duration::from_secs(15);

/// The last version that asks for one group only.
pub(super) const OFFSETS_OF_ONE: i16 = 7;

/// Who the member is, as far as it knows.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) settings: Settings,
    /// Empty before the coordinator has given it.
    pub(super) member_id: StrBytes,
    pub(super) generation: i32,
}

impl Identity {
    fn group(&self) -> GroupId {
        GroupId(text(&self.settings.group))
    }

    fn instance_id(&self) -> Option<StrBytes> {
        self.settings.instance_id.as_deref().map(text)
    }

    pub(super) fn membership(&self) -> Membership {
        Membership {
            group: self.settings.group.clone(),
            member_id: self.member_id.to_string(),
            generation: self.generation,
            instance_id: self.settings.instance_id.clone(),
        }
    }

    /// `claim` is what the member was given last.
    pub(super) fn join(&self, claim: Claim) -> Result<JoinGroupRequest, ProtocolError> {
        let subscription = Subscription {
            count: self.settings.partitions,
            claim,
        };
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(ASSIGNOR))
            .with_metadata(subscription.encode(&self.settings.topic)?);
        Ok(JoinGroupRequest::default()
            .with_group_id(self.group())
            .with_session_timeout_ms(SESSION.as_millis() as i32)
            .with_rebalance_timeout_ms(REBALANCE.as_millis() as i32)
            .with_member_id(self.member_id.clone())
            .with_group_instance_id(self.instance_id())
            .with_protocol_type(StrBytes::from_static_str(TYPE))
            .with_protocols(vec![protocol]))
    }

    pub(super) fn sync(&self, assignments: Vec<SyncGroupRequestAssignment>) -> SyncGroupRequest {
        SyncGroupRequest::default()
            .with_group_id(self.group())
            .with_generation_id(self.generation)
            .with_member_id(self.member_id.clone())
            .with_group_instance_id(self.instance_id())
            .with_protocol_type(Some(StrBytes::from_static_str(TYPE)))
            .with_protocol_name(Some(StrBytes::from_static_str(ASSIGNOR)))
            .with_assignments(assignments)
    }

    pub(super) fn heartbeat(&self) -> HeartbeatRequest {
        HeartbeatRequest::default()
            .with_group_id(self.group())
            .with_generation_id(self.generation)
            .with_member_id(self.member_id.clone())
            .with_group_instance_id(self.instance_id())
    }

    pub(super) fn leave(&self) -> LeaveGroupRequest {
        let member = MemberIdentity::default().with_member_id(self.member_id.clone());
        LeaveGroupRequest::default()
            .with_group_id(self.group())
            .with_members(vec![member])
    }

    /// Asks for offsets that no open transaction may change.
    pub(super) fn offsets(&self, partitions: &[i32]) -> OffsetFetchRequest {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(TopicName(text(&self.settings.topic)))
            .with_partition_indexes(partitions.to_vec());
        OffsetFetchRequest::default()
            .with_group_id(self.group())
            .with_topics(Some(vec![topic]))
            .with_require_stable(true)
    }

    /// What the member has to assign: nothing unless it was chosen for it. A member that has just come back under its
    /// name takes over what was assigned.
    pub(super) fn assignments(
        &self,
        answer: JoinGroupResponse,
    ) -> Result<Vec<SyncGroupRequestAssignment>, ProtocolError> {
        if answer.leader != answer.member_id || answer.skip_assignment {
            return Ok(Vec::new());
        }
        let topic = self.settings.topic.as_str();
        let mut names = Vec::new();
        let mut claims = Vec::new();
        let mut count = self.settings.partitions;
        for member in answer.members {
            let subscription = Subscription::decode(member.metadata, topic)?;
            count = count.max(subscription.count);
            names.push(member.member_id);
            claims.push(subscription.claim);
        }
        let shares = assign(count, &claims).into_iter().zip(names);
        let assignment = |(partitions, name)| {
            let bytes = Assignment { count, partitions }.encode(topic)?;
            Ok(SyncGroupRequestAssignment::default()
                .with_member_id(name)
                .with_assignment(bytes))
        };
        shares.map(assignment).collect()
    }

    /// What the member was assigned. The one that assigns may not have known of it yet.
    pub(super) fn assigned(&self, bytes: Bytes) -> Result<Assignment, ProtocolError> {
        if bytes.is_empty() {
            return Ok(Assignment {
                count: self.settings.partitions,
                partitions: Vec::new(),
            });
        }
        Assignment::decode(bytes, &self.settings.topic)
    }
}

/// The committed offsets of an answer, without those that an open transaction may change.
pub(super) fn committed(answer: OffsetFetchResponse) -> Result<Vec<Committed>, ErrorCode> {
    if let Some(code) = ErrorCode::from_number(answer.error_code) {
        return Err(code);
    }
    let mut committed = Vec::new();
    for partition in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
        match ErrorCode::from_number(partition.error_code) {
            None => {}
            Some(ErrorCode::UnstableOffsetCommit) => continue,
            Some(code) => return Err(code),
        }
        let metadata = partition
            .metadata
            .map_or_else(String::new, |text| text.to_string());
        committed.push(Committed {
            partition: partition.partition_index,
            // A partition without an offset says -1.
            offset: (partition.committed_offset >= 0).then_some((partition.committed_offset, metadata)),
        });
    }
    Ok(committed)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
