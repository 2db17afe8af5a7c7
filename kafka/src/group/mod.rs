//! Membership in a consumer group, of our own: who holds which partitions of a topic, and the group's committed offsets.
//! Nothing is read from the topic; its partitions only stand for what is shared.
//!
//! ```text
//! thread ◄─ Joined, Rebalance, Lost ─ Driver ─ JoinGroup, SyncGroup, Heartbeat, OffsetFetch ─► coordinator
//!        ─ consent, questions ──────►
//! ```
//!
//! The protocol is the classic one, and eager: when the group shares its partitions anew, every member stops, joins
//! again, and goes on with what it is given. It does not stop for long: a member that died is waited for until its session
//! is over, and meanwhile the others write on as before. Three rules make that safe for one who writes in transactions:
//! - A member joins again only when its thread agrees, which it does by [`Member::poll`] between two transactions.
//! - Every transaction commits offsets with the [`Membership`] that it was written under. Kafka refuses those of a member
//!   that the group has gone on without (KIP-447), so a member that was away does no harm.
//! - A member that gains a partition reads its offset when no open transaction can change it any more.
//!
//! Brokers of Kafka 2.5 and later will do.

mod answers;
mod assignor;
mod driver;
mod error;
mod member;
mod protocol;
mod requests;
mod state;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::driver::Driver;
pub use self::error::GroupError;
pub use self::member::{Committed, Member};
pub use self::state::Changes;
use crate::broker::Access;
use crate::health::ErrorReporter;

/// By which a transaction proves that this member still holds what it writes for (KIP-447).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// By its name.
    pub group: String,
    /// The name that the group's coordinator has given this member.
    pub member_id: String,
    /// Counts the group's rebalances: what was assigned in an earlier one is no longer held.
    pub generation: i32,
    /// The name that is the member's own and the same after a restart, if it has one (KIP-345).
    pub instance_id: Option<String>,
}

/// What is shared, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// By its name.
    pub group: String,
    /// The topic whose partitions are shared.
    pub topic: String,
    /// How many of them: `0..partitions`. Members that know of fewer will be given others too.
    pub partitions: i32,
    /// A name that stays the same when the member is restarted, and that no other has: the member then keeps its
    /// partitions meanwhile, for as long as the session. Without one, its partitions go to others when it leaves.
    pub instance_id: Option<String>,
}

/// Takes part in a group: the member, and the work behind it, which the caller runs as a task. Partitions come with
/// later polls. Broken connections go to `reporter`.
pub fn join(settings: Settings, access: Access, reporter: ErrorReporter) -> (Member, Driver) {
    let (events, news) = mpsc::unbounded_channel();
    let (commands, orders) = mpsc::unbounded_channel();
    let left = CancellationToken::new();
    let member = Member::new(&settings, news, commands, left.clone().drop_guard());
    let driver = Driver::new(settings, access, reporter, events, orders, left);
    (member, driver)
}
