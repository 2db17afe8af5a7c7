//! A pipeline's models, ready to run.

use api::{Model, Pipeline};
use runtime::secrets::Secrets;
use sinks::{Sink, SinkError, TableDefinition};

use crate::model;
use crate::plan::{Wanted, plan};
use crate::run::WorkerError;
use crate::sql::Plans;

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

    /// As [`model::run`].
    ///
    /// # Errors
    /// As [`model::run`].
    pub async fn run(&self, model: &Model) -> Result<u64, SinkError> {
        model::run(model, &self.tables, &self.sink).await
    }
}
