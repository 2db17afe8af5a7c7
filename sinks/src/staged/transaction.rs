//! One batch: a buffer, and the three steps.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use super::Staged;
use super::buffer::{Buffer, State};
use super::fold::Fold;
use super::store::{Row, Store, StoreError, StoreErrorKind};
use crate::shape::layout::Layout;
use crate::{Advance, DeadLetter, Intent, Lease, SinkError, SinkErrorKind};

/// A batch that is being written. Dropping it leaves nothing.
#[derive(Debug)]
pub struct Transaction<S: Store> {
    sink: Arc<Staged<S>>,
    lease: Lease,
    buffer: Buffer<S::Rows>,
    letters: Vec<DeadLetter>,
    /// The batch that is written again, where one was begun before.
    repeated: Option<Intent>,
}

impl<S: Store> Transaction<S> {
    pub(super) fn new(sink: Arc<Staged<S>>, lease: Lease) -> Self {
        Self {
            sink,
            lease,
            buffer: Buffer::new(),
            letters: Vec::new(),
            repeated: None,
        }
    }

    /// What is written now is the batch of this intent, which may be stored in part.
    pub fn repeat(&mut self, intent: &Intent) {
        self.repeated = Some(intent.clone());
    }

    /// Begins a part that can be undone alone.
    ///
    /// # Errors
    /// None: nothing is sent. Asynchronous as every other sink's.
    #[allow(clippy::unused_async)]
    pub async fn savepoint(&mut self) -> Result<(), SinkError> {
        self.buffer.set_mark();
        Ok(())
    }

    /// Undoes everything since the last savepoint.
    ///
    /// # Errors
    /// None.
    #[allow(clippy::unused_async)]
    pub async fn rollback_to_savepoint(&mut self) -> Result<(), SinkError> {
        self.buffer.roll_back();
        Ok(())
    }

    /// Takes rows of a table.
    ///
    /// # Errors
    /// Of kind `Row` for a row that the sink cannot hold, or whose sum no column can.
    pub async fn write(&mut self, table: usize, rows: &[RecordBatch]) -> Result<(), SinkError> {
        let sink = Arc::clone(&self.sink);
        let Some(layout) = sink.tables.get(table) else {
            let problem =
                format!("the sink was opened without table number {table}: a defect; please report it");
            return Err(SinkError::refused("writing", problem));
        };
        for batch in rows.iter().filter(|batch| batch.num_rows() > 0) {
            let columns = layout.arrays(batch)?;
            match Fold::of(layout) {
                None => {
                    let encoded = sink.store.encode(layout, columns);
                    let encoded = encoded.map_err(|problem| refused(layout, problem, None))?;
                    self.buffer.append(table, encoded);
                }
                Some(fold) => self.fold(table, layout, &fold, &columns).await?,
            }
        }
        Ok(())
    }

    /// Takes dead letters.
    ///
    /// # Errors
    /// None.
    #[allow(clippy::unused_async)]
    pub async fn dead_letters(&mut self, letters: &[DeadLetter]) -> Result<(), SinkError> {
        self.letters.extend_from_slice(letters);
        Ok(())
    }

    /// The three steps. After an error the batch may be stored in part: it has to be finished by [`repeat`](Self::repeat)
    /// with the same intent, unless the error is `Fenced`.
    ///
    /// # Errors
    /// Never of kind `Row`.
    pub async fn commit(self, advance: &Advance) -> Result<(), SinkError> {
        let Self {
            sink,
            lease,
            buffer,
            letters,
            repeated,
        } = self;
        let intent = repeated
            .or_else(|| advance.intent.clone())
            .unwrap_or_else(|| Intent::bare(&lease.partition, advance));
        let store = &sink.store;
        let failed = |error: StoreError| match error.kind {
            StoreErrorKind::Fenced => SinkError::fenced(&lease, advance),
            _ => error.during(format!("writing {} up to {}", lease.partition, advance.end)),
        };
        store
            .put_intent(&lease, &intent, &sink.plan)
            .await
            .map_err(failed)?;
        let (appended, keyed) = buffer.into_rows();
        for (table, rows) in appended {
            if let Some(layout) = sink.tables.get(table) {
                store
                    .put_rows(&intent.batch, layout, &rows)
                    .await
                    .map_err(failed)?;
            }
        }
        for (table, rows) in keyed {
            if let Some(layout) = sink.tables.get(table) {
                let at = intent.computed_with.now;
                store
                    .put_keyed(&intent.batch, at, layout, &rows)
                    .await
                    .map_err(failed)?;
            }
        }
        if !letters.is_empty() {
            store
                .put_dead_letters(&lease.partition, &letters)
                .await
                .map_err(failed)?;
        }
        store
            .advance(&lease, &intent)
            .await
            .map_err(|error| match error.kind {
                StoreErrorKind::Unavailable => SinkError {
                    kind: SinkErrorKind::OutcomeUnknown,
                    ..failed(error)
                },
                _ => failed(error),
            })
    }

    /// Adds rows to what their keys have come to.
    async fn fold(
        &mut self,
        table: usize,
        layout: &Layout,
        fold: &Fold,
        columns: &[ArrayRef],
    ) -> Result<(), SinkError> {
        let rows = keyed_rows(layout, columns)?;
        let mut seen = BTreeSet::new();
        let unknown: Vec<Row> = rows
            .iter()
            .filter(|row| !self.buffer.knows(&(table, row.key.clone())) && seen.insert(&row.key))
            .cloned()
            .collect();
        if !unknown.is_empty() {
            let asked = self.sink.store.stored(layout, &self.lease.partition, &unknown);
            let stored = asked
                .await
                .map_err(|error| error.during(format!("reading table {}", layout.name)))?;
            let batch = self.repeated.as_ref().map(|intent| &intent.batch);
            for (row, stored) in unknown.into_iter().zip(stored) {
                self.buffer.learn((table, row.key), stored, batch);
            }
        }
        for row in rows {
            let key = (table, row.key.clone());
            let folded = match self.buffer.state(&key) {
                Some(State::Done) => None,
                Some(State::Stored(stored) | State::Changed(stored)) => fold
                    .apply(&stored.columns, &row.columns)
                    .map_err(|error| refused(layout, "a merged value does not fit its column", Some(error)))?
                    .map(|columns| Row { columns, ..row }),
                Some(State::Absent) | None => Some(row),
            };
            if let Some(row) = folded {
                self.buffer.change(key, row);
            }
        }
        Ok(())
    }
}

/// The rows of a keyed table, one by one.
fn keyed_rows(layout: &Layout, columns: &[ArrayRef]) -> Result<Vec<Row>, SinkError> {
    let key: Vec<ArrayRef> = layout
        .names()
        .zip(columns)
        .filter(|(name, _)| layout.is_key(name))
        .map(|(name, column)| {
            if column.null_count() == 0 {
                return Ok(ArrayRef::clone(column));
            }
            Err(refused(layout, format!("the key's column {name} is NULL"), None))
        })
        .collect::<Result<_, _>>()?;
    let fields = key
        .iter()
        .map(|column| SortField::new(column.data_type().clone()));
    let keys = RowConverter::new(fields.collect())
        .and_then(|converter| converter.convert_columns(&key))
        .map_err(|error| refused(layout, "a key cannot be compared", Some(error)))?;
    Ok(keys
        .iter()
        .enumerate()
        .map(|(index, key)| Row {
            key: key.as_ref().to_vec(),
            columns: columns.iter().map(|column| column.slice(index, 1)).collect(),
        })
        .collect())
}

fn refused(layout: &Layout, problem: impl Into<String>, source: Option<ArrowError>) -> SinkError {
    SinkError {
        source: source.map(Into::into),
        ..SinkError::new(
            SinkErrorKind::Row,
            format!("writing table {}", layout.name),
            problem,
        )
    }
}
