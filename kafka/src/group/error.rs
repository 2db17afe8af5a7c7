//! What stands in the way of membership, and what is to be done about it.

use kafka_protocol::error::ResponseError;

/// Why there is no part in a group, until somebody does something about it. What passes by itself is never told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The user may not take part.
    #[error("this user may not read the group {group}")]
    GroupNotAuthorised {
        /// The group.
        group: String,
    },
    /// The user may not see the topic whose partitions are shared.
    #[error("this user may not describe the topic {topic}")]
    TopicNotAuthorised {
        /// The topic.
        topic: String,
    },
    /// Another one has joined as the same.
    #[error("another process has joined the group {group} as {instance}")]
    Fenced {
        /// The group.
        group: String,
        /// As whom.
        instance: String,
    },
    /// The group's members are of another kind.
    #[error(
        "the group {group} has members that share partitions in another way than {assignor}; \
         stop them, or choose another name"
    )]
    OtherMembers {
        /// The group.
        group: String,
        /// How members of this kind do.
        assignor: &'static str,
    },
    /// Something that no waiting changes.
    #[error("the group {group} cannot be joined: {reason}")]
    Refused {
        /// The group.
        group: String,
        /// What Kafka says.
        reason: String,
    },
    /// The work behind the membership has ended.
    #[error("nobody works for the membership in the group {group}")]
    Ended {
        /// The group.
        group: String,
    },
}

/// What an error of the coordinator means for a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setback {
    /// The group shares its partitions anew: join again.
    Rebalance,
    /// The coordinator does not know the member: others may have what it had.
    Unknown,
    /// The member has missed a rebalance: others may have what it had.
    Missed,
    /// The coordinator is another broker, or none.
    Moved,
    /// It may be gone after a while.
    Passing(ResponseError),
    /// Somebody has to do something.
    Lasting(ResponseError),
}

impl Setback {
    pub(super) fn of(error: ResponseError) -> Self {
        use ResponseError as Error;
        match error {
            Error::RebalanceInProgress => Self::Rebalance,
            Error::UnknownMemberId => Self::Unknown,
            Error::IllegalGeneration => Self::Missed,
            Error::NotCoordinator | Error::CoordinatorNotAvailable => Self::Moved,
            Error::GroupAuthorizationFailed
            | Error::TopicAuthorizationFailed
            | Error::FencedInstanceId
            | Error::InconsistentGroupProtocol
            | Error::InvalidGroupId
            | Error::InvalidSessionTimeout
            | Error::UnsupportedVersion => Self::Lasting(error),
            error => Self::Passing(error),
        }
    }
}
