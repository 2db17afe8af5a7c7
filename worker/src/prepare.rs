//! Makes the sink ready for the worker: tables, the rows of reference tables, and the tables of models.

use api::Pipeline;
use runtime::secrets::Secrets;

use crate::model;
use crate::plan::{Wanted, plan};
use crate::reference::ReferenceTables;
use crate::run::WorkerError;
use sinks::Sink;

/// Creates what is missing and loads what has changed. Safe to repeat, and safe to run next to itself.
/// `report` is given a line for each thing done.
///
/// # Errors
/// What a person must fix, or a sink that cannot be reached: the caller retries or gives up.
pub async fn prepare(
    pipeline: &Pipeline,
    secrets: &Secrets,
    mut report: impl FnMut(String),
) -> Result<(), WorkerError> {
    let plans = plan(pipeline, Wanted::Columns).await?;
    let sink = Sink::open(pipeline, plans.definitions().to_vec(), secrets).await?;
    sink.prepare().await?.into_iter().for_each(&mut report);
    let references = ReferenceTables::load(pipeline)?;
    for (index, reference) in references.iter() {
        let definition = references.definition(index, reference)?;
        let rows = references
            .rows(index, reference)?
            .map(|batch| batch.map_err(Into::into));
        if let Some(rows) = sink.load_reference(&definition, rows).await? {
            report(format!("loaded {rows} rows into {}", reference.name));
        }
    }
    let models = model::prepare(&pipeline.models, plans.definitions(), &sink).await?;
    models.into_iter().for_each(&mut report);
    Ok(())
}
