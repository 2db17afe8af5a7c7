//! Rows of text cells into columns, with the same rules as JSON strings where they are alike.

use std::sync::Arc;

use api::{Field, TimestampFormat};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use serde::de::Visitor;

use super::column::{Column, Values, arrow_fields};
use super::json::Value;

/// Decodes rows of text cells, as a CSV file has them.
#[derive(Debug)]
pub(crate) struct TextDecoder {
    schema: SchemaRef,
    columns: Vec<Column>,
}

impl TextDecoder {
    pub(crate) fn new(fields: &[Field]) -> Self {
        let columns = fields
            .iter()
            .map(|field| Column::new(&field.data_type, 0))
            .collect();
        Self {
            schema: Arc::new(Schema::new(arrow_fields(fields))),
            columns,
        }
    }

    /// Adds a row; the error has the index of the field that does not fit.
    pub(crate) fn push<'a>(
        &mut self,
        cells: impl Iterator<Item = Option<&'a str>>,
    ) -> Result<(), (usize, String)> {
        for (index, (column, cell)) in self.columns.iter_mut().zip(cells).enumerate() {
            let pushed = match cell {
                Some(cell) => push_text(column, cell),
                None => Value(column).visit_unit::<serde::de::value::Error>(),
            };
            pushed.map_err(|error| (index, error.to_string()))?;
        }
        Ok(())
    }

    /// The rows since the last call.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(
            Arc::clone(&self.schema),
            self.columns.iter_mut().map(Column::finish).collect(),
        )
    }
}

fn push_text(column: &mut Column, text: &str) -> Result<(), serde::de::value::Error> {
    match &column.values {
        Values::Float(_) | Values::Double(_) => match text.trim().parse::<f64>() {
            Ok(number) => Value(column).visit_f64(number),
            Err(_) => Value(column).visit_str(text),
        },
        Values::Boolean(_) => match text.trim() {
            "true" | "True" | "TRUE" | "1" => Value(column).visit_bool(true),
            "false" | "False" | "FALSE" | "0" => Value(column).visit_bool(false),
            _ => Value(column).visit_str(text),
        },
        Values::Timestamp(TimestampFormat::Milliseconds | TimestampFormat::Seconds, _) => {
            match text.trim().parse() {
                Ok(number) => Value(column).visit_i64(number),
                Err(_) => Value(column).visit_str(text),
            }
        }
        _ => Value(column).visit_str(text),
    }
}
