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
use runtime::secrets::Secrets;

use crate::run::{Wanted, WorkerError, plan};
use crate::sql::{PlanError, Plans};
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
/// What a person must mend, or a sink that cannot be reached; the rows of the last run stay.
pub async fn run(model: &Model, tables: &[TableDefinition], sink: &Sink) -> Result<u64, SinkError> {
    match &model.kind {
        ModelKind::Sql(sql) => sink.run_model(model.name.as_str(), sql).await,
        ModelKind::Recommender(columns) => match RecommenderTable::new(model, columns, tables) {
            Some(recommender) => recommender.run(sink).await,
            None => Ok(0),
        },
    }
}

/// A pipeline's models with what they need, for programs that run nothing else.
#[derive(Debug)]
pub struct Models {
    all: Vec<Model>,
    tables: Vec<TableDefinition>,
    sink: Sink,
}

impl Models {
    /// Plans the tables that the models read, and opens the sink.
    ///
    /// # Errors
    /// SQL that is refused, or a secret that is missing.
    pub async fn open(pipeline: &Pipeline, secrets: &Secrets) -> Result<Self, WorkerError> {
        let plans = plan(pipeline, Wanted::Columns).await?;
        let sink = Sink::open(pipeline, plans.definitions().to_vec(), secrets).await?;
        Ok(Self::new(pipeline, &plans, sink))
    }

    /// The models of a pipeline that is planned, in a sink that is open.
    #[must_use]
    pub fn new(pipeline: &Pipeline, plans: &Plans, sink: Sink) -> Self {
        Self {
            all: pipeline.models.clone(),
            tables: plans.definitions().to_vec(),
            sink,
        }
    }

    /// In the manifest's order: a model may read the tables of those before it.
    #[must_use]
    pub fn all(&self) -> &[Model] {
        &self.all
    }

    /// The model of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Model> {
        self.all.iter().find(|model| model.name.as_str() == name)
    }

    /// As [`run`].
    ///
    /// # Errors
    /// As [`run`].
    pub async fn run(&self, model: &Model) -> Result<u64, SinkError> {
        run(model, &self.tables, &self.sink).await
    }
}
