//! From a manifest to plans that run: its SQL, with the references that it joins.

mod document;

use std::sync::Arc;

use api::Pipeline;
use arrow::datatypes::SchemaRef;

use crate::model;
use crate::reference::{self, ReferenceError};
use crate::sql::{PlanError, Plans};

pub use self::document::{DocumentError, document, plan_again};

/// Why a pipeline cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanningError {
    /// Some tables' SQL, or what models name of them, is refused.
    #[error("{}", lines(.0))]
    Refused(Vec<PlanError>),
    /// A reference table cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

fn lines(errors: &[PlanError]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whether references are needed with their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Only the columns: enough to check SQL and to create tables.
    Columns,
    /// The rows of the references that SQL joins: enough to run it, over as many batches at a time as the sink takes.
    Rows,
}

/// Plans the pipeline's SQL.
///
/// # Errors
/// What a person must fix.
pub async fn plan(pipeline: &Pipeline, wanted: Wanted) -> Result<Plans, PlanningError> {
    let references = reference::for_sql(pipeline, wanted == Wanted::Rows)?;
    let at_once = match wanted {
        Wanted::Columns => 1,
        Wanted::Rows => concurrency(pipeline),
    };
    let plans = Plans::new(pipeline, references, at_once)
        .await
        .map_err(PlanningError::Refused)?;
    match model::check(pipeline, plans.definitions()) {
        none if none.is_empty() => Ok(plans),
        problems => Err(PlanningError::Refused(problems)),
    }
}

/// The tables that the sink has of a planned pipeline, with their columns; without those of models that are queries, whose
/// columns only the sink knows.
///
/// # Errors
/// A reference that no generator gives.
pub fn stored_tables(pipeline: &Pipeline, plans: &Plans) -> Result<Vec<(String, SchemaRef)>, ReferenceError> {
    let references = reference::for_sql(pipeline, false)?.into_iter();
    let references = references.map(|reference| (reference.name, reference.schema));
    let tables = plans.definitions().iter();
    let tables = tables.map(|table| (table.table.name.to_string(), Arc::clone(&table.schema)));
    let recommenders = model::recommenders(&pipeline.models, plans.definitions());
    Ok(references.chain(tables).chain(recommenders).collect())
}

/// Most batches that are decoded while others are written.
const DECODED_AHEAD: usize = 2;

/// Batches that are worked on at the same time: while the sink is busy with as many as it takes, the processors have
/// the next ones to decode. More of those than are written would only wait.
pub(crate) fn concurrency(pipeline: &Pipeline) -> usize {
    let written = pipeline.sink.parallel_batches();
    written.saturating_add(written.min(DECODED_AHEAD))
}
