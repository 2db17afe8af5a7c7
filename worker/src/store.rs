//! One batch into the sink: decode, SQL, rows, dead letters, offset and audit in one transaction.
//!
//! When a row is refused or a query fails, the batch's records are halved until the ones to blame are found:
//! one mechanism for a bad value in SQL, a constraint in the database and a query that needs too much memory. It
//! needs no trace from a row back to its record, so it holds for joins and aggregates too. A bad record among n
//! costs about 2·log₂(n) further statements and 3·n rows written.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::DeadLetterPolicy;

use crate::decode::Decoded;
use crate::halt::HaltWindow;
use crate::records::Records;
use crate::sql::{Plans, TableRows, TransformError};
use crate::state::PartitionState;
use sinks::{Advance, Claim, DeadLetter, Lease, Sink, SinkError, SinkErrorKind, Transaction};

/// Fewest records of a transaction, however often larger ones failed.
const SMALLEST_TRANSACTION: usize = 500;

/// Why a batch was not stored. Nothing of the transaction in question is in the sink.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The sink failed or refused.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// So many records are bad that the manifest or a table is more likely to be wrong than the data.
    #[error(
        "{partition}: halted at offset {offset}: {bad} of {records} records cannot be stored, more than \
             spec.deadLetters.haltAbove allows; the first, at offset {first}: {reason}; mend the manifest or the \
             table, or raise haltAbove to dead-letter them"
    )]
    Halted {
        /// The partition.
        partition: String,
        /// The first offset that is not stored.
        offset: i64,
        /// Bad records among the last ones.
        bad: u64,
        /// The last ones.
        records: u64,
        /// Offset of the first bad record.
        first: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// A batch could not be represented.
    #[error("{partition}: cannot build a batch from offset {offset} on")]
    Batch {
        /// The partition.
        partition: String,
        /// Its first offset.
        offset: i64,
        /// What Arrow or JSON said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What was stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    /// Records dealt with.
    pub records: u64,
    /// Rows written, by table index.
    pub rows: Vec<(usize, u64)>,
    /// Dead letters, by stage.
    pub dead_letters: Vec<(&'static str, u64)>,
    /// Time for decoding and SQL.
    pub computing: Duration,
    /// Time that the sink took.
    pub waiting: Duration,
}

/// Writes one partition, as long as its lease holds.
#[derive(Debug)]
pub struct PartitionWriter {
    sink: Sink,
    plans: Arc<Plans>,
    policy: DeadLetterPolicy,
    lease: Lease,
    /// What the sink's next offset must be for the next transaction to be ours.
    stored: Option<i64>,
    /// The first offset that is not dealt with yet.
    next: i64,
    state: PartitionState,
    halt: HaltWindow,
    /// Most records of a transaction: halved when one fails, doubled when one succeeds.
    limit: usize,
}

impl PartitionWriter {
    /// A writer that goes on at `next` with `state`.
    #[must_use]
    pub fn new(
        sink: Sink,
        plans: Arc<Plans>,
        policy: DeadLetterPolicy,
        claim: &Claim,
        next: i64,
        state: PartitionState,
    ) -> Self {
        let (lease, stored) = (claim.lease.clone(), claim.next_offset);
        Self {
            sink,
            plans,
            policy,
            lease,
            stored,
            next,
            state,
            halt: HaltWindow::default(),
            limit: usize::MAX,
        }
    }

    /// The state as of the last transaction.
    #[must_use]
    pub fn state(&self) -> &PartitionState {
        &self.state
    }

    /// The first offset that is not dealt with yet.
    #[must_use]
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Goes on elsewhere: the topic turned out to be another one.
    pub fn restart(&mut self, next: i64, state: PartitionState) {
        self.next = next;
        self.state = state;
    }

    /// Stores what of the batch is not stored yet. After an error it may be called again with the same batch;
    /// `stored` has what was stored before the error too.
    ///
    /// # Errors
    /// [`StoreError`]; what was committed before it stays committed, and is not repeated.
    pub async fn store(&mut self, records: &Records, stored: &mut Stored) -> Result<(), StoreError> {
        let started = Instant::now();
        let decoder = self.plans.decoder(&records.partition.topic).cloned();
        let decoded = match decoder {
            Some(decoder) => decoder.decode(records).map_err(|error| self.batch_error(error))?,
            None => return Ok(()),
        };
        stored.computing += started.elapsed();
        let mut begin = records
            .iter()
            .take_while(|record| record.offset < self.next)
            .count();
        while begin < records.len() {
            let end = records.len().min(begin.saturating_add(self.limit));
            match self.transact(records, &decoded, begin..end, stored).await {
                Ok(()) => {
                    self.limit = self.limit.saturating_mul(2);
                    begin = end;
                }
                Err(error) => {
                    if matches!(&error, StoreError::Sink(error) if error.kind == SinkErrorKind::Unavailable) {
                        self.limit = ((end - begin) / 2).max(SMALLEST_TRANSACTION);
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// One transaction: the records of `range`, all or nothing.
    async fn transact(
        &mut self,
        records: &Records,
        decoded: &Decoded,
        range: Range<usize>,
        stored: &mut Stored,
    ) -> Result<(), StoreError> {
        let mut part = Part::new(records, decoded, range.clone());
        // The usual case needs no connection while SQL runs.
        let started = Instant::now();
        let rows = part.rows.clone();
        let first = self.transform(decoded, rows.clone()).await;
        part.stored.computing += started.elapsed();

        let started = Instant::now();
        let computed = part.stored.computing;
        let mut transaction = self.sink.begin(&self.lease).await?;
        self.write(&mut transaction, &mut part, rows, first).await?;
        let verdict = self.halt.judge(
            range.len() as u64,
            part.letters.len() as u64,
            self.policy.halt_above,
        );
        if let Err((bad, seen)) = verdict {
            return Err(self.halted(&part, bad, seen));
        }
        part.letters.sort_by_key(|letter| letter.offset);
        transaction.dead_letters(&part.letters).await?;

        let end = records
            .get(range.end)
            .map_or(records.end(), |record| record.offset);
        let mut state = self.state.clone();
        state.observe(records, range.clone());
        state.dead_letters += part.letters.len() as u64;
        for (table, rows) in &part.stored.rows {
            if let Some(definition) = self.plans.definitions().get(*table) {
                *state.rows.entry(definition.table.name.to_string()).or_default() += rows;
            }
        }
        let json = state.to_json().map_err(|error| self.batch_error(error))?;
        self.commit(
            transaction,
            Advance {
                start: self.stored,
                end,
                state: json,
            },
        )
        .await?;
        self.stored = Some(end);
        self.next = end;
        self.state = state;
        self.halt.add(range.len() as u64, part.letters.len() as u64);
        part.stored.waiting = started
            .elapsed()
            .saturating_sub(part.stored.computing.saturating_sub(computed));
        part.stored.records = range.len() as u64;
        stored.add(&part.stored);
        Ok(())
    }

    /// Commits; if the connection was lost meanwhile, the stored position tells what happened.
    async fn commit(&self, transaction: Transaction, advance: Advance) -> Result<(), StoreError> {
        let Err(error) = transaction.commit(&advance).await else {
            return Ok(());
        };
        if error.kind != SinkErrorKind::OutcomeUnknown {
            return Err(error.into());
        }
        let position = self.sink.position(&self.lease.partition).await?;
        let committed = position.is_some_and(|position| {
            position.epoch == self.lease.epoch && position.next_offset == Some(advance.end)
        });
        if committed {
            Ok(())
        } else {
            Err(SinkError {
                kind: SinkErrorKind::Unavailable,
                ..error
            }
            .into())
        }
    }

    /// Writes the rows of a range of decoded records, halving the range around the ones that fail.
    async fn write(
        &self,
        transaction: &mut Transaction,
        part: &mut Part<'_>,
        rows: Range<usize>,
        first: Result<Vec<TableRows>, TransformError>,
    ) -> Result<(), StoreError> {
        let mut first = Some(first);
        let mut work = vec![rows];
        // `begin` has set a savepoint, and nothing was written since.
        let mut clean = true;
        while let Some(rows) = work.pop() {
            if rows.is_empty() {
                continue;
            }
            let transformed = if let Some(first) = first.take() {
                first
            } else {
                let started = Instant::now();
                let transformed = self.transform(part.decoded, rows.clone()).await;
                part.stored.computing += started.elapsed();
                transformed
            };
            let problem = match transformed {
                Ok(tables) => {
                    if !clean {
                        transaction.savepoint().await?;
                    }
                    match write_tables(transaction, &tables).await {
                        Ok(()) => {
                            clean = false;
                            part.count(&tables);
                            continue;
                        }
                        Err(error) if error.kind == SinkErrorKind::Row => {
                            transaction.rollback_to_savepoint().await?;
                            clean = true;
                            ("sink", error.to_string())
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) => ("sql", error.to_string()),
            };
            if rows.len() == 1 {
                part.reject_row(rows.start, problem.0, problem.1);
                let verdict = self.halt.judge(
                    part.range.len() as u64,
                    part.letters.len() as u64,
                    self.policy.halt_above,
                );
                if let Err((bad, seen)) = verdict {
                    return Err(self.halted(part, bad, seen));
                }
            } else {
                let middle = rows.start + rows.len() / 2;
                work.push(middle..rows.end);
                work.push(rows.start..middle);
            }
        }
        Ok(())
    }

    async fn transform(
        &self,
        decoded: &Decoded,
        rows: Range<usize>,
    ) -> Result<Vec<TableRows>, TransformError> {
        let batch = decoded.batch.slice(rows.start, rows.len());
        self.plans.transform(&self.lease.partition.topic, batch).await
    }

    fn halted(&self, part: &Part<'_>, bad: u64, records: u64) -> StoreError {
        let first = part.letters.iter().min_by_key(|letter| letter.offset);
        StoreError::Halted {
            partition: self.lease.partition.to_string(),
            offset: self.next,
            bad,
            records,
            first: first.map_or(self.next, |letter| letter.offset),
            reason: first.map_or_else(String::new, |letter| letter.error.clone()),
        }
    }

    fn batch_error(&self, source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
        StoreError::Batch {
            partition: self.lease.partition.to_string(),
            offset: self.next,
            source: Box::new(source),
        }
    }
}

async fn write_tables(transaction: &mut Transaction, tables: &[TableRows]) -> Result<(), SinkError> {
    for table in tables.iter().filter(|table| !table.is_empty()) {
        transaction.write(table.table, &table.rows).await?;
    }
    Ok(())
}

/// The records of one transaction.
struct Part<'a> {
    records: &'a Records,
    decoded: &'a Decoded,
    range: Range<usize>,
    /// Rows of the decoded batch that belong to the range.
    rows: Range<usize>,
    letters: Vec<DeadLetter>,
    stored: Stored,
}

impl<'a> Part<'a> {
    fn new(records: &'a Records, decoded: &'a Decoded, range: Range<usize>) -> Self {
        let row_of = |index: usize| decoded.rows.partition_point(|row| (*row as usize) < index);
        let rows = row_of(range.start)..row_of(range.end);
        let mut part = Self {
            records,
            decoded,
            range,
            rows,
            letters: Vec::new(),
            stored: Stored::default(),
        };
        for (index, reason) in &decoded.rejected {
            if part.range.contains(&(*index as usize)) {
                part.reject(*index as usize, "decode", reason.clone());
            }
        }
        part
    }

    fn reject_row(&mut self, row: usize, stage: &'static str, error: String) {
        if let Some(index) = self.decoded.rows.get(row) {
            self.reject(*index as usize, stage, error);
        }
    }

    fn reject(&mut self, index: usize, stage: &'static str, error: String) {
        let Some(record) = self.records.get(index) else {
            return;
        };
        self.letters.push(DeadLetter {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            stage,
            error,
        });
        self.stored.add_dead_letters(stage, 1);
    }

    fn count(&mut self, tables: &[TableRows]) {
        for table in tables {
            self.stored.add_rows(table.table, table.len() as u64);
        }
    }
}

impl Stored {
    fn add_rows(&mut self, table: usize, rows: u64) {
        match self.rows.iter_mut().find(|(counted, _)| *counted == table) {
            Some((_, sum)) => *sum += rows,
            None => self.rows.push((table, rows)),
        }
    }

    fn add_dead_letters(&mut self, stage: &'static str, letters: u64) {
        match self
            .dead_letters
            .iter_mut()
            .find(|(counted, _)| *counted == stage)
        {
            Some((_, sum)) => *sum += letters,
            None => self.dead_letters.push((stage, letters)),
        }
    }

    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.computing += other.computing;
        self.waiting += other.waiting;
        for (table, rows) in &other.rows {
            self.add_rows(*table, *rows);
        }
        for (stage, letters) in &other.dead_letters {
            self.add_dead_letters(stage, *letters);
        }
    }
}
