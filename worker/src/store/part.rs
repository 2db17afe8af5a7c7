//! The records of one transaction, and what becomes of them.

use std::ops::Range;
use std::time::Duration;

use sinks::DeadLetter;

use crate::decode::Decoded;
use crate::records::Records;
use crate::sql::TableRows;

/// What came of records that are stored, for metrics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    /// Stored and dead-lettered ones.
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

/// The records of one transaction.
pub(super) struct Part<'a> {
    pub(super) records: &'a Records,
    pub(super) decoded: &'a Decoded,
    pub(super) range: Range<usize>,
    /// The rows of `decoded` that belong to the range.
    pub(super) rows: Range<usize>,
    pub(super) letters: Vec<DeadLetter>,
    /// First offsets of what was computed by itself, but for the first.
    pub(super) cuts: Vec<i64>,
    pub(super) stored: Stored,
}

impl<'a> Part<'a> {
    pub(super) fn new(records: &'a Records, decoded: &'a Decoded, range: Range<usize>) -> Self {
        let row_of = |index: usize| decoded.rows.partition_point(|row| (*row as usize) < index);
        let rows = row_of(range.start)..row_of(range.end);
        let stored = Stored {
            records: range.len() as u64,
            ..Stored::default()
        };
        let mut part = Self {
            records,
            decoded,
            range,
            rows,
            letters: Vec::new(),
            cuts: Vec::new(),
            stored,
        };
        for (index, reason) in &decoded.rejected {
            if part.range.contains(&(*index as usize)) {
                part.reject(*index as usize, "decode", reason.clone());
            }
        }
        part
    }

    /// The offset of a row's record.
    pub(super) fn offset(&self, row: usize) -> Option<i64> {
        let index = self.decoded.rows.get(row)?;
        self.records.get(*index as usize).map(|record| record.offset)
    }

    /// The first of the rows whose record is at `offset` or later.
    pub(super) fn row_at(&self, offset: i64) -> usize {
        let rows = self.decoded.rows.get(self.rows.clone()).unwrap_or_default();
        let before = |row: &u32| {
            let record = self.records.get(*row as usize);
            record.is_some_and(|record| record.offset < offset)
        };
        self.rows.start + rows.partition_point(before)
    }

    /// Notes rows that are computed by themselves.
    pub(super) fn cut(&mut self, rows: &Range<usize>) {
        if rows.start > self.rows.start
            && let Some(offset) = self.offset(rows.start)
        {
            self.cuts.push(offset);
        }
    }

    pub(super) fn reject_row(&mut self, row: usize, stage: &'static str, error: String) {
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

    pub(super) fn count(&mut self, tables: &[TableRows]) {
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

    pub(super) fn add(&mut self, other: &Self) {
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
