//! Reading Kafka: one thread shares out what is read, and one task a partition stores it.
//!
//! ```text
//! assigned ─► Waiting ─Begin─► [Verifying] ─► Reading ─revoked─► Draining ─► Stopped ─► unassigned
//!                ▲                             │
//!                └─ Hold, Finding ─────────────┘  fenced, sink away, halted, another log: what is buffered is read again
//! ```
//!
//! A [`Subscriber`] is the member of the group: it says which partitions are ours and takes the commits, and fetches
//! nothing, since all its partitions are paused. Records come from [`kafka::fetch`], whole batches at a time: message by message they cost
//! three times what everything else does.
//!
//! The position comes from the sink: the task of a new partition claims it there and says where to begin. Kafka's
//! committed offsets are written for people and for the scaler; nothing is read back from them. Memory is bounded by
//! taking no more chunks while batches hold more than the budget; partitions whose task cannot store are not read, so
//! that the others go on.

mod assigned;
mod assignment;
mod event_loop;
mod membership;
#[cfg(test)]
mod tests;

use api::{Batch as BatchLimits, Partition};
use kafka::fetch::{Chunks, Fetcher};
use kafka::health::ErrorReporter;
use kafka::librdkafka::{KafkaError, Subscriber};
use runtime::health::{Condition, Heartbeat};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::state::Fingerprint;

pub(crate) use assigned::{Batch, Finding, Input};

/// What a partition's task tells the loop.
#[derive(Debug)]
pub(crate) enum Command {
    /// Read from `offset` on; first check that the record with the fingerprint is still the one that was stored. With an
    /// end, all records before it are one batch, and nothing more is read.
    Begin {
        partition: Partition,
        attempt: u64,
        offset: i64,
        until: Option<i64>,
        verify: Option<Fingerprint>,
    },
    /// A batch is stored up to `next`; `metadata` goes with the committed offset.
    Stored {
        partition: Partition,
        attempt: u64,
        next: i64,
        metadata: String,
    },
    /// Nothing can be stored for the time being: forget what is buffered, and read no more.
    Hold { partition: Partition },
    /// The task has ended.
    Stopped { partition: Partition },
}

/// Makes the task of a newly assigned partition.
pub(crate) trait Spawn: Send {
    /// Starts the task, which takes its work from `input`, ends with `stop` and sends [`Command`]s.
    fn spawn(
        &self,
        partition: Partition,
        input: mpsc::Receiver<Input>,
        stop: CancellationToken,
    ) -> tokio::task::JoinHandle<()>;

    /// The number of partitions that are assigned now.
    fn assigned(&self, partitions: usize);

    /// The consumer's error reports: a topic or right is missing.
    fn kafka_error(&self, error: &KafkaError);
}

/// What the consumer's thread works with, from start to end.
pub(crate) struct Reader<S> {
    pub(crate) subscriber: Subscriber,
    pub(crate) fetcher: Fetcher,
    /// What goes wrong with fetching, apart from the group's.
    pub(crate) errors: ErrorReporter,
    pub(crate) limits: BatchLimits,
    /// Batches that are stored at the same time.
    pub(crate) concurrency: usize,
    pub(crate) spawn: S,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) kafka_health: Condition,
    pub(crate) shutdown: CancellationToken,
    /// On which the thread waits.
    pub(crate) tokio: tokio::runtime::Handle,
}

/// What the thread is told: by the partitions' tasks, and by Kafka.
pub(crate) struct Inbox {
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) chunks: Chunks,
}

impl<S: Spawn> Reader<S> {
    /// Reads until shutdown; then stores what was begun, tells Kafka, and leaves the group.
    pub(crate) fn run(self, inbox: Inbox) {
        event_loop::EventLoop::new(&self, inbox).run();
    }
}
