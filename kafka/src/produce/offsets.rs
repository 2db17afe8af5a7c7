//! What a transaction commits besides records.

use crate::group::Membership;

/// Offsets of a group that are committed with the records, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offsets {
    /// Under which membership: Kafka refuses one that is over.
    pub member: Membership,
    /// The topic whose offsets these are.
    pub topic: String,
    /// Partition, offset, and text beside it.
    pub offsets: Vec<(i32, i64, String)>,
}
