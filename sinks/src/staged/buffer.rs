//! A batch's rows before they are sent.

use std::collections::BTreeMap;

use super::store::{Row, StoredRow};
use crate::BatchId;

/// A key of a table, by the table's index.
pub(super) type TableKey = (usize, Vec<u8>);

/// What a key has come to.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// Nothing is stored of it.
    Absent,
    /// Stored, and not changed by the batch.
    Stored(Row),
    /// To be put.
    Changed(Row),
    /// Stored with the batch in it: an earlier attempt got so far. What the batch has for it does not count again.
    Done,
}

/// Rows in the order in which they were written, and keys with what they have come to. Everything since a mark can be
/// undone.
#[derive(Debug)]
pub(super) struct Buffer<R> {
    /// Of append tables, with the table's index.
    appended: Vec<(usize, R)>,
    keys: BTreeMap<TableKey, State>,
    /// What keys were before, in the order in which they changed.
    before: Vec<(TableKey, State)>,
    mark: (usize, usize),
}

impl<R> Buffer<R> {
    pub(super) fn new() -> Self {
        Self {
            appended: Vec::new(),
            keys: BTreeMap::new(),
            before: Vec::new(),
            mark: (0, 0),
        }
    }

    pub(super) fn append(&mut self, table: usize, rows: R) {
        self.appended.push((table, rows));
    }

    pub(super) fn knows(&self, key: &TableKey) -> bool {
        self.keys.contains_key(key)
    }

    /// Notes what the store has of a key. `batch` is the one that is being repeated, if one is.
    pub(super) fn learn(&mut self, key: TableKey, stored: Option<StoredRow>, batch: Option<&BatchId>) {
        let state = match stored {
            None => State::Absent,
            Some(stored) if batch.is_some_and(|batch| stored.absorbed.order() >= batch.order()) => {
                State::Done
            }
            Some(stored) => State::Stored(stored.row),
        };
        self.keys.insert(key, state);
    }

    pub(super) fn state(&self, key: &TableKey) -> Option<&State> {
        self.keys.get(key)
    }

    pub(super) fn change(&mut self, key: TableKey, row: Row) {
        if let Some(before) = self.keys.insert(key.clone(), State::Changed(row)) {
            self.before.push((key, before));
        }
    }

    /// What comes from now on can be undone alone.
    pub(super) fn set_mark(&mut self) {
        self.mark = (self.appended.len(), self.before.len());
    }

    /// Undoes what came since the mark.
    pub(super) fn roll_back(&mut self) {
        let (appended, changes) = self.mark;
        self.appended.truncate(appended);
        for (key, state) in self.before.drain(changes.min(self.before.len())..).rev() {
            self.keys.insert(key, state);
        }
    }

    /// The rows of append tables and the changed keys, by table.
    pub(super) fn into_rows(self) -> (BTreeMap<usize, Vec<R>>, BTreeMap<usize, Vec<Row>>) {
        let mut appended: BTreeMap<usize, Vec<R>> = BTreeMap::new();
        for (table, rows) in self.appended {
            appended.entry(table).or_default().push(rows);
        }
        let mut keyed: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
        for ((table, _), state) in self.keys {
            if let State::Changed(row) = state {
                keyed.entry(table).or_default().push(row);
            }
        }
        (appended, keyed)
    }
}
