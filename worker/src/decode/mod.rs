//! JSON records → an Arrow batch, by the topic's declared fields. A record that does not fit is named with
//! the reason and leaves no trace in the batch.

mod column;
mod json;
mod shape;
#[cfg(test)]
mod tests;
mod text;
mod timestamp;

use std::sync::Arc;

use api::Field;
use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use crate::records::Records;
use column::{Column, arrow_type};
use json::decode_value;
use shape::Shape;

pub(crate) use column::arrow_fields;
pub(crate) use text::TextDecoder;

/// Columns that every topic's table has besides its fields: where the record came from.
pub const METADATA_COLUMNS: [&str; 4] = ["_partition", "_offset", "_timestamp", "_key"];

/// Shapes that are tried in a batch: where records look different each time, looking at them costs more than it saves.
const SHAPES: u32 = 8;

/// Decodes the records of one topic.
#[derive(Debug, Clone)]
pub struct Decoder {
    fields: Arc<[Field]>,
    schema: SchemaRef,
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
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
        let metadata = [DataType::Int32, DataType::Int64, timestamp, DataType::Utf8];
        for (name, data_type) in METADATA_COLUMNS.into_iter().zip(metadata) {
            columns.push(ArrowField::new(name, data_type, true));
        }
        Self {
            fields: fields.into(),
            schema: Arc::new(Schema::new(columns)),
        }
    }

    /// The schema of the batches: the fields, then [`METADATA_COLUMNS`].
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Decodes all records.
    ///
    /// # Errors
    /// Only if a column grows beyond what Arrow can hold.
    pub fn decode(&self, records: &Records) -> Result<Decoded, ArrowError> {
        let mut columns: Vec<(String, Column)> = self
            .fields
            .iter()
            .map(|field| (field.name.clone(), Column::new(&field.data_type)))
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
        arrays.extend(metadata_columns(records, &rows));
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

fn metadata_columns(records: &Records, rows: &[u32]) -> [ArrayRef; 4] {
    let taken = || rows.iter().filter_map(|row| records.get(*row as usize));
    let mut keys = StringBuilder::with_capacity(rows.len(), rows.len() * 8);
    for record in taken() {
        keys.append_option(record.key.map(String::from_utf8_lossy));
    }
    [
        Arc::new(Int32Array::from_value(records.partition.number, rows.len())),
        Arc::new(taken().map(|record| Some(record.offset)).collect::<Int64Array>()),
        Arc::new(
            taken()
                .map(|record| record.timestamp.map(|millis| millis * 1_000))
                .collect::<TimestampMicrosecondArray>(),
        ),
        Arc::new(keys.finish()),
    ]
}
