//! What stands in the way of membership, and what is to be done about it.

use crate::error_code::{Consequence, ErrorCode};

/// Why there is no part in a group, until somebody does something about it. What passes by itself is never told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum GroupError {
    /// The user may not take part.
    #[error("this user may not read the group {group}")]
    GroupNotAuthorised { group: String },
    /// The user may not see the topic whose partitions are shared.
    #[error("this user may not describe the topic {topic}")]
    TopicNotAuthorised { topic: String },
    /// Another one has joined as the same.
    #[error("another process has joined the group {group} as {instance}")]
    Fenced { group: String, instance: String },
    /// The group's members are of another kind.
    #[error(
        "the group {group} has members that share partitions in another way than {assignor}; \
         stop them, or choose another name"
    )]
    OtherMembers {
        group: String,
        /// How members of this kind do.
        assignor: &'static str,
    },
    /// Something that no waiting changes.
    #[error("the group {group} cannot be joined: {reason}")]
    Refused { group: String, reason: String },
    /// The work behind the membership has ended.
    #[error("nobody works for the membership in the group {group}")]
    Ended { group: String },
}

/// What an error of the coordinator means for a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The group shares its partitions anew: join again.
    Rebalance,
    /// The coordinator does not know the member: others may have what it had.
    Unknown,
    /// The member has missed a rebalance: others may have what it had.
    Missed,
    /// The coordinator is another broker, or none.
    Moved,
    /// It may be gone after a while.
    Passing,
    /// Somebody has to do something.
    Lasting,
}

impl Meaning {
    pub(super) fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::RebalanceInProgress => Self::Rebalance,
            ErrorCode::UnknownMemberId => Self::Unknown,
            ErrorCode::IllegalGeneration => Self::Missed,
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => Self::Moved,
            code if code.consequence() == Consequence::Fix => Self::Lasting,
            _ => Self::Passing,
        }
    }
}
