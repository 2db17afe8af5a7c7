//! Reports over tables that `DataFusion` holds: for stores without an SQL of their own.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use datafusion::common::{ScalarValue, TableReference};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::report::Question;
use crate::sql::{self, Placeholder, Refusal, Tables};
use sinks::answer::{Answer, Column, Dialect, Kind, Value};

/// Rows of a table.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The table's name.
    pub table: String,
    /// Its rows, of the schema that the pipeline's SQL gives.
    pub batches: Vec<RecordBatch>,
}

/// Answers a question in `DataFusion`'s SQL over the rows.
///
/// # Errors
/// SQL that is refused, or that fails over these rows.
pub async fn run(
    question: &Question,
    tables: &Tables,
    rows: &[Rows],
    values: &[(&str, Value)],
) -> Result<Answer, Refusal> {
    let mut config = SessionConfig::new();
    // It takes a column that is known not to be NULL for another one, and refuses grouped queries that are right.
    config
        .options_mut()
        .execution
        .skip_physical_aggregate_schema_check = true;
    let context = SessionContext::new_with_config(config);
    let failed = |error: DataFusionError| Refusal::of(&error);
    for rows in rows {
        let table = table(tables, rows).map_err(failed)?;
        context
            .register_table(TableReference::bare(rows.table.as_str()), Arc::new(table))
            .map_err(failed)?;
    }
    let placeholders: Vec<Placeholder> = values
        .iter()
        .map(|(name, value)| placeholder(name, value))
        .collect();
    let plan = sql::plan(&context, &question.sql, &placeholders).await?;
    let frame = context.execute_logical_plan(plan).await.map_err(failed)?;
    let names: Vec<String> = frame
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let columns = question.columns.clone().unwrap_or_else(|| {
        let text = |name| Column {
            name,
            kind: Kind::Text,
        };
        names.into_iter().map(text).collect()
    });
    let batches = frame.collect().await.map_err(failed)?;
    let mut rows = Vec::new();
    for batch in &batches {
        let arrays: Result<Vec<Vec<Value>>, ArrowError> = batch.columns().iter().map(values_of).collect();
        let arrays = arrays.map_err(|error| failed(error.into()))?;
        for row in 0..batch.num_rows() {
            rows.push(
                arrays
                    .iter()
                    .map(|array| array.get(row).cloned().unwrap_or(Value::Null))
                    .collect(),
            );
        }
    }
    let answer = Answer {
        columns: Vec::new(),
        rows,
        dialect: Dialect::DataFusion,
    };
    Ok(answer.into_kinds(columns))
}

fn table(tables: &Tables, rows: &Rows) -> Result<MemTable, DataFusionError> {
    let schema = tables
        .columns(&rows.table)
        .unwrap_or_else(|| Arc::new(Schema::empty()));
    let batches: Result<Vec<RecordBatch>, ArrowError> = rows
        .batches
        .iter()
        .map(|batch| {
            let columns: Result<Vec<ArrayRef>, ArrowError> = schema
                .fields()
                .iter()
                .zip(batch.columns())
                .map(|(field, array)| cast(array, field.data_type()))
                .collect();
            RecordBatch::try_new(Arc::clone(&schema), columns?)
        })
        .collect();
    MemTable::try_new(schema, vec![batches?])
}

fn placeholder(name: &str, value: &Value) -> Placeholder {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, None);
    let value = match value {
        Value::Null => ScalarValue::Null,
        Value::Boolean(value) => ScalarValue::from(*value),
        Value::Integer(number) => ScalarValue::from(*number),
        Value::Float(number) => ScalarValue::from(*number),
        Value::Decimal(text) => ScalarValue::try_from_string(text.clone(), &DataType::Decimal128(38, 10))
            .unwrap_or(ScalarValue::Null),
        Value::Text(text) => ScalarValue::from(text.as_str()),
        Value::Timestamp(micros) => ScalarValue::TimestampMicrosecond(Some(*micros), None),
        Value::Date(days) => ScalarValue::Date32(Some(*days)),
    };
    let of = match &value {
        ScalarValue::TimestampMicrosecond(..) => instant,
        other => other.data_type(),
    };
    Placeholder {
        name: name.to_owned(),
        of,
        value: Some(value),
    }
}

fn values_of(array: &ArrayRef) -> Result<Vec<Value>, ArrowError> {
    fn each(array: &dyn Array, value: impl Fn(usize) -> Value) -> Vec<Value> {
        (0..array.len())
            .map(|row| {
                if array.is_null(row) {
                    Value::Null
                } else {
                    value(row)
                }
            })
            .collect()
    }
    let to = match array.data_type() {
        DataType::Boolean => DataType::Boolean,
        of if of.is_integer() => DataType::Int64,
        of if of.is_floating() => DataType::Float64,
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        _ => DataType::Utf8,
    };
    let decimal = array.data_type().is_decimal();
    let array = cast(array, &to)?;
    Ok(match to {
        DataType::Boolean => {
            let array = array.as_boolean();
            each(array, |row| Value::Boolean(array.value(row)))
        }
        DataType::Int64 => {
            let array = array.as_primitive::<Int64Type>();
            each(array, |row| Value::Integer(array.value(row)))
        }
        DataType::Float64 => {
            let array = array.as_primitive::<Float64Type>();
            each(array, |row| Value::Float(array.value(row)))
        }
        DataType::Timestamp(..) => {
            let array = array.as_primitive::<TimestampMicrosecondType>();
            each(array, |row| Value::Timestamp(array.value(row)))
        }
        DataType::Date32 => {
            let array = array.as_primitive::<Date32Type>();
            each(array, |row| Value::Date(array.value(row)))
        }
        _ => {
            let array = array.as_string::<i32>();
            each(array, |row| {
                let text = array.value(row).to_owned();
                if decimal {
                    Value::Decimal(text)
                } else {
                    Value::Text(text)
                }
            })
        }
    })
}
