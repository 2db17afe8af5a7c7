//! What each call does to what is stored. Pure, so that a call can be done late, in part, or twice.

use std::collections::BTreeMap;
use std::time::Instant;

use api::{Partition, PipelineName};
use arrow::array::ArrayRef;
use jiff::Timestamp;

use super::super::store::{StoreError, StoreErrorKind};
use crate::sql::storable_text;
use crate::{
    BatchId, DeadLetter, DeadLetterId, Intent, Lease, PlanDocument, StoredDeadLetter, TableDefinition,
};

/// Everything that is stored.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) is_prepared: bool,
    pub(super) tables: BTreeMap<String, TableDefinition>,
    pub(super) positions: BTreeMap<(PipelineName, Partition), Position>,
    /// By table; then by pipeline, batch and place in the batch.
    pub(super) appended: BTreeMap<String, BTreeMap<(PipelineName, String, usize), Columns>>,
    /// By table; then by key, pipeline and partition.
    pub(super) keyed: BTreeMap<String, BTreeMap<Owned, Keyed>>,
    pub(super) letters: Vec<Letter>,
    pub(super) violations: Vec<String>,
}

/// A key as one partition of a pipeline has it.
pub(super) type Owned = (Vec<u8>, PipelineName, Partition);

/// A row by the names of its columns, as arrays of one element: another plan may have them in another order.
pub(super) type Columns = BTreeMap<String, ArrayRef>;

/// What one partition has of a key.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    pub(super) columns: Columns,
    pub(super) absorbed: BatchId,
    pub(super) at: Timestamp,
}

#[derive(Debug)]
pub(super) struct Position {
    pub(super) epoch: i64,
    pub(super) next_offset: Option<i64>,
    pub(super) state: Option<String>,
    /// As it would be stored.
    pub(super) intent: Option<String>,
    pub(super) plan: PlanDocument,
    pub(super) written: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Letter {
    pub(super) pipeline: PipelineName,
    pub(super) stored: StoredDeadLetter,
}

/// A call with all that it needs.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Claim((PipelineName, Partition)),
    /// Changes nothing.
    Read,
    PutIntent {
        pipeline: PipelineName,
        lease: Lease,
        intent: Intent,
        plan: PlanDocument,
    },
    PutRows {
        pipeline: PipelineName,
        batch: BatchId,
        table: String,
        rows: Vec<Columns>,
    },
    PutKeyed {
        pipeline: PipelineName,
        batch: BatchId,
        at: Timestamp,
        table: String,
        rows: Vec<(Vec<u8>, Columns)>,
    },
    PutDeadLetters {
        pipeline: PipelineName,
        partition: Partition,
        letters: Vec<DeadLetter>,
    },
    Advance {
        pipeline: PipelineName,
        lease: Lease,
        intent: Intent,
    },
}

impl Call {
    /// With the first half of its rows.
    pub(super) fn torn(&self) -> Self {
        let mut call = self.clone();
        match &mut call {
            Self::PutRows { rows, .. } => rows.truncate(rows.len() / 2),
            Self::PutKeyed { rows, .. } => rows.truncate(rows.len() / 2),
            Self::PutDeadLetters { letters, .. } => letters.truncate(letters.len() / 2),
            Self::Claim(_) | Self::Read | Self::PutIntent { .. } | Self::Advance { .. } => {}
        }
        call
    }
}

impl State {
    pub(super) fn apply(&mut self, call: &Call) -> Result<(), StoreError> {
        match call.clone() {
            Call::Claim(key) => self.claim(key),
            Call::Read => Ok(()),
            Call::PutIntent {
                pipeline,
                lease,
                intent,
                plan,
            } => self.put_intent(pipeline, &lease, &intent, plan),
            Call::PutRows {
                pipeline,
                batch,
                table,
                rows,
            } => self.put_rows(&pipeline, &batch, table, rows),
            Call::PutKeyed {
                pipeline,
                batch,
                at,
                table,
                rows,
            } => self.put_keyed(&pipeline, &batch, at, table, rows),
            Call::PutDeadLetters {
                pipeline,
                partition,
                letters,
            } => {
                self.put_dead_letters(&pipeline, &partition, letters);
                Ok(())
            }
            Call::Advance {
                pipeline,
                lease,
                intent,
            } => self.advance(pipeline, &lease, &intent),
        }
    }

    fn claim(&mut self, key: (PipelineName, Partition)) -> Result<(), StoreError> {
        if !self.is_prepared {
            let problem = "there is nothing yet: run prepare again";
            return Err(StoreError::new(StoreErrorKind::Refused, problem));
        }
        let position = self.positions.entry(key).or_insert_with(|| Position {
            epoch: 0,
            next_offset: None,
            state: None,
            intent: None,
            plan: PlanDocument {
                hash: "".into(),
                text: "".into(),
            },
            written: None,
        });
        position.epoch += 1;
        Ok(())
    }

    /// The position, if the lease is the current one.
    fn held(&mut self, pipeline: PipelineName, lease: &Lease) -> Result<&mut Position, StoreError> {
        let position = self.positions.get_mut(&(pipeline, lease.partition.clone()));
        position
            .filter(|position| position.epoch == lease.epoch)
            .ok_or_else(fenced)
    }

    fn put_intent(
        &mut self,
        pipeline: PipelineName,
        lease: &Lease,
        intent: &Intent,
        plan: PlanDocument,
    ) -> Result<(), StoreError> {
        let position = self.held(pipeline, lease)?;
        let unfinished = position
            .intent
            .as_deref()
            .map(|json| read(lease, json))
            .transpose()?;
        let gives_way = unfinished
            .is_none_or(|other| other.batch == intent.batch || other.batch.order() < intent.batch.order());
        if position.next_offset != intent.expected || !gives_way {
            return Err(fenced());
        }
        position.intent = Some(intent.to_json().map_err(unreadable)?);
        position.plan = plan;
        Ok(())
    }

    fn put_rows(
        &mut self,
        pipeline: &PipelineName,
        batch: &BatchId,
        table: String,
        rows: Vec<Columns>,
    ) -> Result<(), StoreError> {
        self.there(&table)?;
        let violation = format!("batch {batch} has other rows of {table} than before");
        let stored = self.appended.entry(table).or_default();
        for (place, row) in rows.into_iter().enumerate() {
            let key = (pipeline.clone(), batch.to_string(), place);
            if *stored.entry(key).or_insert_with(|| row.clone()) != row {
                self.violations.push(violation.clone());
            }
        }
        Ok(())
    }

    fn put_keyed(
        &mut self,
        pipeline: &PipelineName,
        batch: &BatchId,
        at: Timestamp,
        table: String,
        rows: Vec<(Vec<u8>, Columns)>,
    ) -> Result<(), StoreError> {
        self.there(&table)?;
        let violation = format!("batch {batch} has other keyed rows of {table} than before");
        let stored = self.keyed.entry(table).or_default();
        for (key, columns) in rows {
            let key = (key, pipeline.clone(), batch.partition.clone());
            match stored.get(&key) {
                Some(before) if before.absorbed == *batch => {
                    if before.columns != columns {
                        self.violations.push(violation.clone());
                    }
                }
                Some(before) if before.absorbed.order() >= batch.order() => {}
                _ => {
                    let absorbed = batch.clone();
                    stored.insert(
                        key,
                        Keyed {
                            columns,
                            absorbed,
                            at,
                        },
                    );
                }
            }
        }
        Ok(())
    }

    fn put_dead_letters(&mut self, pipeline: &PipelineName, partition: &Partition, letters: Vec<DeadLetter>) {
        for letter in letters {
            let id = DeadLetterId {
                partition: partition.clone(),
                offset: letter.offset,
                digest: letter.digest(),
            };
            let same = |stored: &Letter| stored.pipeline == *pipeline && stored.stored.id == id;
            if self.letters.iter().any(same) {
                continue;
            }
            let stored = StoredDeadLetter {
                id,
                timestamp: letter.timestamp,
                key: letter.key,
                value: letter.value,
                stage: letter.stage.to_owned(),
                error: storable_text(&letter.error),
                stored_at: now(),
                replayed_at: None,
            };
            self.letters.push(Letter {
                pipeline: pipeline.clone(),
                stored,
            });
        }
    }

    fn advance(&mut self, pipeline: PipelineName, lease: &Lease, intent: &Intent) -> Result<(), StoreError> {
        let position = self.held(pipeline, lease)?;
        let unfinished = position
            .intent
            .as_deref()
            .map(|json| read(lease, json))
            .transpose()?;
        if unfinished.is_none_or(|unfinished| unfinished.batch != intent.batch) {
            return Err(fenced());
        }
        position.intent = None;
        position.next_offset = Some(intent.end);
        position.state = Some(intent.state.clone());
        position.written = Some(Instant::now());
        Ok(())
    }

    fn there(&self, table: &str) -> Result<(), StoreError> {
        if self.tables.contains_key(table) {
            return Ok(());
        }
        let problem = format!("there is no table {table}: run prepare again");
        Err(StoreError::new(StoreErrorKind::Refused, problem))
    }
}

/// As text of one length, so that instants sort.
pub(super) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

fn read(lease: &Lease, json: &str) -> Result<Intent, StoreError> {
    Intent::from_json(lease.partition.clone(), json).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> StoreError {
    StoreError {
        source: Some(error.into()),
        ..StoreError::new(StoreErrorKind::Refused, "the intent cannot be read or written")
    }
}

fn fenced() -> StoreError {
    StoreError::new(StoreErrorKind::Fenced, "another worker owns the partition")
}
