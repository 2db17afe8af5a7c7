//! Everything about a pipeline's tables that can be said without a server.

use std::path::Path;

use api::Pipeline;
use sinks::{SinkError, TableDefinition};
use worker::plan::{PlanningError, Wanted, plan};
use worker::run::WorkerError;
use worker::sql::Plans;

use crate::error::CliError;

/// Plans the SQL, and checks that the sink can hold what it gives. Problems are lines of the manifest `file`.
pub(crate) async fn check(file: &Path, pipeline: &Pipeline) -> Result<Plans, CliError> {
    let plans = match plan(pipeline, Wanted::Columns).await {
        Err(PlanningError::Refused(errors)) => {
            let lines: Vec<String> = errors
                .iter()
                .map(|error| format!("{}: {error}", file.display()))
                .collect();
            return Err(CliError::Tables(lines.join("\n")));
        }
        plans => plans.map_err(WorkerError::from)?,
    };
    for definition in plans.definitions() {
        if let Err(error) = sinks::column_types(&pipeline.sink, definition) {
            return Err(CliError::Tables(line(file, pipeline, definition, &error)));
        }
    }
    Ok(plans)
}

fn line(file: &Path, pipeline: &Pipeline, definition: &TableDefinition, error: &SinkError) -> String {
    let index = pipeline
        .tables
        .iter()
        .position(|table| table.name == definition.table.name);
    let path = index.map_or_else(
        || "spec.tables".to_owned(),
        |index| format!("spec.tables[{index}].sql"),
    );
    format!("{}: {path}: {}", file.display(), error.problem)
}
