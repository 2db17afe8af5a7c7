//! Writing Kafka without a cost per message: records are written into the batches that brokers keep, which are
//! compressed, numbered and sent as wholes.
//!
//! ```text
//! thread ─Record─► Producer ─batches─► State ◄─who leads─ metadata ─Metadata─► any broker
//!    ▲                                   │ ▲
//!    └── committed, failed ──────────────┤ └─steps─ coordinator ─AddPartitions, EndTxn …─► coordinators
//!                                        ▼
//!                              one loop a leader ─Produce─► leader
//! ```
//!
//! Idempotent always: a batch that is sent twice is kept once. With transactions, records and a group's offsets commit
//! together (KIP-98, KIP-447); the next transaction's records are written and compressed while one is being committed.
//! Brokers of Kafka 2.5 and later will do, and without transactions the embedded one.
//!
//! There is one answer to whatever goes wrong beyond trying again: everything since the last commit is void, the
//! producer is [started](Producer::start) again, which aborts what is open, and the caller writes anew what was
//! written since. So sequence numbers begin with 0 and nothing is ever half done.
//!
//! Batches are numbered, so they are sent again until they are answered. A step of a transaction whose answer is lost is
//! not, for it has no number: heard late, it would be taken for a step of the next transaction. After a new start it is
//! refused.
//!
//! Memory: open batches and all that have not arrived hold no more than the budget. Buffers are kept to be used again,
//! at most one a partition.

mod builder;
mod coordinator;
mod driver;
mod encoder;
mod error;
mod leader;
mod metadata;
mod offsets;
mod producer;
mod shared;
mod state;

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::TransactionalId;
use kafka_protocol::protocol::StrBytes;

pub use self::builder::Record;
pub use self::driver::Driver;
pub use self::error::ProduceError;
pub use self::offsets::Offsets;
pub use self::producer::{Offer, Producer};
use self::shared::Shared;
use crate::broker::Access;
use crate::health::ErrorReporter;

/// What is written, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to. It is not created.
    pub topic: String,
    /// Without them, what was written has arrived after a flush.
    pub transactions: Option<Transactions>,
    /// How long a batch waits for more records, at least.
    pub linger: Duration,
    /// Bytes of memory for records that have not arrived yet.
    pub budget: usize,
}

/// How transactions are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transactions {
    /// Of all producers of this name only the one that was started last may write.
    pub id: String,
    /// The group whose offsets are committed in them.
    pub group: String,
    /// The coordinator aborts a transaction that is open for longer.
    pub timeout: Duration,
}

impl Transactions {
    fn id(&self) -> TransactionalId {
        TransactionalId(StrBytes::from_string(self.id.clone()))
    }
}

/// A producer, and the work behind it, which the caller runs as a task. Broken connections and refusals go to
/// `reporter`.
pub fn open(access: Access, settings: Settings, reporter: ErrorReporter) -> (Producer, Driver) {
    let shared = Arc::new(Shared::new(access, settings, reporter));
    let driver = Driver::new(Arc::clone(&shared));
    (Producer::new(shared), driver)
}
