//! A sink for tests: everything is in memory, and every step can be made to fail.
//!
//! It keeps the least that a store without transactions can: rows of append tables under batch and place, keyed rows by
//! partition with the mark of the last batch in them, one position and one intent a partition. It also watches: the same
//! batch that comes again with other rows is noted as a violation, whatever the rows look like in the end.

#![allow(clippy::unused_async, reason = "as the methods of every other sink")]

mod calls;
mod faults;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::{Partition, PipelineName};
use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::error::ArrowError;
use jiff::Timestamp;

use self::calls::{Call, Columns, State};
pub use self::faults::Fault;
use self::faults::{Effect, Faults};
use super::Staged;
use super::store::{Row, Store, StoreError, StoreErrorKind, StoredRow};
use crate::answer::{Answer, Value};
use crate::shape::layout::Layout;
use crate::sql::index_name;
use crate::{
    BatchId, Claim, DeadLetter, DeadLetterId, Intent, Lease, PlanDocument, ReferenceDefinition, RowsError,
    SinkError, StoredDeadLetter, StoredPosition, TableDefinition, Unfinished,
};

/// What all sinks share that were opened on it.
#[derive(Debug, Default)]
pub struct Disk {
    state: Mutex<State>,
    faults: Mutex<Faults>,
}

/// A pipeline's part of a disk.
#[derive(Debug)]
pub struct Ledger {
    pipeline: PipelineName,
    disk: Arc<Disk>,
    definitions: Vec<TableDefinition>,
}

impl Disk {
    /// Lets the call with this number fail; see [`calls`](Self::calls).
    pub fn inject(&self, call: u64, fault: Fault) {
        self.faults().inject(call, fault);
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.faults().count()
    }

    /// Lets everybody go on who is frozen.
    pub fn thaw(&self) {
        self.faults().thaw();
    }

    fn is_thawed(&self) -> bool {
        self.faults().is_thawed()
    }

    /// What was put under a batch's identity and was not what had been put under it before.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// Forgets a table, as somebody would by hand.
    pub fn drop_table(&self, table: &str) {
        self.state().tables.remove(table);
    }

    /// Intents that are unfinished.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        let state = self.state();
        let positions = state.positions.values();
        positions.filter(|position| position.intent.is_some()).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what a call is to do, unless it is to fail, after what late calls there are. Others have their turn before it.
    async fn call(&self, call: &Call) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        let (late, effect) = self.faults().next(call);
        if let Effect::Frozen { until } = effect {
            while self.calls() < until && !self.is_thawed() {
                tokio::task::yield_now().await;
            }
        }
        self.take_effect(late, effect, call)
    }

    fn take_effect(&self, late: Vec<Call>, effect: Effect, call: &Call) -> Result<(), StoreError> {
        let mut state = self.state();
        for late in late {
            // Whoever made it does not listen any more.
            drop(state.apply(&late));
        }
        let outcome = match effect {
            Effect::Done | Effect::Frozen { .. } => return state.apply(call),
            Effect::Lost => Ok(()),
            Effect::Unheard => state.apply(call),
            Effect::Torn => state.apply(&call.torn()),
        };
        outcome.and_then(|()| {
            let problem = "the connection was lost";
            Err(StoreError::new(StoreErrorKind::Unavailable, problem))
        })
    }
}

impl Staged<Ledger> {
    /// A pipeline's sink on a disk.
    ///
    /// # Errors
    /// A table that no sink can hold.
    pub fn on(
        disk: &Arc<Disk>,
        pipeline: PipelineName,
        definitions: &[TableDefinition],
    ) -> Result<Self, SinkError> {
        let plan = PlanDocument {
            hash: Arc::from(""),
            text: Arc::from(""),
        };
        let ledger = Ledger {
            pipeline,
            disk: Arc::clone(disk),
            definitions: definitions.to_owned(),
        };
        Self::new(Arc::new(ledger), plan, definitions)
    }

    /// What readers see of a table, without the detour over SQL.
    ///
    /// # Errors
    /// A sum over all partitions that does not fit its column.
    pub fn seen(&self, table: &str) -> Result<Vec<RecordBatch>, ArrowError> {
        let state = self.store().disk.state();
        match state.tables.get(table) {
            Some(definition) => view::rows(&state, definition),
            None => Ok(Vec::new()),
        }
    }

    pub(crate) async fn prepare(&self) -> Result<Vec<String>, SinkError> {
        let mut state = self.store().disk.state();
        state.is_prepared = true;
        let mut tables = state.tables.clone();
        let mut done = Vec::new();
        for definition in &self.store().definitions {
            prepare_table(&mut tables, definition, &mut done)?;
        }
        state.tables = tables;
        Ok(done)
    }

    pub(crate) async fn load_reference(
        &self,
        reference: &ReferenceDefinition,
        _: impl Iterator<Item = Result<RecordBatch, RowsError>> + Send,
    ) -> Result<Option<u64>, SinkError> {
        Err(no_tables(reference.name.as_str()))
    }

    pub(crate) async fn prepare_reference(
        &self,
        reference: &ReferenceDefinition,
    ) -> Result<Vec<String>, SinkError> {
        Err(no_tables(reference.name.as_str()))
    }

    pub(crate) async fn prepare_model(&self, model: &str, _: &str) -> Result<Vec<String>, SinkError> {
        Err(no_tables(model))
    }

    pub(crate) async fn run_model(&self, model: &str, _: &str) -> Result<u64, SinkError> {
        Err(no_tables(model))
    }

    pub(crate) async fn positions(&self) -> Result<Vec<StoredPosition>, SinkError> {
        let Ledger { pipeline, disk, .. } = self.store();
        let state = disk.state();
        let own = state.positions.iter().filter(|((owner, _), _)| owner == pipeline);
        Ok(own
            .map(|((_, partition), position)| StoredPosition {
                partition: partition.clone(),
                next_offset: position.next_offset,
                epoch: position.epoch,
                state: position.state.clone(),
            })
            .collect())
    }

    pub(crate) async fn dead_letters(
        &self,
        after: Option<&DeadLetterId>,
        limit: u32,
    ) -> Result<Vec<StoredDeadLetter>, SinkError> {
        let mut letters = self.own_letters();
        letters.retain(|letter| after.is_none_or(|after| letter.id > *after));
        letters.sort_by(|one, other| one.id.cmp(&other.id));
        letters.truncate(limit as usize);
        Ok(letters)
    }

    pub(crate) async fn newest_dead_letters(&self, limit: u32) -> Result<Vec<StoredDeadLetter>, SinkError> {
        Ok(self
            .own_letters()
            .into_iter()
            .rev()
            .take(limit as usize)
            .collect())
    }

    pub(crate) async fn dead_letters_at(
        &self,
        partition: &Partition,
        offset: i64,
    ) -> Result<Vec<StoredDeadLetter>, SinkError> {
        let mut letters = self.own_letters();
        letters.retain(|letter| letter.id.partition == *partition && letter.id.offset == offset);
        Ok(letters)
    }

    pub(crate) async fn mark_replayed(&self, letters: &[DeadLetterId]) -> Result<(), SinkError> {
        let Ledger { pipeline, disk, .. } = self.store();
        for letter in &mut disk.state().letters {
            if letter.pipeline == *pipeline && letters.contains(&letter.stored.id) {
                letter.stored.replayed_at = Some(calls::now());
            }
        }
        Ok(())
    }

    /// In the order in which they were stored.
    fn own_letters(&self) -> Vec<StoredDeadLetter> {
        let Ledger { pipeline, disk, .. } = self.store();
        let state = disk.state();
        let own = state.letters.iter().filter(|letter| letter.pipeline == *pipeline);
        own.map(|letter| letter.stored.clone()).collect()
    }

    pub(crate) async fn query(&self, sql: &str, parameters: &[(&str, Value)]) -> Result<Answer, SinkError> {
        view::query(self.store(), sql, parameters).await
    }

    pub(crate) async fn visit(
        &self,
        sql: &str,
        visit: impl FnMut(Vec<Option<String>>) + Send,
    ) -> Result<(), SinkError> {
        let answer = self.query(sql, &[]).await?;
        answer.texts().into_iter().for_each(visit);
        Ok(())
    }

    pub(crate) async fn ping(&self) -> Result<(), SinkError> {
        Ok(())
    }
}

fn no_tables(name: &str) -> SinkError {
    SinkError::refused(
        format!("table {name}"),
        "the tests' ledger holds tables of records only",
    )
}

/// Adds the table, or the columns that it lacks.
fn prepare_table(
    tables: &mut BTreeMap<String, TableDefinition>,
    definition: &TableDefinition,
    done: &mut Vec<String>,
) -> Result<(), SinkError> {
    let layout = Layout::of_table(definition)?;
    let name = layout.name.clone();
    let types = |layout: &Layout, column: usize| layout.columns.get(column).map(|it| format!("{it:?}"));
    let Some(before) = tables.insert(name.clone(), definition.clone()) else {
        done.push(format!("created table {name}"));
        for index in &layout.indexes {
            let index = index_name(&name, index, "idx");
            done.push(format!("created index {index} on table {name}"));
        }
        return Ok(());
    };
    let before = Layout::of_table(&before)?;
    if before.key != layout.key {
        return Err(SinkError::refused(
            format!("table {name}"),
            "its primary key is another one",
        ));
    }
    for (column, added) in layout.columns.iter().enumerate() {
        match before.names().position(|name| name == added.name) {
            Some(place) if types(&before, place) != types(&layout, column) => {
                let problem = format!("column {} is of another type", added.name);
                return Err(SinkError::refused(format!("table {name}"), problem));
            }
            Some(_) => {}
            None => done.push(format!(
                "added column {} {:?} to table {name}",
                added.name, added.column_type
            )),
        }
    }
    Ok(())
}

fn named(table: &Layout, columns: impl Iterator<Item = ArrayRef>) -> Columns {
    table.names().map(str::to_owned).zip(columns).collect()
}

impl Store for Ledger {
    /// Rows one by one, which is how they are compared.
    type Rows = Vec<Columns>;

    fn encode(&self, table: &Layout, columns: Vec<ArrayRef>) -> Result<Self::Rows, String> {
        let rows = columns.first().map_or(0, Array::len);
        let row = |row| named(table, columns.iter().map(|column| column.slice(row, 1)));
        Ok((0..rows).map(row).collect())
    }

    async fn claim(&self, partition: &Partition, _: &str) -> Result<Claim, StoreError> {
        let key = (self.pipeline.clone(), partition.clone());
        self.disk.call(&Call::Claim(key.clone())).await?;
        let state = self.disk.state();
        let Some(position) = state.positions.get(&key) else {
            let problem = "the partition is gone";
            return Err(StoreError::new(StoreErrorKind::Unavailable, problem));
        };
        let unfinished = position
            .intent
            .as_ref()
            .map(|json| Intent::from_json(partition.clone(), json))
            .transpose()
            .map_err(|error| StoreError {
                source: Some(error.into()),
                ..StoreError::new(StoreErrorKind::Refused, "the intent cannot be read")
            })?;
        Ok(Claim {
            lease: Lease {
                partition: partition.clone(),
                epoch: position.epoch,
            },
            next_offset: position.next_offset,
            state: position.state.clone(),
            unfinished: unfinished.map(|intent| Unfinished {
                intent,
                plan: position.plan.clone(),
            }),
            idle: position.written.map(|at| at.elapsed()).unwrap_or_default(),
        })
    }

    async fn stored(
        &self,
        table: &Layout,
        partition: &Partition,
        rows: &[Row],
    ) -> Result<Vec<Option<StoredRow>>, StoreError> {
        self.disk.call(&Call::Read).await?;
        let state = self.disk.state();
        let keyed = state.keyed.get(&table.name);
        let stored = |row: &Row| {
            let key = (row.key.clone(), self.pipeline.clone(), partition.clone());
            let stored = keyed?.get(&key)?;
            // Columns that were added since it was written are NULL.
            let column = |(name, new): (&str, &ArrayRef)| {
                let stored = stored.columns.get(name).cloned();
                stored.unwrap_or_else(|| new_null_array(new.data_type(), 1))
            };
            Some(StoredRow {
                row: Row {
                    key: row.key.clone(),
                    columns: table.names().zip(&row.columns).map(column).collect(),
                },
                absorbed: stored.absorbed.clone(),
                at: stored.at,
            })
        };
        Ok(rows.iter().map(stored).collect())
    }

    async fn put_intent(
        &self,
        lease: &Lease,
        intent: &Intent,
        plan: &PlanDocument,
    ) -> Result<(), StoreError> {
        let call = Call::PutIntent {
            pipeline: self.pipeline.clone(),
            lease: lease.clone(),
            intent: intent.clone(),
            plan: plan.clone(),
        };
        self.disk.call(&call).await
    }

    async fn put_rows(&self, batch: &BatchId, table: &Layout, rows: &[Self::Rows]) -> Result<(), StoreError> {
        let call = Call::PutRows {
            pipeline: self.pipeline.clone(),
            batch: batch.clone(),
            table: table.name.clone(),
            rows: rows.concat(),
        };
        self.disk.call(&call).await
    }

    async fn put_keyed(
        &self,
        batch: &BatchId,
        at: Timestamp,
        table: &Layout,
        rows: &[Row],
    ) -> Result<(), StoreError> {
        let call = Call::PutKeyed {
            pipeline: self.pipeline.clone(),
            batch: batch.clone(),
            at,
            table: table.name.clone(),
            rows: rows
                .iter()
                .map(|row| (row.key.clone(), named(table, row.columns.iter().cloned())))
                .collect(),
        };
        self.disk.call(&call).await
    }

    async fn put_dead_letters(
        &self,
        partition: &Partition,
        letters: &[DeadLetter],
    ) -> Result<(), StoreError> {
        let call = Call::PutDeadLetters {
            pipeline: self.pipeline.clone(),
            partition: partition.clone(),
            letters: letters.to_vec(),
        };
        self.disk.call(&call).await
    }

    async fn advance(&self, lease: &Lease, intent: &Intent) -> Result<(), StoreError> {
        let call = Call::Advance {
            pipeline: self.pipeline.clone(),
            lease: lease.clone(),
            intent: intent.clone(),
        };
        self.disk.call(&call).await
    }
}
