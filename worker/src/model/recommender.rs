//! A recommender's table: one row for each user and rank.

use std::sync::Arc;

use api::{Model, Recommender};
use arrow::array::{ArrayRef, Float32Array, Int32Array, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::choices::Choices;
use super::recommend::{Recommended, recommend};
use crate::sql::PlanError;
use sinks::{ReferenceDefinition, Sink, SinkError, TableDefinition};

/// The column that tells a user's first recommendation from the second.
const RANK: &str = "rank";
/// The column that tells how well an item fits.
const SCORE: &str = "score";
/// Rows that are handed to the sink at a time.
const CHUNK: usize = 50_000;

/// A recommender with the types of its columns.
pub(super) struct RecommenderTable<'a> {
    model: &'a Model,
    columns: &'a Recommender,
    schema: SchemaRef,
}

/// What is wrong with the columns that a recommender names.
pub(super) fn check(columns: &Recommender, tables: &[TableDefinition], path: &str) -> Option<PlanError> {
    let table = interactions(columns, tables)?;
    [("user", &columns.user), ("item", &columns.item)]
        .into_iter()
        .find_map(|(member, name)| {
            let problem = |problem: String, remedy: String| PlanError {
                path: format!("{path}.{member}"),
                problem,
                remedy,
            };
            if name == RANK || name == SCORE {
                let said = format!("the recommender's table has a column {name} of its own");
                return Some(problem(
                    said,
                    "rename the column with AS in the table's SQL".to_owned(),
                ));
            }
            match table.schema.field_with_name(name) {
                Err(_) => {
                    let names: Vec<&str> = table
                        .schema
                        .fields()
                        .iter()
                        .map(|field| field.name().as_str())
                        .collect();
                    let said = format!("the table {} has no column {name}", columns.interactions);
                    Some(problem(said, format!("name one of {}", names.join(", "))))
                }
                Ok(field) if field.data_type().is_nested() => {
                    let said = format!("the column {name} holds lists or objects");
                    Some(problem(said, "name a column of single values".to_owned()))
                }
                Ok(_) => None,
            }
        })
}

fn interactions<'a>(columns: &Recommender, tables: &'a [TableDefinition]) -> Option<&'a TableDefinition> {
    tables
        .iter()
        .find(|table| table.table.name == columns.interactions)
}

impl<'a> RecommenderTable<'a> {
    /// `None` for columns that [`check`] refuses.
    pub(super) fn new(
        model: &'a Model,
        columns: &'a Recommender,
        tables: &[TableDefinition],
    ) -> Option<Self> {
        let table = interactions(columns, tables)?;
        let field = |name: &str| {
            let field = table.schema.field_with_name(name).ok()?;
            Some(Field::new(name, field.data_type().clone(), false))
        };
        let schema = Schema::new(vec![
            field(&columns.user)?,
            Field::new(RANK, DataType::Int32, false),
            field(&columns.item)?,
            Field::new(SCORE, DataType::Float32, false),
        ]);
        Some(Self {
            model,
            columns,
            schema: Arc::new(schema),
        })
    }

    /// The table; `run` tells the rows of one run from those of another.
    pub(super) fn definition(&self, run: &str) -> ReferenceDefinition {
        ReferenceDefinition {
            name: self.model.name.clone(),
            key: vec![self.columns.user.clone(), RANK.to_owned()],
            schema: Arc::clone(&self.schema),
            fingerprint: run.to_owned(),
        }
    }

    pub(super) async fn run(&self, sink: &Sink) -> Result<u64, SinkError> {
        let choices = Choices::read(self.columns, sink).await?;
        let top = self.columns.top as usize;
        let run = format!(
            "{}:{top}:{:016x}",
            env!("CARGO_PKG_VERSION"),
            choices.fingerprint()
        );
        let found = tokio::task::spawn_blocking(move || {
            let found = recommend(&choices, top);
            (choices, found)
        });
        let (choices, found) = found.await.map_err(|_| {
            let context = format!("running model {}", self.model.name);
            SinkError::refused(context, "the recommender broke down: a defect; please report it")
        })?;
        let rows = found
            .chunks(CHUNK)
            .map(|rows| self.batch(&choices, rows).map_err(Into::into));
        let loaded = sink.load_reference(&self.definition(&run), rows).await?;
        // The same choices as in the last run: the rows that are there are the answer.
        Ok(loaded.unwrap_or(found.len() as u64))
    }

    fn batch(&self, choices: &Choices, rows: &[Recommended]) -> Result<RecordBatch, ArrowError> {
        let text = |names: &[String], index: fn(&Recommended) -> u32| -> StringArray {
            rows.iter()
                .map(|row| names.get(index(row) as usize).map(String::as_str))
                .collect()
        };
        let typed = |texts: StringArray, column: usize| -> Result<ArrayRef, ArrowError> {
            let refuse = CastOptions {
                safe: false,
                ..CastOptions::default()
            };
            cast_with_options(&texts, self.schema.field(column).data_type(), &refuse)
        };
        RecordBatch::try_new(
            Arc::clone(&self.schema),
            vec![
                typed(text(&choices.users, |row| row.user), 0)?,
                Arc::new(rows.iter().map(|row| row.rank).collect::<Int32Array>()),
                typed(text(&choices.items, |row| row.item), 2)?,
                Arc::new(rows.iter().map(|row| row.score).collect::<Float32Array>()),
            ],
        )
    }
}
