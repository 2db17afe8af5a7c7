//! `make bench`: speed next to named baselines, measured in the same run on the same machine.
//!
//! Every figure is the median of [`ROUNDS`] runs. A ratio means something; a figure alone is this machine's.
//! The programs measured are the release binaries next to this one; the servers are the test bed's, with
//! PostgreSQL's `fsync` on and Kafka's JVM as users run it.

mod error;
mod generator;
mod measure;
mod servers;
mod worker;

use std::process::ExitCode;

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
    let only = std::env::args().nth(1).unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only == name;
    let servers = Servers::start().await?;
    let mut rows = Vec::new();
    if wanted("generator") {
        rows.extend(generator::to_nowhere(&servers)?);
        rows.extend(generator::to_kafka(&servers).await?);
    }
    if wanted("worker") {
        rows.extend(worker::append(&servers).await?);
        rows.extend(worker::merge(&servers).await?);
    }
    if wanted("start") {
        rows.extend(worker::cold_start(&servers).await?);
    }
    Ok(rows)
}
