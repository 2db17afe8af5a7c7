//! Events that go nowhere, for measuring and for trying settings.

use std::sync::Arc;

use super::{Holding, Output, OutputError, Record, Written};
use crate::pacer::Position;
use crate::progress::Progress;

/// Counts events and bytes.
#[derive(Debug)]
pub struct Discard {
    progress: Arc<Progress>,
    /// Not yet announced.
    shards: Option<Vec<u16>>,
    events: u64,
    bytes: u64,
}

impl Discard {
    /// For these shards.
    #[must_use]
    pub fn new(shards: Vec<u16>, progress: Arc<Progress>) -> Self {
        Self {
            progress,
            shards: Some(shards),
            events: 0,
            bytes: 0,
        }
    }
}

/// All of the shards from their beginnings.
pub(crate) fn from_the_start(shards: Vec<u16>, now: i64) -> Holding {
    Holding {
        positions: shards
            .into_iter()
            .map(|shard| Position { shard, produced: 0 })
            .collect(),
        started: Some(now),
    }
}

impl Output for Discard {
    fn tick(&mut self, now: i64) -> Result<Option<Holding>, OutputError> {
        self.finish()?;
        Ok(self.shards.take().map(|shards| from_the_start(shards, now)))
    }

    fn write(&mut self, record: Record<'_>) -> Result<Written, OutputError> {
        self.events += 1;
        self.bytes += (record.key.len() + record.value.len()) as u64;
        Ok(Written::Taken)
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.progress
            .produced(std::mem::take(&mut self.events), std::mem::take(&mut self.bytes));
        Ok(())
    }

    fn is_complete(&mut self, _: &dyn Fn(u16) -> u64) -> Result<bool, OutputError> {
        Ok(true)
    }
}
