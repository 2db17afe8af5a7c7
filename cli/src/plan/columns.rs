//! Columns with their types as the sink writes them.

use api::Sink;
use arrow::datatypes::{DataType, Schema};
use sinks::TableDefinition;

/// A table that the sink will have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PlannedTable {
    /// Name, write mode, key and indexes.
    pub(super) table: api::Table,
    /// Names and types.
    pub(super) columns: Vec<(String, String)>,
}

impl PlannedTable {
    pub(super) fn new(sink: &Sink, definition: &TableDefinition) -> Self {
        let schema: &Schema = &definition.schema;
        let columns = schema
            .fields()
            .iter()
            .map(|field| (field.name().clone(), type_name(sink, field.data_type())));
        Self {
            table: definition.table.clone(),
            columns: columns.collect(),
        }
    }
}

/// The type that the sink gives a column of this Arrow type.
pub(super) fn type_name(sink: &Sink, data_type: &DataType) -> String {
    match sink {
        Sink::Sqlite(_) => sqlite(data_type).to_owned(),
        Sink::Postgres(_) => postgres(data_type),
    }
}

fn postgres(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => "smallint".to_owned(),
        DataType::UInt16 | DataType::Int32 => "integer".to_owned(),
        DataType::UInt32 | DataType::Int64 => "bigint".to_owned(),
        DataType::UInt64 => "numeric(20,0)".to_owned(),
        DataType::Float16 | DataType::Float32 => "real".to_owned(),
        DataType::Float64 => "double precision".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytea".to_owned()
        }
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        DataType::Date32 | DataType::Date64 => "date".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "time".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            match item.data_type() {
                data_type if data_type.is_nested() => "jsonb".to_owned(),
                data_type => format!("{}[]", postgres(data_type)),
            }
        }
        DataType::Struct(_) | DataType::Map(..) => "jsonb".to_owned(),
        DataType::Dictionary(_, value) => postgres(value),
        _ => "text".to_owned(),
    }
}

fn sqlite(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "INTEGER",
        data_type if data_type.is_integer() => "INTEGER",
        data_type if data_type.is_floating() || data_type.is_decimal() => "REAL",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "BLOB"
        }
        DataType::Dictionary(_, value) => sqlite(value),
        _ => "TEXT",
    }
}
