//! Where events go.

pub(crate) mod discard;
pub mod kafka;
mod lines;

use std::fmt;
use std::io;

use crate::pacer::Position;

pub use discard::Discard;
pub use lines::{Lines, Target};

/// An event as it is written.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub shard: u16,
    /// The user id as decimal text.
    pub key: &'a [u8],
    /// JSON.
    pub value: &'a [u8],
}

/// Whether a record was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Written {
    Taken,
    /// There is no room now: offer it again.
    Full,
}

/// The shards that a thread holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Where each of them stands.
    pub positions: Vec<Position>,
    /// When the run began, microseconds since 1970; `None` while no shard is held.
    pub started: Option<i64>,
}

/// Takes events, and says which shards' events it is to be given. Owned by one thread.
///
/// A thread calls `tick` some hundred times a second and between two calls writes what is due. Records must be
/// written in the order of each shard's events, from the position that the last [`Holding`] gave.
pub trait Output: Send + fmt::Debug {
    /// Does what is to be done from time to time: pass on, commit, take part in the sharing of shards. Whatever
    /// it returns replaces what was held before; positions may have gone back, then events are to come again.
    fn tick(&mut self, now: i64) -> Result<Option<Holding>, OutputError>;

    /// Takes a record of a shard that is held.
    fn write(&mut self, record: Record<'_>) -> Result<Written, OutputError>;

    /// Everything that was written is where it should be, or an error says that it may not be.
    fn finish(&mut self) -> Result<(), OutputError>;

    /// Whether every shard of the run, held here or elsewhere, has reached the number of events that `target`
    /// gives for it. Everything that was written here is to be counted.
    fn is_complete(&mut self, target: &dyn Fn(u16) -> u64) -> Result<bool, OutputError>;
}

/// Why events cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The reader of the pipe is gone: nothing is wrong, there is just nothing left to do.
    #[error("the reader has closed the pipe")]
    Closed,
    /// Writing to the file or pipe failed.
    #[error("events cannot be written to {target}")]
    Write {
        /// The file's name, or "standard output".
        target: String,
        /// What the system said.
        source: io::Error,
    },
    #[error(transparent)]
    Kafka(#[from] kafka::KafkaOutputError),
}
