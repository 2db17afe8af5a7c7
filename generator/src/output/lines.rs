//! Events as lines of JSON, to a file or a pipe.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::discard::from_the_start;
use super::{Holding, Output, OutputError, Record, Written};
use crate::progress::Progress;

/// Written at once when so many bytes have come together; else at the next tick.
const BUFFER: usize = 256 * 1024;

/// A file or pipe that several threads write to, each some whole lines at a time.
pub type Target = Arc<Mutex<dyn Write + Send>>;

/// Writes the values of records, a line each.
pub struct Lines {
    target: Target,
    name: String,
    progress: Arc<Progress>,
    /// Not yet announced.
    shards: Option<Vec<u16>>,
    buffer: Vec<u8>,
    events: u64,
    bytes: u64,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Lines {
    /// To `target`, which errors call `name`, for these shards.
    #[must_use]
    pub fn new(target: Target, name: String, shards: Vec<u16>, progress: Arc<Progress>) -> Self {
        Self {
            target,
            name,
            progress,
            shards: Some(shards),
            buffer: Vec::with_capacity(BUFFER + 1024),
            events: 0,
            bytes: 0,
        }
    }

    fn pass_on(&mut self) -> Result<(), OutputError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = {
            // A poisoned lock means that another thread died while writing; its error ends the program anyway.
            let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
            target.write_all(&self.buffer).and_then(|()| target.flush())
        };
        written.map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe => OutputError::Closed,
            _ => OutputError::Write {
                target: self.name.clone(),
                source,
            },
        })?;
        self.buffer.clear();
        self.progress
            .produced(std::mem::take(&mut self.events), std::mem::take(&mut self.bytes));
        Ok(())
    }
}

impl Output for Lines {
    fn tick(&mut self, now: i64) -> Result<Option<Holding>, OutputError> {
        self.pass_on()?;
        Ok(self.shards.take().map(|shards| from_the_start(shards, now)))
    }

    fn write(&mut self, record: Record<'_>) -> Result<Written, OutputError> {
        self.buffer.extend_from_slice(record.value);
        self.buffer.push(b'\n');
        self.events += 1;
        self.bytes += (record.key.len() + record.value.len()) as u64;
        if self.buffer.len() >= BUFFER {
            self.pass_on()?;
        }
        Ok(Written::Taken)
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.pass_on()
    }

    fn is_complete(&mut self, _: &dyn Fn(u16) -> u64) -> Result<bool, OutputError> {
        Ok(true)
    }
}
