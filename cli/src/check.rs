//! Everything about a pipeline's tables that can be said without a server.

use std::path::Path;

use api::{Pipeline, SqliteSink};
use runtime::secrets::Secrets;
use sinks::{Sink, SinkError};
use worker::plan::{PlanningError, Wanted, plan};
use worker::run::WorkerError;
use worker::sql::Plans;

use crate::error::CliError;

/// Plans the SQL, and checks that a sink can hold what it gives. Problems are lines of the manifest `file`.
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
    // Both sinks hold the same kinds of columns, and a SQLite file is not opened before it is used.
    let mut anywhere = pipeline.clone();
    anywhere.sink = api::Sink::Sqlite(SqliteSink {
        path: file.to_owned(),
    });
    let definitions = plans.definitions().to_vec();
    match Sink::open(&anywhere, definitions, &Secrets::new(None, |_| None)).await {
        Ok(_) => Ok(plans),
        Err(error) => Err(CliError::Tables(line(file, pipeline, &error))),
    }
}

/// The sink names the table, a manifest's line has its path.
fn line(file: &Path, pipeline: &Pipeline, error: &SinkError) -> String {
    let table = error.context.strip_prefix("table ");
    let index = table.and_then(|name| {
        pipeline
            .tables
            .iter()
            .position(|table| table.name.as_str() == name)
    });
    let path = index.map_or_else(
        || "spec.tables".to_owned(),
        |index| format!("spec.tables[{index}].sql"),
    );
    format!("{}: {path}: {}", file.display(), error.problem)
}
