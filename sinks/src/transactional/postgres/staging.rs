//! Keyed tables are written through a temporary table: COPY knows no conflicts. Pure SQL texts.

use api::{MergeColumn, MergeFunction, Write};

use super::schema::{qualified, type_name};
use crate::shape::columns::ColumnType;
use crate::shape::layout::Layout;
use crate::sql::{join, quote_ident, quote_list, stable_hash};

/// The temporary table for `layout`. Its name stands for its shape, so that a session never uses one of another
/// shape, whoever made it.
pub(super) fn stage_name(layout: &Layout) -> String {
    let columns = stage_columns(layout);
    let hash = stable_hash([layout.name.as_bytes(), columns.as_bytes()]);
    format!("pg_temp.{}", quote_ident(&format!("sp_stage_{hash:016x}")))
}

fn stage_columns(layout: &Layout) -> String {
    let columns: Vec<String> = layout
        .columns
        .iter()
        .map(|column| format!("{} {}", quote_ident(&column.name), type_name(&column.column_type)))
        .collect();
    columns.join(", ")
}

/// Makes the temporary table. It stays with the session and is emptied by each commit.
pub(super) fn create_stage(layout: &Layout) -> String {
    format!(
        "CREATE TEMPORARY TABLE IF NOT EXISTS {} ({}) ON COMMIT DELETE ROWS",
        stage_name(layout),
        stage_columns(layout)
    )
}

/// Moves the staged rows into the table. `None` for a table that is not keyed.
///
/// Rows are inserted in the key's order, so that transactions that touch the same rows wait for each other
/// instead of deadlocking.
pub(super) fn insert(schema: &str, layout: &Layout) -> Option<String> {
    let table = qualified(schema, &layout.name);
    let stage = stage_name(layout);
    let columns = quote_list(layout.names());
    let key = quote_list(&layout.key);
    let into = format!("INSERT INTO {table} AS target ({columns})");
    Some(match layout.write.as_ref()? {
        Write::Append => return None,
        // The first of the rows with the same key is the one that stays.
        Write::InsertOnce { .. } => {
            format!(
                "{into} SELECT {columns} FROM {stage} ORDER BY {key}, ctid ON CONFLICT ({key}) DO NOTHING"
            )
        }
        Write::Upsert { latest_by, .. } => {
            // Of the rows with the same key the latest is kept, and of equally late ones the last.
            let latest = latest_by.as_deref().map(quote_ident);
            let order = latest
                .as_ref()
                .map_or_else(String::new, |latest| format!(", {latest} DESC NULLS LAST"));
            let unless_older = latest.as_ref().map_or_else(String::new, |latest| {
                format!(" WHERE target.{latest} IS NULL OR excluded.{latest} >= target.{latest}")
            });
            let replaced = join(layout.values(), ", ", |name| {
                let name = quote_ident(name);
                format!("{name} = excluded.{name}")
            });
            let action = if replaced.is_empty() {
                "NOTHING".to_owned()
            } else {
                format!("UPDATE SET {replaced}{unless_older}")
            };
            format!(
                "{into} SELECT DISTINCT ON ({key}) {columns} FROM {stage} ORDER BY {key}{order}, ctid DESC \
                 ON CONFLICT ({key}) DO {action}"
            )
        }
        Write::Merge { columns: merged, .. } => {
            let function = |name: &str| merged.iter().find(|merge| merge.name == name);
            let selected = join(layout.names(), ", ", |name| match function(name) {
                Some(merge) => aggregate(layout, merge),
                None => quote_ident(name),
            });
            let set = join(merged.iter().map(|merge| &merge.name), ", ", |name| {
                function(name).map(combine).unwrap_or_default()
            });
            let action = if set.is_empty() {
                "NOTHING".to_owned()
            } else {
                format!("UPDATE SET {set}")
            };
            format!(
                "{into} SELECT {selected} FROM {stage} GROUP BY {key} ORDER BY {key} ON CONFLICT ({key}) DO {action}"
            )
        }
    })
}

/// A batch's rows with the same key become one. NULL is no value; nothing but NULL stays NULL.
fn aggregate(layout: &Layout, merge: &MergeColumn) -> String {
    let name = quote_ident(&merge.name);
    let boolean = layout
        .column(&merge.name)
        .is_some_and(|column| column.column_type == ColumnType::Boolean);
    match (merge.function, boolean) {
        (MergeFunction::Sum, _) => format!("sum({name})"),
        (MergeFunction::Min, false) => format!("min({name})"),
        (MergeFunction::Max, false) => format!("max({name})"),
        // There is no min or max of booleans, but false is less than true.
        (MergeFunction::Min, true) => format!("bool_and({name})"),
        (MergeFunction::Max, true) => format!("bool_or({name})"),
    }
}

/// The stored value and the batch's become one. NULL is no value: LEAST and GREATEST ignore it, + does not.
fn combine(merge: &MergeColumn) -> String {
    let name = quote_ident(&merge.name);
    let (stored, new) = (format!("target.{name}"), format!("excluded.{name}"));
    match merge.function {
        MergeFunction::Sum => format!("{name} = coalesce({stored} + {new}, {stored}, {new})"),
        MergeFunction::Min => format!("{name} = least({stored}, {new})"),
        MergeFunction::Max => format!("{name} = greatest({stored}, {new})"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::{Table, TableName};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::TableDefinition;

    fn layout(fields: &[(&str, DataType)], write: Write) -> Layout {
        let fields: Vec<Field> = fields
            .iter()
            .map(|(name, data_type)| Field::new(*name, data_type.clone(), true))
            .collect();
        let table = Table {
            name: TableName::new("t").unwrap(),
            sql: String::new(),
            write,
            indexes: vec![],
        };
        let schema = Arc::new(Schema::new(fields));
        Layout::of_table(&TableDefinition { table, schema }).unwrap()
    }

    fn key() -> Vec<String> {
        vec!["b".to_owned(), "a".to_owned()]
    }

    /// Transactions that touch the same rows in different orders would deadlock.
    #[test]
    fn rows_are_inserted_in_the_keys_order() {
        let fields = [
            ("a", DataType::Int32),
            ("b", DataType::Int32),
            ("c", DataType::Int64),
        ];
        let merge = MergeColumn {
            name: "c".to_owned(),
            function: MergeFunction::Sum,
        };
        for write in [
            Write::InsertOnce { key: key() },
            Write::Upsert {
                key: key(),
                latest_by: None,
            },
            Write::Upsert {
                key: key(),
                latest_by: Some("c".to_owned()),
            },
            Write::Merge {
                key: key(),
                columns: vec![merge],
            },
        ] {
            let sql = insert("public", &layout(&fields, write)).unwrap();
            assert!(sql.contains(" ORDER BY \"b\", \"a\""), "{sql}");
        }
        assert_eq!(insert("public", &layout(&fields, Write::Append)), None);
    }

    /// A session may still have the staging table of an earlier manifest.
    #[test]
    fn staging_tables_of_different_shapes_have_different_names() {
        let shapes = [
            vec![("a", DataType::Int32), ("b", DataType::Int32)],
            vec![("a", DataType::Int32), ("b", DataType::Int64)],
            vec![("b", DataType::Int32), ("a", DataType::Int32)],
            vec![
                ("a", DataType::Int32),
                ("b", DataType::Int32),
                ("c", DataType::Int32),
            ],
        ];
        let mut names: Vec<String> = shapes
            .iter()
            .map(|fields| stage_name(&layout(fields, Write::InsertOnce { key: key() })))
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), shapes.len());
    }
}
