//! JSON records → an Arrow batch, by the topic's declared fields. A record that does not fit is named with
//! the reason and leaves no trace in the batch.

mod column;
mod json;
mod metadata;
mod shape;
#[cfg(test)]
mod tests;
mod text;
mod timestamp;

use std::collections::BTreeSet;
use std::sync::Arc;

use api::Field;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Field as ArrowField, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::records::Records;
use column::{Column, arrow_type};
use json::decode_value;
use metadata::Metadata;
use shape::Shape;

pub(crate) use column::arrow_fields;
pub(crate) use text::TextDecoder;

/// Shapes that are tried in a batch: where records look different each time, looking at them costs more than it saves.
const SHAPES: u32 = 8;

/// Decodes the records of one topic.
#[derive(Debug, Clone)]
pub struct Decoder {
    fields: Arc<[Field]>,
    schema: SchemaRef,
    /// Metadata that somebody reads; other columns of it are left NULL.
    metadata: Vec<Metadata>,
}

/// What became of a batch's records.
#[derive(Debug)]
pub struct Decoded {
    /// The records that fit, in order.
    pub batch: RecordBatch,
    /// For each row of `batch`, the index of its record.
    pub rows: Vec<u32>,
    /// The records that did not: index and reason.
    pub rejected: Vec<(u32, String)>,
}

impl Decoder {
    /// A decoder of records with these fields.
    #[must_use]
    pub fn new(fields: &[Field]) -> Self {
        let mut columns: Vec<ArrowField> = fields
            .iter()
            .map(|field| ArrowField::new(&field.name, arrow_type(&field.data_type), true))
            .collect();
        columns.extend(Metadata::ALL.map(Metadata::field));
        Self {
            fields: fields.into(),
            schema: Arc::new(Schema::new(columns)),
            metadata: Metadata::ALL.to_vec(),
        }
    }

    /// Says which columns of the schema are read. Fields are decoded in any case: what does not fit is a dead letter.
    pub(crate) fn read_only(&mut self, columns: &BTreeSet<usize>) {
        let metadata = Metadata::ALL.into_iter().zip(self.fields.len()..);
        let read = metadata.filter(|(_, column)| columns.contains(column));
        self.metadata = read.map(|(metadata, _)| metadata).collect();
    }

    /// The schema of the batches: the fields, then where a record came from.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Decodes every record, or says why not.
    ///
    /// # Errors
    /// Only if a column grows beyond what Arrow can hold.
    pub fn decode(&self, records: &Records) -> Result<Decoded, ArrowError> {
        let mut columns: Vec<(String, Column)> = self
            .fields
            .iter()
            .map(|field| (field.name.clone(), Column::new(&field.data_type, records.len())))
            .collect();
        let mut rows = Vec::with_capacity(records.len());
        let mut rejected = Vec::new();
        let mut shape = None;
        let mut shapes_left = SHAPES;
        for (index, record) in records.iter().enumerate() {
            if let (Some(shape), Some(value)) = (&shape, record.value) {
                if Shape::read(shape, value, &mut columns) {
                    rows.push(index as u32);
                    continue;
                }
                truncate(&mut columns, rows.len());
            }
            match decode_value(record.value, &mut columns, rows.len()) {
                Ok(()) => {
                    rows.push(index as u32);
                    if shapes_left > 0 {
                        shapes_left -= 1;
                        shape = record.value.and_then(|value| Shape::of(value, &columns));
                    }
                }
                Err(reason) => {
                    truncate(&mut columns, rows.len());
                    rejected.push((index as u32, reason));
                }
            }
        }
        let mut arrays: Vec<ArrayRef> = columns.iter_mut().map(|(_, column)| column.finish()).collect();
        arrays.extend(Metadata::ALL.map(|metadata| {
            if self.metadata.contains(&metadata) {
                metadata.array(records, &rows)
            } else {
                new_null_array(metadata.field().data_type(), rows.len())
            }
        }));
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?;
        Ok(Decoded {
            batch,
            rows,
            rejected,
        })
    }
}

/// Cuts all columns back to `rows` rows.
fn truncate(columns: &mut [(String, Column)], rows: usize) {
    for (_, column) in columns {
        column.truncate(rows);
    }
}
