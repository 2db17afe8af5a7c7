//! What a fetcher hands over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::Partition;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::batch::BatchError;
use super::transactions::{Aborted, Committed};

/// What comes of a partition that is read.
#[derive(Debug)]
pub enum Fetched {
    /// Records, or offsets that hold none that a reader sees.
    Chunk(Chunk),
    /// Something that the reader has to decide about.
    Error(PartitionError),
}

/// A contiguous range of offsets of one partition, as the broker sent it: compressed, unchecked. Its memory counts
/// against the fetcher's budget until it is dropped.
///
/// ```no_run
/// # fn read(chunk: &kafka::fetch::Chunk) -> Result<(), kafka::fetch::BatchError> {
/// let mut scratch = kafka::fetch::Scratch::default();
/// for batch in chunk.batches() {
///     for record in batch?.records(&mut scratch)? {
///         let record = record?;
///         println!("{} {:?}", record.offset, record.value);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Chunk {
    /// Where it comes from.
    pub partition: Partition,
    /// Which [`set`](super::Fetcher::set) it was read after: one of an earlier `set` is to be dropped.
    pub generation: u64,
    /// The topic's id, 16 bytes that no other topic has, also none of the same name. `None` where brokers have no ids.
    pub topic_id: Option<[u8; 16]>,
    /// The offset that was asked for. The first record may come later: compaction, transactions.
    pub start: i64,
    /// The offset after the last. The next chunk of this generation starts there.
    pub next: i64,
    /// Offset after the newest record that is safe on enough brokers.
    pub high_watermark: i64,
    /// Offset after the newest record that may be read: before the first transaction that is not ended.
    pub last_stable_offset: i64,
    pub(super) records: Bytes,
    pub(super) aborted: Vec<Aborted>,
    pub(super) _held: Held,
}

/// Why there is nothing more to read, or not yet.
#[derive(Debug)]
pub struct PartitionError {
    /// The one that is not read on.
    pub partition: Partition,
    /// Which [`set`](super::Fetcher::set) it is about.
    pub generation: u64,
    /// The offset that was to be read.
    pub offset: i64,
    /// What stands in the way.
    pub kind: PartitionErrorKind,
}

/// What stands in the way of reading on.
#[derive(Debug)]
pub enum PartitionErrorKind {
    /// The log has no such offset: retention has passed it, or it is beyond the end. The partition rests until it is
    /// set anew.
    OutOfRange,
    /// The topic, or this partition of it, is not there. It is looked for again and again; should it come back as
    /// another, [`Recreated`](Self::Recreated) follows, and otherwise reading goes on.
    Missing,
    /// The topic was deleted and made again: offsets mean other records now. The partition rests until it is set anew.
    Recreated,
    /// The bytes at the offset cannot be understood. The partition rests until it is set anew.
    Unreadable(BatchError),
}

impl Chunk {
    /// Its batches of committed records, in the order of their offsets. Decompressing happens where they are read.
    #[must_use]
    pub fn batches(&self) -> Committed<'_> {
        Committed::new(&self.records, &self.aborted, self.start)
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.records.len()
    }
}

/// Memory that is held; letting go of it makes room for more of the partition.
#[derive(Debug)]
pub(super) struct Held {
    /// `None` for what one batch of more than the fetch size has too much.
    pub(super) _permit: Option<OwnedSemaphorePermit>,
    pub(super) bytes: usize,
    pub(super) ahead: Arc<AtomicUsize>,
    pub(super) room: watch::Sender<()>,
}

impl Held {
    pub(super) fn new(
        permit: Option<OwnedSemaphorePermit>,
        bytes: usize,
        ahead: &Arc<AtomicUsize>,
        room: &watch::Sender<()>,
    ) -> Self {
        ahead.fetch_add(bytes, Ordering::Relaxed);
        Self {
            _permit: permit,
            bytes,
            ahead: Arc::clone(ahead),
            room: room.clone(),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ahead.fetch_sub(self.bytes, Ordering::Relaxed);
        self.room.send_replace(());
    }
}
