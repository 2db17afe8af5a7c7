//! Columns as a manifest names them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::names::unique;
use crate::problem::Collector;

/// A column's name: what every sink takes, quoted or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ColumnName(pub String);

impl ColumnName {
    /// Longest name, PostgreSQL's limit.
    pub(crate) const MAX_LENGTH: usize = 63;
}

impl JsonSchema for ColumnName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ColumnName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "maxLength": Self::MAX_LENGTH })
    }
}

/// A column by itself.
pub(crate) fn column(column: &ColumnName, path: &str, problems: &mut Collector) -> String {
    let name = &column.0;
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !name.starts_with(first) || !name.chars().all(|c| first(c) || c.is_ascii_digit()) {
        problems.add(
            path,
            format!("{name:?} is not a column name"),
            "use letters, digits and '_', not beginning with a digit; rename the column with AS in the SQL",
        );
    }
    name.clone()
}

/// Columns that have to differ.
pub(crate) fn columns(list: &[ColumnName], path: &str, problems: &mut Collector) -> Vec<String> {
    let names: Vec<String> = list
        .iter()
        .enumerate()
        .map(|(index, name)| column(name, &format!("{path}[{index}]"), problems))
        .collect();
    let places = names
        .iter()
        .enumerate()
        .map(|(index, name)| (name.as_str(), format!("{path}[{index}]")));
    unique(places, "column", problems);
    names
}
