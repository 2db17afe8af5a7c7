//! Whether a sink can be used, before anything is written into it.

use runtime::secrets::Secrets;

use crate::transactional::{postgres, sqlite};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// For a person: "schema public".
    pub subject: String,
    /// How it is, or what is wrong with it and the remedy.
    pub outcome: Result<String, String>,
}

/// Looks whether the pipeline's sink can be used. Nothing is made or changed.
pub async fn preflight(pipeline: &api::Pipeline, secrets: &Secrets) -> Vec<Check> {
    let place = pipeline.sink.place();
    match &pipeline.sink {
        api::Sink::Postgres(sink) => postgres::preflight(&pipeline.name, sink, place, secrets).await,
        api::Sink::Sqlite(sink) => vec![sqlite::preflight(sink, place)],
    }
}
