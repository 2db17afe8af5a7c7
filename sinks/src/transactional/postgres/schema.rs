//! Tables and indexes in `PostgreSQL`'s SQL. Pure.

use api::Write;

use crate::shape::columns::ColumnType;
use crate::shape::evolution::Dialect;
use crate::shape::layout::Layout;
use crate::sql::{index_name, quote_ident, quote_list};

/// The type as `format_type` writes it.
pub(crate) fn type_name(column_type: &ColumnType) -> String {
    match column_type {
        ColumnType::Boolean => "boolean".to_owned(),
        ColumnType::Int16 => "smallint".to_owned(),
        ColumnType::Int32 => "integer".to_owned(),
        ColumnType::Int64 => "bigint".to_owned(),
        ColumnType::UInt64 => "numeric(20,0)".to_owned(),
        ColumnType::Float32 => "real".to_owned(),
        ColumnType::Float64 => "double precision".to_owned(),
        ColumnType::Text => "text".to_owned(),
        ColumnType::Bytes => "bytea".to_owned(),
        ColumnType::Timestamp { zoned: false } => "timestamp without time zone".to_owned(),
        ColumnType::Timestamp { zoned: true } => "timestamp with time zone".to_owned(),
        ColumnType::Date => "date".to_owned(),
        ColumnType::Time => "time without time zone".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        // `format_type` gives arrays without their element's modifiers.
        ColumnType::List(item) => match type_name(item) {
            name if name.starts_with("numeric") => "numeric[]".to_owned(),
            name => format!("{name}[]"),
        },
        ColumnType::Json => "jsonb".to_owned(),
    }
}

/// The object identifier of a scalar type, which binary arrays carry. These are fixed in every `PostgreSQL`.
pub(super) fn element_oid(column_type: &ColumnType) -> u32 {
    match column_type {
        ColumnType::Boolean => 16,
        ColumnType::Bytes => 17,
        ColumnType::Int64 => 20,
        ColumnType::Int16 => 21,
        ColumnType::Int32 => 23,
        ColumnType::Text => 25,
        ColumnType::Float32 => 700,
        ColumnType::Float64 => 701,
        ColumnType::Date => 1082,
        ColumnType::Time => 1083,
        ColumnType::Timestamp { zoned: false } => 1114,
        ColumnType::Timestamp { zoned: true } => 1184,
        ColumnType::UInt64 | ColumnType::Decimal { .. } => 1700,
        // Columns never have lists of these: they are JSON as a whole.
        ColumnType::List(_) | ColumnType::Json => 3802,
    }
}

/// `PostgreSQL`'s way with types; knows the schema for its remedies.
pub(super) struct PostgresDialect<'a> {
    pub(super) schema: &'a str,
}

impl Dialect for PostgresDialect<'_> {
    fn type_name(&self, layout: &Layout, column: usize) -> String {
        layout
            .columns
            .get(column)
            .map(|column| type_name(&column.column_type))
            .unwrap_or_default()
    }

    /// Types whose binary form and meaning are the same. Instants are UTC throughout, so both kinds of timestamp
    /// hold the same; a `numeric` without limits holds every decimal.
    fn accepts(&self, existing: &str, wanted: &str) -> bool {
        let is_timestamp = |name| matches!(name, "timestamp without time zone" | "timestamp with time zone");
        let is_list = |name: &str| name.ends_with("[]");
        existing == wanted
            || (wanted == "text" && existing.starts_with("character varying") && !is_list(existing))
            || (is_timestamp(wanted) && is_timestamp(existing))
            || (existing == "numeric" && wanted.starts_with("numeric") && !is_list(wanted))
    }

    fn retype(&self, layout: &Layout, column: &str, type_name: &str) -> String {
        let (table, column) = (qualified(self.schema, &layout.name), quote_ident(column));
        format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {type_name} USING {column}::{type_name}")
    }

    fn make_optional(&self, layout: &Layout, column: &str) -> String {
        let (table, column) = (qualified(self.schema, &layout.name), quote_ident(column));
        format!("ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL")
    }
}

/// The table's name with its schema.
pub(super) fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", quote_ident(schema), quote_ident(table))
}

/// `CREATE TABLE`. Only the key's columns must have values: a row that lacks another is still a row.
pub(super) fn create_table(schema: &str, layout: &Layout) -> String {
    let mut parts: Vec<String> = layout
        .columns
        .iter()
        .map(|column| {
            let required = if layout.is_key(&column.name) {
                " NOT NULL"
            } else {
                ""
            };
            format!(
                "{} {}{required}",
                quote_ident(&column.name),
                type_name(&column.column_type)
            )
        })
        .collect();
    if !layout.key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", quote_list(&layout.key)));
    }
    format!(
        "CREATE TABLE {} ({})",
        qualified(schema, &layout.name),
        parts.join(", ")
    )
}

/// `ALTER TABLE … ADD COLUMN`. The column may be NULL: rows that are there have no value for it.
pub(super) fn add_column(schema: &str, layout: &Layout, name: &str, type_name: &str) -> String {
    let table = qualified(schema, &layout.name);
    format!("ALTER TABLE {table} ADD COLUMN {} {type_name}", quote_ident(name))
}

/// An index to be there, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) name: String,
    pub(super) sql: String,
}

/// The manifest's indexes.
pub(super) fn indexes(schema: &str, layout: &Layout) -> Vec<Index> {
    layout
        .indexes
        .iter()
        .map(|columns| index(schema, layout, columns, "btree", "idx"))
        .collect()
}

/// The index that a new append table gets by itself, unless the manifest has one of the time: rows arrive in the order
/// of their times, so that a block range index finds a time span at next to no cost of space and writing.
pub(super) fn time_index(schema: &str, layout: &Layout) -> Option<Index> {
    let is_time = |column_type: &ColumnType| matches!(column_type, ColumnType::Timestamp { .. });
    let column = layout
        .columns
        .iter()
        .find(|column| is_time(&column.column_type))?;
    let indexed = layout
        .indexes
        .iter()
        .any(|columns| columns.first() == Some(&column.name));
    (matches!(layout.write, Some(Write::Append)) && !indexed).then(|| {
        let columns = std::slice::from_ref(&column.name);
        index(schema, layout, columns, "brin", "brin")
    })
}

fn index(schema: &str, layout: &Layout, columns: &[String], method: &str, suffix: &str) -> Index {
    let name = index_name(&layout.name, columns, suffix);
    let sql = format!(
        "CREATE INDEX {} ON {} USING {method} ({})",
        quote_ident(&name),
        qualified(schema, &layout.name),
        quote_list(columns)
    );
    Index { name, sql }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::{Table, TableName};
    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

    use super::*;
    use crate::TableDefinition;

    fn layout(write: Write, indexes: Vec<Vec<String>>) -> Layout {
        let fields = vec![
            Field::new("user_id", DataType::Int32, true),
            Field::new("at", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
            Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
            Field::new("pri\"ce", DataType::Decimal128(10, 2), true),
        ];
        let table = Table {
            name: TableName::new("plays").unwrap(),
            sql: String::new(),
            write,
            indexes,
        };
        Layout::of_table(&TableDefinition {
            table,
            schema: Arc::new(Schema::new(fields)),
        })
        .unwrap()
    }

    #[test]
    fn tables_are_created_with_their_key_and_types() {
        let key = vec!["user_id".to_owned()];
        assert_eq!(
            create_table("music", &layout(Write::InsertOnce { key }, vec![])),
            "CREATE TABLE \"music\".\"plays\" (\"user_id\" integer NOT NULL, \"at\" timestamp without time zone, \
             \"tags\" text[], \"pri\"\"ce\" numeric(10,2), PRIMARY KEY (\"user_id\"))"
        );
        assert!(!create_table("music", &layout(Write::Append, vec![])).contains("NOT NULL"));
    }

    #[test]
    fn append_tables_get_a_time_index_and_keyed_ones_do_not() {
        let index = time_index("music", &layout(Write::Append, vec![])).unwrap();
        assert_eq!(
            index.sql,
            "CREATE INDEX \"plays__at_brin\" ON \"music\".\"plays\" USING brin (\"at\")"
        );
        let key = vec!["user_id".to_owned()];
        let by = |columns: &[&str]| vec![columns.iter().map(|&column| column.to_owned()).collect()];
        for (write, indexes, expected) in [
            (Write::InsertOnce { key }, vec![], false),
            (Write::Append, by(&["at"]), false),
            (Write::Append, by(&["user_id", "at"]), true),
        ] {
            assert_eq!(time_index("music", &layout(write, indexes)).is_some(), expected);
        }
    }

    #[test]
    fn only_types_that_hold_the_same_values_are_accepted() {
        let dialect = PostgresDialect { schema: "public" };
        for (existing, wanted, accepted) in [
            ("bigint", "bigint", true),
            ("bigint", "integer", false),
            ("double precision", "bigint", false),
            ("character varying(20)", "text", true),
            ("character varying[]", "text", false),
            (
                "timestamp with time zone[]",
                "timestamp without time zone[]",
                false,
            ),
            ("text", "bytea", false),
            ("timestamp with time zone", "timestamp without time zone", true),
            ("numeric", "numeric(10,2)", true),
            ("numeric(8,2)", "numeric(10,2)", false),
            ("numeric", "bigint", false),
        ] {
            assert_eq!(
                dialect.accepts(existing, wanted),
                accepted,
                "{existing} for {wanted}"
            );
        }
        assert_eq!(
            dialect.retype(&layout(Write::Append, vec![]), "at", "bigint"),
            "ALTER TABLE \"public\".\"plays\" ALTER COLUMN \"at\" TYPE bigint USING \"at\"::bigint"
        );
    }
}
