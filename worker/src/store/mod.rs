//! One batch into the sink: decode, SQL, rows, dead letters, offset and audit in one transaction.
//!
//! When a row is refused or a query fails, the batch's records are halved until the ones to blame are found:
//! one mechanism for a bad value in SQL, a constraint in the database and a query that needs too much memory. It
//! needs no trace from a row back to its record, so it holds for joins and aggregates too. A bad record among n
//! costs about 2·log₂(n) further statements and 3·n rows written.

mod part;
mod repeat;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use api::DeadLetterPolicy;
use jiff::Timestamp;
use sinks::{
    Advance, BatchId, Claim, ComputedWith, Intent, Lease, Sink, SinkError, SinkErrorKind, Transaction,
};

use crate::decode::Decoded;
use crate::halt::HaltWindow;
use crate::records::Records;
use crate::sql::{Plans, TableRows, TransformError};
use crate::state::{PartitionState, records_digest};
use part::Part;

pub use part::Stored;

/// Fewest records of a transaction, however often larger ones failed.
const SMALLEST_TRANSACTION: usize = 500;

/// Most ranges of dead letters and pieces computed one by one that an intent may have: a batch that needs more is stored in
/// smaller ones.
const LONGEST_INTENT: usize = 1_000;

/// Where the time comes from.
pub type Clock = fn() -> Timestamp;

/// Why a batch was not stored. Nothing of the transaction in question is in the sink.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The sink failed or refused.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// So many records are bad that the manifest or a table is more likely to be wrong than the data.
    #[error(
        "{partition}: halted at offset {offset}: {bad} of {records} records cannot be stored, more than \
             spec.deadLetters.haltAbove allows; the first, at offset {first}: {reason}; fix the manifest or the \
             table, or raise haltAbove to dead-letter them"
    )]
    Halted {
        /// Topic and number, as people write it.
        partition: String,
        /// The first offset that is not stored.
        offset: i64,
        /// Bad records among those that are judged.
        bad: u64,
        /// Records that are judged: these and the ones before them.
        records: u64,
        /// Offset of the first bad record.
        first: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// An unfinished batch cannot be finished: its records are gone.
    #[error(
        "{partition}: the records {start}..{end} are not those any more that an unfinished batch was begun with"
    )]
    Replaced {
        /// Topic and number, as people write it.
        partition: String,
        /// The first offset of the batch.
        start: i64,
        /// The offset after its last.
        end: i64,
    },
    /// An unfinished batch cannot be finished now: something else came of the same records.
    #[error(
        "{partition}: an unfinished batch cannot be finished: at offset {offset} it came out otherwise than before: \
         {problem}; it is tried again; if that does not help, give the worker more memory, or run the version that \
         began the batch until it is finished"
    )]
    Differs {
        /// Topic and number, as people write it.
        partition: String,
        /// Of the record, or of the first one that was computed with it.
        offset: i64,
        /// What came of it.
        problem: String,
    },
    /// A batch could not be represented.
    #[error("{partition}: cannot build a batch from offset {offset} on")]
    Batch {
        /// Topic and number, as people write it.
        partition: String,
        /// Where it begins.
        offset: i64,
        /// What Arrow or JSON said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
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
    clock: Clock,
    /// What a sink without transactions was told that would come next: it has to, before anything else.
    unfinished: Option<Intent>,
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
        clock: Clock,
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
            clock,
            unfinished: None,
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
        let Some(decoded) = self.decode(records, stored)? else {
            return Ok(());
        };
        let before = |offset: i64| records.iter().take_while(|record| record.offset < offset).count();
        let mut begin = before(self.next);
        if let Some(intent) = self.unfinished.clone() {
            let end = before(intent.end);
            self.repeat(records, &decoded, begin..end, &intent, stored)
                .await?;
            begin = end;
        }
        while begin < records.len() {
            let end = records.len().min(begin.saturating_add(self.limit));
            match self.transact(records, &decoded, begin..end, stored).await {
                Ok(true) => {
                    self.limit = self.limit.saturating_mul(2);
                    begin = end;
                }
                Ok(false) => self.limit = ((end - begin) / 2).max(1),
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

    fn decode(&self, records: &Records, stored: &mut Stored) -> Result<Option<Decoded>, StoreError> {
        let started = Instant::now();
        let Some(decoder) = self.plans.decoder(&records.partition.topic) else {
            return Ok(None);
        };
        let decoded = decoder.decode(records).map_err(|error| self.batch_error(error))?;
        stored.computing += started.elapsed();
        Ok(Some(decoded))
    }

    /// One transaction: the records of `range`, all or nothing. `false` if they are too many for one.
    async fn transact(
        &mut self,
        records: &Records,
        decoded: &Decoded,
        range: Range<usize>,
        stored: &mut Stored,
    ) -> Result<bool, StoreError> {
        let now = (self.clock)();
        let mut part = Part::new(records, decoded, range.clone());
        // The usual case needs no connection while SQL runs.
        let started = Instant::now();
        let rows = part.rows.clone();
        let first = self.transform(decoded, rows.clone(), now).await;
        part.stored.computing += started.elapsed();

        let started = Instant::now();
        let computed = part.stored.computing;
        let mut transaction = self.sink.begin(&self.lease).await?;
        self.write(&mut transaction, &mut part, now, first).await?;
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
        let mut advance = Advance {
            start: self.stored,
            end,
            state: state.to_json().map_err(|error| self.batch_error(error))?,
            intent: None,
        };
        if let Some(plan) = self.sink.plan() {
            let computed_with = ComputedWith {
                plan: Arc::clone(&plan.hash),
                now,
            };
            let intent = self.intent(&part, computed_with, &advance);
            if range.len() > 1 && intent.rejected.ranges() + intent.cuts.len() > LONGEST_INTENT {
                return Ok(false);
            }
            advance.intent = Some(intent.clone());
            // Whatever an error says: from here on it may be in the sink.
            self.unfinished = Some(intent);
        }
        self.commit(transaction, advance).await?;
        self.moved(end, state, &part);
        part.stored.waiting = started
            .elapsed()
            .saturating_sub(part.stored.computing.saturating_sub(computed));
        stored.add(&part.stored);
        Ok(true)
    }

    /// What a sink without transactions is told before it is given the part's rows.
    fn intent(&self, part: &Part<'_>, computed_with: ComputedWith, advance: &Advance) -> Intent {
        Intent {
            batch: BatchId {
                partition: self.lease.partition.clone(),
                topic_id: part.records.topic_id,
                incarnation: self.state.incarnation,
                leader_epoch: part.records.leader_epoch(part.range.start),
                start: self.next,
            },
            end: advance.end,
            records: records_digest(part.records, part.range.clone()),
            computed_with,
            rejected: part.letters.iter().map(|letter| letter.offset).collect(),
            cuts: part.cuts.clone(),
            expected: advance.start,
            state: advance.state.clone(),
        }
    }

    /// The part is in the sink.
    fn moved(&mut self, end: i64, state: PartitionState, part: &Part<'_>) {
        self.stored = Some(end);
        self.next = end;
        self.state = state;
        self.unfinished = None;
        let records = part.range.len() as u64;
        self.halt.add(records, part.letters.len() as u64);
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

    /// Writes the part's rows, halving them around the ones that fail.
    async fn write(
        &self,
        transaction: &mut Transaction,
        part: &mut Part<'_>,
        now: Timestamp,
        first: Result<Vec<TableRows>, TransformError>,
    ) -> Result<(), StoreError> {
        let mut first = Some(first);
        let mut work = vec![part.rows.clone()];
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
                let transformed = self.transform(part.decoded, rows.clone(), now).await;
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
                            part.cut(&rows);
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
                part.cut(&rows);
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
        now: Timestamp,
    ) -> Result<Vec<TableRows>, TransformError> {
        let batch = decoded.batch.slice(rows.start, rows.len());
        self.plans
            .transform(&self.lease.partition.topic, batch, now)
            .await
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

/// How a batch of an intent moves its partition.
fn advance(intent: &Intent) -> Advance {
    Advance {
        start: intent.expected,
        end: intent.end,
        state: intent.state.clone(),
        intent: Some(intent.clone()),
    }
}
