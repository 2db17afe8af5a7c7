//! Tables and statements in `SQLite`'s SQL. Pure.

use api::{MergeColumn, MergeFunction, Write};

use crate::shape::columns::ColumnType;
use crate::shape::evolution::Dialect;
use crate::shape::layout::Layout;
use crate::sql::{index_name, join, quote_ident, quote_list};

/// Most parameters that `SQLite` takes in one statement.
const MOST_PARAMETERS: usize = 32_766;
/// Rows of one statement beyond which it gets no faster.
const MOST_ROWS: usize = 500;

/// The type of a strict table's column.
pub(crate) fn type_name(column_type: &ColumnType) -> &'static str {
    match column_type {
        ColumnType::Boolean
        | ColumnType::Int16
        | ColumnType::Int32
        | ColumnType::Int64
        | ColumnType::UInt64 => "INTEGER",
        ColumnType::Float32 | ColumnType::Float64 | ColumnType::Decimal { .. } => "REAL",
        ColumnType::Text
        | ColumnType::Timestamp { .. }
        | ColumnType::Date
        | ColumnType::Time
        | ColumnType::List(_)
        | ColumnType::Json => "TEXT",
        ColumnType::Bytes => "BLOB",
    }
}

/// `SQLite`'s way with types.
pub(super) struct SqliteDialect;

impl Dialect for SqliteDialect {
    fn type_name(&self, layout: &Layout, column: usize) -> String {
        let column = layout.columns.get(column);
        column.map_or_else(String::new, |column| type_name(&column.column_type).to_owned())
    }

    fn accepts(&self, existing: &str, wanted: &str) -> bool {
        existing.eq_ignore_ascii_case(wanted)
    }

    fn retype(&self, layout: &Layout, _column: &str, _type_name: &str) -> String {
        let (table, old) = (
            quote_ident(&layout.name),
            quote_ident(&format!("{}_old", layout.name)),
        );
        format!("put the table aside, so that it is made anew: ALTER TABLE {table} RENAME TO {old}")
    }

    fn make_optional(&self, layout: &Layout, column: &str) -> String {
        self.retype(layout, column, "")
    }
}

/// `CREATE TABLE`. Tables with a key have no row number besides: an INTEGER key would be taken for it, and a NULL
/// in it for the next number.
pub(super) fn create_table(layout: &Layout) -> String {
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
    let mut options = "STRICT";
    if !layout.key.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", quote_list(&layout.key)));
        options = "STRICT, WITHOUT ROWID";
    }
    format!(
        "CREATE TABLE {} ({}) {options}",
        quote_ident(&layout.name),
        parts.join(", ")
    )
}

/// Names and statements of the manifest's indexes.
pub(super) fn indexes(layout: &Layout) -> Vec<(String, String)> {
    let index = |columns: &Vec<String>| {
        let name = index_name(&layout.name, columns, "idx");
        let (quoted, table) = (quote_ident(&name), quote_ident(&layout.name));
        (
            name,
            format!("CREATE INDEX {quoted} ON {table} ({})", quote_list(columns)),
        )
    };
    layout.indexes.iter().map(index).collect()
}

/// How many rows one statement writes at most.
pub(super) fn rows_per_statement(layout: &Layout) -> usize {
    (MOST_PARAMETERS / layout.columns.len().max(1)).clamp(1, MOST_ROWS)
}

/// Writes `rows` rows. `SQLite` takes them one after the other, so that rows of one batch with the same key need no
/// treatment of their own.
pub(super) fn insert(layout: &Layout, rows: usize) -> String {
    let row = format!("({})", vec!["?"; layout.columns.len()].join(", "));
    format!(
        "INSERT INTO {} AS target ({}) VALUES {}{}",
        quote_ident(&layout.name),
        quote_list(layout.names()),
        vec![row; rows].join(", "),
        on_conflict(layout)
    )
}

fn on_conflict(layout: &Layout) -> String {
    let key = quote_list(&layout.key);
    let (set, only_if) = match &layout.write {
        None | Some(Write::Append) => return String::new(),
        Some(Write::InsertOnce { .. }) => (String::new(), String::new()),
        Some(Write::Upsert { latest_by, .. }) => {
            let set = join(layout.values(), ", ", |name| {
                let name = quote_ident(name);
                format!("{name} = excluded.{name}")
            });
            let only_if = latest_by
                .as_deref()
                .map(quote_ident)
                .map_or_else(String::new, |latest| {
                    format!(" WHERE target.{latest} IS NULL OR excluded.{latest} >= target.{latest}")
                });
            (set, only_if)
        }
        Some(Write::Merge { columns, .. }) => (
            columns.iter().map(combine).collect::<Vec<_>>().join(", "),
            String::new(),
        ),
    };
    if set.is_empty() {
        format!(" ON CONFLICT ({key}) DO NOTHING")
    } else {
        format!(" ON CONFLICT ({key}) DO UPDATE SET {set}{only_if}")
    }
}

/// The stored value and the row's become one. NULL is no value, but makes + , min and max NULL.
fn combine(merge: &MergeColumn) -> String {
    let name = quote_ident(&merge.name);
    let (stored, new) = (format!("target.{name}"), format!("excluded.{name}"));
    let both = match merge.function {
        MergeFunction::Sum => format!("{stored} + {new}"),
        MergeFunction::Min => format!("min({stored}, {new})"),
        MergeFunction::Max => format!("max({stored}, {new})"),
    };
    format!("{name} = coalesce({both}, {stored}, {new})")
}
