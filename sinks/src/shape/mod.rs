//! The shape of a table: its columns' types, its key and indexes, and what may change about them. Pure.

pub(crate) mod cast;
pub(crate) mod columns;
pub(crate) mod evolution;
pub(crate) mod layout;

use crate::transactional::{postgres, sqlite};
use crate::{SinkError, TableDefinition};
use columns::ColumnType;
use layout::Layout;

/// The columns that a sink of this kind makes for the table, each with its SQL type. Refuses a table that no such sink
/// can hold. Nothing is connected to.
pub fn column_types(sink: &api::Sink, table: &TableDefinition) -> Result<Vec<(String, String)>, SinkError> {
    let type_name: fn(&ColumnType) -> String = match sink {
        api::Sink::Postgres(_) => postgres::type_name,
        api::Sink::Sqlite(_) => |column_type| sqlite::type_name(column_type).to_owned(),
    };
    let columns = Layout::of_table(table)?.columns.into_iter();
    Ok(columns
        .map(|column| (column.name, type_name(&column.column_type)))
        .collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use api::{PostgresSink, SecretRef, SqliteSink, Table, TableName, TlsMode, Write};
    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

    use super::*;

    fn table(data_type: DataType) -> TableDefinition {
        TableDefinition {
            table: Table {
                name: TableName::new("plays").unwrap(),
                sql: String::new(),
                write: Write::Append,
                indexes: Vec::new(),
            },
            schema: Arc::new(Schema::new(vec![Field::new("c", data_type, true)])),
        }
    }

    #[test]
    fn each_sink_names_its_own_types() {
        let postgres = api::Sink::Postgres(PostgresSink {
            host: "db".to_owned(),
            port: 5432,
            database: "music".to_owned(),
            schema: "public".to_owned(),
            secret: SecretRef {
                name: "db".to_owned(),
            },
            tls: TlsMode::Disable,
            max_connections: 4,
        });
        let sqlite = api::Sink::Sqlite(SqliteSink {
            path: PathBuf::from("music.db"),
        });
        let list = |item| DataType::new_list(item, true);
        for (data_type, in_postgres, in_sqlite) in [
            (DataType::UInt8, "smallint", "INTEGER"),
            (DataType::UInt64, "numeric(20,0)", "INTEGER"),
            (
                DataType::Timestamp(TimeUnit::Nanosecond, None),
                "timestamp without time zone",
                "TEXT",
            ),
            (list(DataType::Decimal128(10, 2)), "numeric[]", "TEXT"),
            (list(list(DataType::Int8)), "jsonb", "TEXT"),
            (DataType::Binary, "bytea", "BLOB"),
        ] {
            for (sink, expected) in [(&postgres, in_postgres), (&sqlite, in_sqlite)] {
                let columns = column_types(sink, &table(data_type.clone())).unwrap();
                assert_eq!(columns, [("c".to_owned(), expected.to_owned())], "{data_type}");
            }
        }
        let error = column_types(&sqlite, &table(DataType::Duration(TimeUnit::Second))).unwrap_err();
        assert!(error.problem.contains("which no sink can hold"), "{error}");
    }
}
