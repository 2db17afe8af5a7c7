//! A table as a sink makes and writes it: the manifest's part and the SQL's columns, checked against each other.

use api::{MergeFunction, Write};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;

use super::columns::ColumnType;
use crate::sql::LONGEST_NAME;
use crate::{ReferenceDefinition, SinkError, SinkErrorKind, TableDefinition};

/// A table with its columns.
#[derive(Debug, Clone)]
pub struct Layout {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// The primary key, possibly none.
    pub(crate) key: Vec<String>,
    /// Columns of each secondary index.
    pub(crate) indexes: Vec<Vec<String>>,
    /// How records' rows are written; `None` for a reference, which is only loaded.
    pub(crate) write: Option<Write>,
}

/// A column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) column_type: ColumnType,
}

impl Layout {
    pub(crate) fn of_table(definition: &TableDefinition) -> Result<Self, SinkError> {
        let table = &definition.table;
        Self {
            name: table.name.to_string(),
            columns: columns(table.name.as_str(), &definition.schema)?,
            key: table.write.key().to_vec(),
            indexes: table.indexes.clone(),
            write: Some(table.write.clone()),
        }
        .checked()
    }

    pub(crate) fn of_reference(reference: &ReferenceDefinition) -> Result<Self, SinkError> {
        Self {
            name: reference.name.to_string(),
            columns: columns(reference.name.as_str(), &reference.schema)?,
            key: reference.key.clone(),
            indexes: Vec::new(),
            write: None,
        }
        .checked()
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Names of the columns, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Names of the columns that are not in the key, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| !self.is_key(name))
    }

    pub(crate) fn is_key(&self, name: &str) -> bool {
        self.key.iter().any(|key| key == name)
    }

    /// The batch's arrays in the order and the canonical types of the columns.
    pub(crate) fn arrays(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, SinkError> {
        let context = || format!("writing table {}", self.name);
        if batch.num_columns() != self.columns.len() {
            let problem = format!(
                "the rows have {} columns, the table was opened with {}: restart the worker",
                batch.num_columns(),
                self.columns.len()
            );
            return Err(SinkError::refused(context(), problem));
        }
        self.columns
            .iter()
            .zip(batch.columns())
            .map(|(column, array)| {
                column
                    .column_type
                    .canonical_array(array)
                    .map_err(|error| SinkError {
                        source: Some(Box::new(error)),
                        ..SinkError::new(
                            SinkErrorKind::Row,
                            context(),
                            format!("column {} holds a value that its type cannot", column.name),
                        )
                    })
            })
            .collect()
    }

    fn checked(self) -> Result<Self, SinkError> {
        match self.problem() {
            Some(problem) => Err(SinkError::refused(format!("table {}", self.name), problem)),
            None => Ok(self),
        }
    }

    /// What is wrong with the table, if anything is.
    fn problem(&self) -> Option<String> {
        if self.columns.is_empty() {
            return Some("has no columns: select at least one".to_owned());
        }
        for (index, column) in self.columns.iter().enumerate() {
            if column.name.is_empty() || column.name.len() > LONGEST_NAME {
                let name = &column.name;
                return Some(format!(
                    "column name {name:?} is empty or longer than {LONGEST_NAME} bytes: name it with AS"
                ));
            }
            let twice = |other: &Column| other.name.eq_ignore_ascii_case(&column.name);
            if self.columns.iter().take(index).any(twice) {
                return Some(format!(
                    "column {} is there twice: rename one with AS",
                    column.name
                ));
            }
        }
        let named = [("the key", &self.key)]
            .into_iter()
            .chain(self.indexes.iter().map(|index| ("an index", index)));
        for (place, names) in named {
            if let Some(name) = names.iter().find(|name| self.column(name).is_none()) {
                return Some(self.no_column(place, name));
            }
        }
        match &self.write {
            Some(Write::Upsert {
                latest_by: Some(name),
                ..
            }) => match self.column(name) {
                None => Some(self.no_column("latestBy", name)),
                Some(column) if !column.column_type.is_ordered() => {
                    Some(format!("latestBy: {name} has no order"))
                }
                Some(_) => None,
            },
            Some(Write::Merge { columns, .. }) => self.merge_problem(columns),
            _ => None,
        }
    }

    fn merge_problem(&self, merged: &[api::MergeColumn]) -> Option<String> {
        for merge in merged {
            let Some(column) = self.column(&merge.name) else {
                return Some(self.no_column("merge", &merge.name));
            };
            let (verb, possible) = match merge.function {
                MergeFunction::Sum => ("added up", column.column_type.is_number()),
                MergeFunction::Min | MergeFunction::Max => ("compared", column.column_type.is_ordered()),
            };
            if !possible {
                return Some(format!(
                    "merge: {} cannot be {verb}: cast it in the SQL",
                    merge.name
                ));
            }
        }
        self.values()
            .find(|name| !merged.iter().any(|merge| merge.name == *name))
            .map(|name| format!("merge: say how {name} is merged (sum, min or max), or add it to the key"))
    }

    fn no_column(&self, place: &str, name: &str) -> String {
        let there: Vec<&str> = self.names().collect();
        format!(
            "{place} names the column {name}, which the SQL does not give; it gives {}",
            there.join(", ")
        )
    }
}

fn columns(table: &str, schema: &SchemaRef) -> Result<Vec<Column>, SinkError> {
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| match ColumnType::of(field.data_type()) {
        Some(column_type) => Ok(Column {
            name: field.name().clone(),
            column_type,
        }),
        None => Err(SinkError::refused(
            format!("table {table}"),
            format!(
                "column {} has the type {}, which no sink can hold: cast it in the SQL, for instance CAST({} AS BIGINT)",
                field.name(),
                field.data_type(),
                field.name()
            ),
        )),
    };
    schema.fields().iter().map(column).collect()
}

#[cfg(test)]
mod tests;
