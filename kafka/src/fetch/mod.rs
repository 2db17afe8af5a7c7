//! Reading Kafka without a cost per message: records come as the batches that brokers keep, and are decompressed and
//! taken apart where they are used.
//!
//! ```text
//! Fetcher ─set, remove─► Assignment ◄─who leads─ Driver ─Metadata─► any broker
//!                            │ plan                  │ starts, ends
//!                            ▼                       ▼
//! caller ◄─Chunk, Error── one loop a leader ─Fetch─► leader
//! ```
//!
//! Only committed records come (`read_committed`). There is no group and no commit here: who reads which partition from
//! where is the caller's. Brokers of Kafka 0.11 and later will do, and the embedded one.
//!
//! Memory: all chunks that are not dropped yet, and all answers on their way, hold no more than the budget, but for one
//! batch a broker that is larger than its answer was to be; each leader's connection keeps a buffer of one answer
//! besides. Partitions have equal shares of half the budget: one that holds its share is left out until the caller drops
//! some of it, and the others go on.

mod assignment;
mod batch;
mod chunk;
mod complete;
mod compression;
mod driver;
#[cfg(test)]
mod encode;
mod leader;
mod metadata;
mod record;
mod shared;
#[cfg(test)]
mod tests;
mod transactions;
mod watermarks;

use std::sync::Arc;
use std::time::Duration;

use api::Partition;
use tokio::sync::mpsc;

#[cfg(test)]
pub(crate) use self::batch::Batches;
pub use self::batch::{Batch, BatchError};
pub use self::chunk::{Chunk, Fetched, PartitionError, PartitionErrorKind};
pub use self::compression::Scratch;
pub use self::driver::Driver;
pub use self::record::{Record, Records};
use self::shared::Shared;
pub use self::transactions::Committed;
pub use self::watermarks::{Watermarks, WatermarksError};
use crate::broker::Access;
use crate::health::ErrorReporter;

/// Says what is to be read. Cheap to clone; its methods neither wait nor fail, and may be called from any thread.
#[derive(Clone)]
pub struct Fetcher {
    shared: Arc<Shared>,
}

/// What was read, in the order of offsets within each partition. An async task takes it with `recv`, a thread with
/// `blocking_recv`, and a loop that has other work with `try_recv`.
pub type Chunks = mpsc::UnboundedReceiver<Fetched>;

/// A fetcher that holds `budget` bytes of memory, at least 64 KiB, what it reads, and the work behind it, which the
/// caller runs as a task. Broken connections and refusals go to `reporter`.
pub fn open(access: Access, budget: usize, reporter: ErrorReporter) -> (Fetcher, Chunks, Driver) {
    let (sender, chunks) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::new(access, budget, sender, reporter));
    let driver = Driver::new(Arc::clone(&shared));
    (Fetcher { shared }, chunks, driver)
}

impl Fetcher {
    /// Reads `partition` from `offset` on, whether or not it was read before. Gives the generation that its chunks and
    /// errors will carry: those of earlier ones may still be on their way.
    #[must_use = "chunks of earlier generations are to be told apart"]
    pub fn set(&self, partition: Partition, offset: i64) -> u64 {
        let generation = self.shared.assignment().set(partition, offset);
        self.shared.notify();
        generation
    }

    /// Reads `partition` no more. What is on its way still comes.
    pub fn remove(&self, partition: &Partition) {
        self.shared.assignment().remove(partition);
        self.shared.notify();
    }

    /// Asks where `partition` begins and ends, for no longer than `patience`. Works whether or not it is read, and
    /// without the driver.
    pub async fn watermarks(
        &self,
        partition: &Partition,
        patience: Duration,
    ) -> Result<Watermarks, WatermarksError> {
        watermarks::ask(&self.shared, partition, patience).await
    }
}
