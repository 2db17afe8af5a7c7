//! `make bench`: speed next to named baselines, measured in the same run on the same machine.
//!
//! Every figure is the median of [`ROUNDS`] runs. A ratio means something; a figure alone is this machine's.
//! The programs measured are the release binaries next to this one; the servers are the test bed's, with
//! PostgreSQL's `fsync` on and Kafka's JVM as users run it.
//!
//! `bench` measures everything but what needs Python; `bench generator worker start operator python spark` names parts. The
//! baselines `python` and `spark` install their packages once.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod baselines;
mod error;
mod generator;
mod measure;
mod operator;
mod scrape;
mod servers;
mod worker;

use std::process::ExitCode;

use baselines::Ours;
use error::BenchError;
use measure::Row;
use servers::Servers;

/// Runs of each measurement; the median counts.
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(rows) => {
            print!("{}", measure::table(&rows));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<Vec<Row>, BenchError> {
    let parts: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &str| parts.iter().any(|part| part == name);
    // The baselines are compared with figures of the same run.
    let wanted = |name: &str| {
        let compared = matches!(name, "generator" | "worker") && (named("python") || named("spark"));
        parts.is_empty() || named(name) || compared
    };
    let servers = Servers::start().await?;
    let mut rows = Vec::new();
    let mut ours = Ours::default();
    if wanted("generator") {
        rows.extend(generator::to_nowhere(&servers)?);
        rows.extend(generator::to_kafka(&servers, &mut ours).await?);
    }
    if wanted("worker") {
        rows.extend(worker::append(&servers, &mut ours).await?);
        rows.extend(worker::merge(&servers, &mut ours).await?);
    }
    if wanted("start") {
        rows.extend(worker::cold_start(&servers).await?);
    }
    if wanted("operator") {
        rows.extend(operator::thousand(&servers).await?);
    }
    if named("python") {
        rows.extend(baselines::python(&servers, ours).await?);
    }
    if named("spark") {
        rows.extend(baselines::spark(&servers, ours, worker::EVENTS).await?);
    }
    Ok(rows)
}
