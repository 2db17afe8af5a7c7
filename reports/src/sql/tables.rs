//! The tables that a report may select from, as the planner sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::{Model, ModelKind};
use arrow::datatypes::SchemaRef;
use datafusion::common::TableReference;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::kind::{Stored, portable};
use super::{Placeholder, Planned};

/// Tables by name, with the columns that the pipeline's SQL gives them.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    schemas: BTreeMap<String, SchemaRef>,
}

impl Tables {
    /// A table of the pipeline: its columns as the planned SQL gives them.
    pub fn add(&mut self, name: impl Into<String>, schema: SchemaRef) {
        self.schemas.insert(name.into(), schema);
    }

    /// The pipeline's tables with those of its models. A model's query that cannot be planned here is of the sink's own
    /// SQL: what its table has, only the sink knows.
    pub async fn of(stored: Vec<(String, SchemaRef)>, models: &[Model]) -> Self {
        let mut tables = Self {
            schemas: stored.into_iter().collect(),
        };
        for model in models {
            if let ModelKind::Sql(sql) = &model.kind
                && let Ok(planned) = Planned::new(sql, &tables, &Placeholder::now()).await
            {
                tables.add(model.name.as_str(), planned.schema());
            }
        }
        tables
    }

    /// Their names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.schemas.keys().map(String::as_str)
    }

    /// How a store holds a column.
    pub(super) fn stored(&self, table: &str, column: &str) -> Stored {
        let schema = self.schemas.get(table);
        let field = schema.and_then(|schema| schema.field_with_name(column).ok());
        field.map_or(Stored::Plain, |field| Stored::of(field.data_type()))
    }

    /// A planner that knows the tables, without rows.
    pub(super) fn context(&self) -> Result<SessionContext, DataFusionError> {
        let mut config = SessionConfig::new().with_target_partitions(1);
        // Errors name the place in the SQL.
        config.options_mut().sql_parser.collect_spans = true;
        let context = SessionContext::new_with_config(config);
        for (name, schema) in &self.schemas {
            let table = EmptyTable::new(portable(schema));
            context.register_table(TableReference::bare(name.as_str()), Arc::new(table))?;
        }
        Ok(context)
    }

    /// The columns of a table as portable SQL sees them.
    #[must_use]
    pub fn columns(&self, table: &str) -> Option<SchemaRef> {
        self.schemas.get(table).map(|schema| portable(schema))
    }
}
