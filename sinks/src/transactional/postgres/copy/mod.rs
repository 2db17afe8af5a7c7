//! Rows in the format of `COPY … FROM STDIN (FORMAT binary)`. Pure: bytes only, no connection.

mod cells;
mod numeric;

use arrow::array::RecordBatch;

use crate::shape::layout::Layout;
use crate::{SinkError, SinkErrorKind};
use cells::Cells;

/// Signature, flags (none) and length of the header's extension (none).
pub(super) const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// A field count of -1 ends the rows.
pub(super) const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// Encodes one batch, in chunks.
pub(super) struct Encoder<'a> {
    layout: &'a Layout,
    columns: Vec<Cells>,
    rows: usize,
    next: usize,
    /// Bytes that a row takes at least.
    width: usize,
}

impl<'a> Encoder<'a> {
    /// Checks and downcasts the batch's columns, once.
    pub(super) fn new(layout: &'a Layout, batch: &RecordBatch) -> Result<Self, SinkError> {
        let mut columns = Vec::with_capacity(layout.columns.len());
        for (array, column) in layout.arrays(batch)?.iter().zip(&layout.columns) {
            let cells = Cells::new(array, &column.column_type).ok_or_else(|| {
                SinkError::refused(
                    format!("writing table {}", layout.name),
                    format!(
                        "column {} came as {}: restart the worker",
                        column.name,
                        array.data_type()
                    ),
                )
            })?;
            columns.push(cells);
        }
        let width = 2 + columns.iter().map(Cells::width).sum::<usize>();
        Ok(Self {
            layout,
            columns,
            rows: batch.num_rows(),
            next: 0,
            width,
        })
    }

    /// Appends rows to `out` until it holds `enough` bytes; `false` when no rows are left.
    pub(super) fn encode(&mut self, out: &mut Vec<u8>, enough: usize) -> Result<bool, SinkError> {
        let fields = (self.columns.len() as i16).to_be_bytes();
        let left = self.rows - self.next;
        out.reserve(
            left.saturating_mul(self.width)
                .min(enough.saturating_sub(out.len())),
        );
        while self.next < self.rows && out.len() < enough {
            out.extend_from_slice(&fields);
            for (cells, column) in self.columns.iter().zip(&self.layout.columns) {
                cells.write(self.next, out).map_err(|problem| {
                    SinkError::new(
                        SinkErrorKind::Row,
                        format!("writing table {}", self.layout.name),
                        format!("column {}: {problem}", column.name),
                    )
                })?;
            }
            self.next += 1;
        }
        Ok(self.next < self.rows)
    }
}
