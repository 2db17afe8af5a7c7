//! What readers see: every partition's rows of a key put together, in a SQLite file that is made for one question.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{Partition, SqliteSink, Write};
use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::super::fold::Fold;
use super::Ledger;
use super::calls::{Columns, Keyed, State};
use crate::answer::{Answer, Value};
use crate::shape::layout::Layout;
use crate::transactional::sqlite::Sqlite;
use crate::{Advance, DeadLetter, SinkError, TableDefinition};

pub(super) async fn query(
    ledger: &Ledger,
    sql: &str,
    parameters: &[(&str, Value)],
) -> Result<Answer, SinkError> {
    let failed = |problem: String| SinkError::refused("showing the ledger", problem);
    let directory = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
    let file = SqliteSink {
        path: directory.path().join("view.db"),
    };
    let (definitions, contents, letters) = {
        let state = ledger.disk.state();
        let definitions: Vec<TableDefinition> = state.tables.values().map(keyless).collect();
        let contents = state
            .tables
            .values()
            .map(|definition| rows(&state, definition).map_err(|error| failed(error.to_string())))
            .collect::<Result<Vec<_>, _>>()?;
        (definitions, contents, letters(&state, ledger))
    };
    let view = Arc::new(Sqlite::open(ledger.pipeline.clone(), &file, definitions).await?);
    view.prepare().await?;
    let nowhere = Partition {
        topic: "view".into(),
        number: 0,
    };
    let lease = view.claim(&nowhere, "view").await?.lease;
    let mut transaction = Arc::clone(&view).begin(&lease).await?;
    for (table, rows) in contents.iter().enumerate() {
        transaction.write(table, rows.as_slice()).await?;
    }
    transaction.commit(&filled()).await?;
    for (partition, letters) in letters {
        let lease = view.claim(&partition, "view").await?.lease;
        let mut transaction = Arc::clone(&view).begin(&lease).await?;
        transaction.dead_letters(&letters).await?;
        transaction.commit(&filled()).await?;
    }
    view.query(sql, parameters).await
}

fn filled() -> Advance {
    Advance {
        start: None,
        end: 1,
        state: "{}".to_owned(),
        intent: None,
    }
}

fn letters(state: &State, ledger: &Ledger) -> BTreeMap<Partition, Vec<DeadLetter>> {
    let mut letters: BTreeMap<Partition, Vec<DeadLetter>> = BTreeMap::new();
    let own = state
        .letters
        .iter()
        .filter(|letter| letter.pipeline == ledger.pipeline);
    for stored in own.map(|letter| letter.stored.clone()) {
        letters.entry(stored.id.partition).or_default().push(DeadLetter {
            offset: stored.id.offset,
            timestamp: stored.timestamp,
            key: stored.key,
            value: stored.value,
            stage: "ledger",
            error: stored.error,
        });
    }
    letters
}

/// The table as one of rows that are all different already.
fn keyless(definition: &TableDefinition) -> TableDefinition {
    let mut definition = definition.clone();
    definition.table.write = Write::Append;
    definition.table.indexes = Vec::new();
    definition
}

/// What readers see of a table.
pub(super) fn rows(state: &State, definition: &TableDefinition) -> Result<Vec<RecordBatch>, ArrowError> {
    let layout = Layout::of_table(definition).map_err(|error| ArrowError::ExternalError(error.into()))?;
    let rows: Vec<Vec<Option<ArrayRef>>> = match Fold::of(&layout) {
        None => {
            let appended = state.appended.get(&layout.name).into_iter().flatten();
            appended.map(|(_, row)| ordered(&layout, row)).collect()
        }
        Some(fold) => {
            let keyed = state.keyed.get(&layout.name).into_iter().flatten();
            let mut by_key: BTreeMap<&[u8], Vec<&Keyed>> = BTreeMap::new();
            for ((key, ..), stored) in keyed {
                by_key.entry(key).or_default().push(stored);
            }
            by_key
                .into_values()
                .map(|rows| together(&layout, &fold, rows))
                .collect::<Result<_, _>>()?
        }
    };
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let columns = definition
        .schema
        .fields()
        .iter()
        .enumerate()
        .map(|(column, field)| {
            let cells = || rows.iter().filter_map(|row| row.get(column));
            let known = cells().flatten().next();
            let absent = new_null_array(known.map_or(field.data_type(), |array| array.data_type()), 1);
            let cells: Vec<&dyn Array> = cells()
                .map(|cell| cell.as_ref().unwrap_or(&absent).as_ref())
                .collect();
            Ok((field.name(), concat(&cells)?, true))
        });
    let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
    Ok(vec![RecordBatch::try_from_iter_with_nullable(columns)?])
}

fn ordered(layout: &Layout, row: &Columns) -> Vec<Option<ArrayRef>> {
    layout.names().map(|name| row.get(name).cloned()).collect()
}

/// A key's rows of several partitions, in the order in which they were written last.
fn together(
    layout: &Layout,
    fold: &Fold,
    mut rows: Vec<&Keyed>,
) -> Result<Vec<Option<ArrayRef>>, ArrowError> {
    rows.sort_by_key(|stored| (stored.at, stored.absorbed.partition.clone()));
    let mut seen: Option<Vec<ArrayRef>> = None;
    for row in rows {
        let columns = layout
            .columns
            .iter()
            .map(|column| match row.columns.get(&column.name) {
                Some(array) => ArrayRef::clone(array),
                None => new_null_array(&DataType::Null, 1),
            });
        let columns: Vec<ArrayRef> = columns.collect();
        seen = match seen {
            None => Some(columns),
            Some(seen) => Some(fold.apply(&seen, &columns)?.unwrap_or(seen)),
        };
    }
    // A column that nobody has written yet has no type of its own here.
    let known = |array: ArrayRef| (*array.data_type() != DataType::Null).then_some(array);
    Ok(seen.into_iter().flatten().map(known).collect())
}
