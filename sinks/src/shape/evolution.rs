//! What is to be done about a table that is there already: nothing, columns to add, or a refusal that says the
//! remedy. Nothing that could lose or reinterpret stored values is ever done by itself.

use super::layout::Layout;

/// A table as the database has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Existing {
    pub(crate) columns: Vec<ExistingColumn>,
    /// Columns of the primary key.
    pub(crate) key: Vec<String>,
}

/// A column as the database has it.
#[derive(Debug, Clone)]
pub(crate) struct ExistingColumn {
    pub(crate) name: String,
    /// As the database writes it.
    pub(crate) type_name: String,
    /// Neither NULL nor a default is possible: a row without it is refused.
    pub(crate) required: bool,
    /// Computed by the database: a row with it is refused.
    pub(crate) generated: bool,
}

/// How one kind of database writes types and changes tables.
pub(crate) trait Dialect {
    /// The type of the layout's column with this index, as the database writes it.
    fn type_name(&self, layout: &Layout, column: usize) -> String;
    /// Whether a column of the existing type takes values of the wanted one without changing them.
    fn accepts(&self, existing: &str, wanted: &str) -> bool;
    /// A statement for a person: it gives the column this type.
    fn retype(&self, layout: &Layout, column: &str, type_name: &str) -> String;
    /// A statement for a person: rows without this column are taken after it.
    fn make_optional(&self, layout: &Layout, column: &str) -> String;
}

/// Indexes of the layout's columns that the existing table lacks, or why the table cannot be used.
pub(crate) fn evolve(
    layout: &Layout,
    existing: &Existing,
    dialect: &dyn Dialect,
) -> Result<Vec<usize>, String> {
    key_fits(layout, existing)?;
    let mut missing = Vec::new();
    for (index, column) in layout.columns.iter().enumerate() {
        let wanted = dialect.type_name(layout, index);
        let Some(there) = existing.columns.iter().find(|there| there.name == column.name) else {
            missing.push(index);
            continue;
        };
        if there.generated {
            return Err(format!(
                "column {} is computed by the database, but the pipeline's SQL gives it too: leave it out of the SQL",
                there.name
            ));
        }
        if !dialect.accepts(&there.type_name, &wanted) {
            return Err(format!(
                "column {} is {}, the pipeline's SQL gives {wanted}: cast it in the SQL, or {}",
                there.name,
                there.type_name,
                dialect.retype(layout, &there.name, &wanted)
            ));
        }
    }
    let unwritten = |there: &&ExistingColumn| there.required && layout.column(&there.name).is_none();
    match existing.columns.iter().find(unwritten) {
        None => Ok(missing),
        Some(there) => Err(format!(
            "column {} must have a value, but the pipeline's SQL does not give it: select it in the SQL, or {}",
            there.name,
            dialect.make_optional(layout, &there.name)
        )),
    }
}

/// The wanted key is the primary key; a table that wants none may have one of columns that it does not write.
fn key_fits(layout: &Layout, existing: &Existing) -> Result<(), String> {
    let same = existing.key.len() == layout.key.len() && existing.key.iter().all(|name| layout.is_key(name));
    let foreign = layout.key.is_empty() && existing.key.iter().all(|name| layout.column(name).is_none());
    if same || foreign {
        return Ok(());
    }
    let list = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => format!("({})", names.join(", ")),
    };
    Err(format!(
        "its primary key is {}, the manifest's key is {}: write to a table of another name, or move this one's rows to \
         a table that has the manifest's key",
        list(&existing.key),
        list(&layout.key)
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::{TableName, Write};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::TableDefinition;

    struct Plain;

    impl Dialect for Plain {
        fn type_name(&self, layout: &Layout, column: usize) -> String {
            format!("{:?}", layout.columns[column].column_type).to_lowercase()
        }
        fn accepts(&self, existing: &str, wanted: &str) -> bool {
            existing == wanted
        }
        fn retype(&self, _: &Layout, column: &str, type_name: &str) -> String {
            format!("make {column} {type_name}")
        }
        fn make_optional(&self, _: &Layout, column: &str) -> String {
            format!("free {column}")
        }
    }

    /// A table (a text, b int32) with this key.
    fn layout(key: &[&str]) -> Layout {
        let key: Vec<String> = key.iter().map(|&name| name.to_owned()).collect();
        let table = api::Table {
            name: TableName::new("t").unwrap(),
            sql: String::new(),
            write: if key.is_empty() {
                Write::Append
            } else {
                Write::InsertOnce { key }
            },
            indexes: vec![],
        };
        let fields = vec![
            Field::new("a", DataType::Utf8, true),
            Field::new("b", DataType::Int32, true),
        ];
        Layout::of_table(&TableDefinition {
            table,
            schema: Arc::new(Schema::new(fields)),
        })
        .unwrap()
    }

    /// `name type` with `!` for required and `=` for generated.
    fn existing(key: &[&str], columns: &[&str]) -> Existing {
        let column = |text: &&str| {
            let (name, type_name) = text.split_once(' ').unwrap();
            ExistingColumn {
                name: name.to_owned(),
                type_name: type_name.trim_end_matches(['!', '=']).to_owned(),
                required: text.ends_with('!'),
                generated: text.ends_with('='),
            }
        };
        Existing {
            columns: columns.iter().map(column).collect(),
            key: key.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn columns_are_added_and_nothing_else_is_changed() {
        for (layout, existing, expected) in [
            (layout(&[]), existing(&[], &["b int32", "a text"]), Ok(vec![])),
            (layout(&[]), existing(&[], &["a text"]), Ok(vec![1])),
            (
                layout(&["a"]),
                existing(&["a"], &["a text!", "b int32", "old text"]),
                Ok(vec![]),
            ),
            (
                layout(&["a", "b"]),
                existing(&["b", "a"], &["a text!", "b int32!"]),
                Ok(vec![]),
            ),
            (
                layout(&[]),
                existing(&["id"], &["id int64", "a text", "b int32"]),
                Ok(vec![]),
            ),
            (
                layout(&[]),
                existing(&["a"], &["a text!", "b int32"]),
                Err("its primary key is (a), the manifest's key is none: write to a table"),
            ),
            (
                layout(&["a", "b"]),
                existing(&["a"], &["a text!", "b int32"]),
                Err("its primary key is (a), the manifest's key is (a, b): write"),
            ),
            (
                layout(&["a"]),
                existing(&[], &["a text", "b int32"]),
                Err("its primary key is none, the manifest's key is (a): write"),
            ),
            (
                layout(&[]),
                existing(&[], &["a text", "b int64"]),
                Err("column b is int64, the pipeline's SQL gives int32: cast it in the SQL, or make b int32"),
            ),
            (
                layout(&[]),
                existing(&[], &["a text", "b int32", "c text!"]),
                Err(
                    "column c must have a value, but the pipeline's SQL does not give it: select it in the SQL, or free c",
                ),
            ),
            (
                layout(&[]),
                existing(&[], &["a text="]),
                Err("column a is computed by the database"),
            ),
        ] {
            match (evolve(&layout, &existing, &Plain), expected) {
                (Ok(missing), Ok(expected)) => assert_eq!(missing, expected),
                (Err(problem), Err(expected)) => assert!(problem.starts_with(expected), "{problem}"),
                (found, expected) => panic!("expected {expected:?}, found {found:?}"),
            }
        }
    }
}
