//! A sink that takes everything and keeps no rows: what a pipeline does without a database, for load tests and dry runs.
//!
//! Positions are in the memory of the process, one set for each pipeline, so that claims fence as in any other sink. A
//! process that begins later finds none, and reads from where the manifest's `startFrom` says. Dead letters are counted
//! in the partitions' states, as with any sink. None is kept; of each batch the first one is logged with its reason.

mod memory;

use std::sync::Arc;

use api::{Partition, PipelineName};
use arrow::array::RecordBatch;

use crate::shape::layout::Layout;
use crate::{
    Advance, Claim, DeadLetter, DeadLetterId, Lease, ReferenceDefinition, RowsError, SinkError,
    StoredDeadLetter, StoredPosition, TableDefinition,
};
use memory::Memory;

/// The pipeline's positions, and how many tables its batches have.
#[derive(Debug)]
pub struct Discard {
    tables: usize,
    memory: Arc<Memory>,
}

// The contract is one for sinks that wait and sinks that do not.
#[allow(clippy::unused_async)]
impl Discard {
    /// Checks the tables, as any sink would.
    pub fn open(pipeline: &PipelineName, tables: &[TableDefinition]) -> Result<Self, SinkError> {
        for table in tables {
            Layout::of_table(table)?;
        }
        Ok(Self {
            tables: tables.len(),
            memory: memory::of(pipeline),
        })
    }

    pub(crate) async fn prepare(&self) -> Result<Vec<String>, SinkError> {
        Ok(Vec::new())
    }

    pub(crate) async fn prepare_reference(
        &self,
        reference: &ReferenceDefinition,
    ) -> Result<Vec<String>, SinkError> {
        Layout::of_reference(reference).map(|_| Vec::new())
    }

    /// There is nothing to load: no row is asked for.
    pub(crate) async fn load_reference(
        &self,
        reference: &ReferenceDefinition,
        _rows: impl Iterator<Item = Result<RecordBatch, RowsError>> + Send,
    ) -> Result<Option<u64>, SinkError> {
        Layout::of_reference(reference).map(|_| None)
    }

    /// Takes over a partition of this process.
    pub(crate) async fn claim(&self, partition: &Partition, _owner: &str) -> Result<Claim, SinkError> {
        Ok(self.memory.claim(partition))
    }

    /// Begins a batch, of which nothing is kept but where it ends.
    pub(crate) async fn begin(self: Arc<Self>, lease: &Lease) -> Result<Transaction, SinkError> {
        Ok(Transaction {
            sink: self,
            lease: lease.clone(),
            part: Letters::default(),
            before: Letters::default(),
        })
    }

    pub(crate) async fn positions(&self) -> Result<Vec<StoredPosition>, SinkError> {
        Ok(self.memory.positions())
    }

    // No letter is kept.

    pub(crate) async fn dead_letters(
        &self,
        _after: Option<&DeadLetterId>,
        _limit: u32,
    ) -> Result<Vec<StoredDeadLetter>, SinkError> {
        Ok(Vec::new())
    }

    pub(crate) async fn newest_dead_letters(&self, _limit: u32) -> Result<Vec<StoredDeadLetter>, SinkError> {
        Ok(Vec::new())
    }

    pub(crate) async fn dead_letters_at(
        &self,
        _partition: &Partition,
        _offset: i64,
    ) -> Result<Vec<StoredDeadLetter>, SinkError> {
        Ok(Vec::new())
    }

    pub(crate) async fn mark_replayed(&self, _letters: &[DeadLetterId]) -> Result<(), SinkError> {
        Ok(())
    }

    pub(crate) async fn ping(&self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// One batch. Dropping it leaves the position where it was.
#[derive(Debug)]
pub struct Transaction {
    sink: Arc<Discard>,
    lease: Lease,
    /// Since the last savepoint.
    part: Letters,
    before: Letters,
}

/// Dead letters of a batch: how many, and one of them for the log.
#[derive(Debug, Default)]
struct Letters {
    count: usize,
    first: Option<DeadLetter>,
}

impl Letters {
    fn add(&mut self, count: usize, first: Option<DeadLetter>) {
        self.count += count;
        if self.first.is_none() {
            self.first = first;
        }
    }
}

#[allow(clippy::unused_async)]
impl Transaction {
    pub(crate) async fn savepoint(&mut self) -> Result<(), SinkError> {
        let part = std::mem::take(&mut self.part);
        self.before.add(part.count, part.first);
        Ok(())
    }

    pub(crate) async fn rollback_to_savepoint(&mut self) -> Result<(), SinkError> {
        self.part = Letters::default();
        Ok(())
    }

    pub(crate) async fn write(&mut self, table: usize, _rows: &[RecordBatch]) -> Result<(), SinkError> {
        let tables = self.sink.tables;
        if table < tables {
            return Ok(());
        }
        Err(SinkError::refused(
            format!("writing a batch of {}", self.lease.partition),
            format!("there is no table {table}: the sink was opened with {tables}"),
        ))
    }

    pub(crate) async fn dead_letters(&mut self, letters: &[DeadLetter]) -> Result<(), SinkError> {
        self.part.add(letters.len(), letters.first().cloned());
        Ok(())
    }

    /// Moves the partition, if the lease is the current one.
    pub(crate) async fn commit(mut self, advance: &Advance) -> Result<(), SinkError> {
        self.savepoint().await?;
        if !self.sink.memory.advance(&self.lease, advance) {
            return Err(SinkError::fenced(&self.lease, advance));
        }
        if let Letters {
            count,
            first: Some(first),
        } = &self.before
        {
            let DeadLetter {
                offset, stage, error, ..
            } = first;
            let partition = &self.lease.partition;
            tracing::warn!(
                letters = count,
                "dead letters; the first is {partition}/{offset}, by {stage}: {error}"
            );
        }
        Ok(())
    }
}
