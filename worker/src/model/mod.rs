//! Models: tables that are made anew from the pipeline's other tables, whenever their schedule says so.
//!
//! A run reads what is stored, and replaces the rows of the model's table in one transaction: whoever reads meanwhile
//! sees the last run's rows, a run that fails leaves them, and one that is repeated over the same rows gives the same.

mod choices;
mod recommend;
mod recommender;

use api::{Model, ModelKind, Pipeline};
use arrow::datatypes::SchemaRef;
use recommender::RecommenderTable;

use crate::sql::PlanError;
use sinks::{Sink, SinkError, TableDefinition};

/// What is wrong with the models, as far as it can be told without the sink.
pub(crate) fn check(pipeline: &Pipeline, tables: &[TableDefinition]) -> Vec<PlanError> {
    let models = pipeline.models.iter().enumerate();
    models
        .filter_map(|(index, model)| match &model.kind {
            ModelKind::Sql(_) => None,
            ModelKind::Recommender(columns) => {
                recommender::check(columns, tables, &format!("spec.models[{index}].recommender"))
            }
        })
        .collect()
}

/// The tables of recommenders with their columns; those of a query only the sink knows.
pub(crate) fn recommenders(models: &[Model], tables: &[TableDefinition]) -> Vec<(String, SchemaRef)> {
    let recommenders = models.iter().filter_map(|model| match &model.kind {
        ModelKind::Sql(_) => None,
        ModelKind::Recommender(columns) => RecommenderTable::new(model, columns, tables),
    });
    let definitions = recommenders.map(|table| table.definition(""));
    definitions
        .map(|table| (table.name.to_string(), table.schema))
        .collect()
}

/// Creates the models' tables, empty, where they are missing. In the manifest's order: a query may read the tables of
/// models before it. Gives a line for each thing done.
///
/// # Errors
/// A query that the sink refuses, or a sink that cannot be reached.
pub async fn prepare(
    models: &[Model],
    tables: &[TableDefinition],
    sink: &Sink,
) -> Result<Vec<String>, SinkError> {
    let mut done = Vec::new();
    for (index, model) in models.iter().enumerate() {
        let prepared = match &model.kind {
            ModelKind::Sql(sql) => sink.prepare_model(model.name.as_str(), sql).await,
            ModelKind::Recommender(columns) => match RecommenderTable::new(model, columns, tables) {
                Some(recommender) => sink.prepare_reference(&recommender.definition("")).await,
                None => Ok(Vec::new()),
            },
        };
        done.extend(prepared.map_err(|error| SinkError {
            context: format!("spec.models[{index}]: {}", error.context),
            ..error
        })?);
    }
    Ok(done)
}

/// Runs a model once. Gives the number of rows that its table has now.
///
/// # Errors
/// What a person must fix, or a sink that cannot be reached; the rows of the last run stay.
pub async fn run(model: &Model, tables: &[TableDefinition], sink: &Sink) -> Result<u64, SinkError> {
    match &model.kind {
        ModelKind::Sql(sql) => sink.run_model(model.name.as_str(), sql).await,
        ModelKind::Recommender(columns) => match RecommenderTable::new(model, columns, tables) {
            Some(recommender) => recommender.run(sink).await,
            None => Ok(0),
        },
    }
}
