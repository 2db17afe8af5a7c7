//! `make bench`: speed next to named baselines, measured in the same run on the same machine.
//!
//! Every figure is the median of [`ROUNDS`] runs. A ratio means something; a figure alone is this machine's.
//! The programs measured are the release binaries next to this one; the servers are the test bed's, with
//! PostgreSQL's `fsync` on and Kafka's JVM as users run it.
//!
//! `bench` measures everything but what needs more than the tests do; `bench generator worker consume start operator
//! instructions python spark` names parts. `instructions` takes valgrind, and the baselines `python` and `spark` install their
//! packages once. With `--against FOLDER`, which has an earlier revision's programs, both revisions are run in turns.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod against;
mod baselines;
mod error;
mod generator;
mod instructions;
mod measure;
mod operator;
mod parts;
mod pipelines;
mod programs;
mod scrape;
mod servers;
mod usage;
mod worker;

use std::process::ExitCode;

use against::Pair;
use baselines::Ours;
use error::BenchError;
use parts::Parts;
use programs::Programs;
use servers::Servers;

/// Runs of each measurement; the median counts.
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(tables) => {
            print!("{tables}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<String, BenchError> {
    let (parts, against) = Parts::parse(std::env::args().skip(1));
    let now = Programs::of_this_tree()?;
    let before = against.map(|folder| Programs::in_folder(&folder)).transpose()?;
    let servers = Servers::start().await?;
    let mut tables = Vec::new();
    if parts.wanted("instructions") {
        let revisions: Vec<&Programs> = before.iter().chain([&now]).collect();
        let counted = instructions::count(&servers, &revisions).await?;
        tables.push(instructions::table(&revisions, &counted));
    }
    if let Some(before) = before {
        let pair = Pair { before, now };
        let rows = against::compare(&servers, &pair, &parts).await?;
        if !rows.is_empty() {
            tables.push(measure::comparison_table(&pair.before.revision, &rows));
        }
    } else {
        let rows = beside_baselines(&servers, &now, &parts).await?;
        if !rows.is_empty() {
            tables.push(measure::table(&rows));
        }
    }
    Ok(tables.join("\n"))
}

async fn beside_baselines(
    servers: &Servers,
    programs: &Programs,
    parts: &Parts,
) -> Result<Vec<measure::Row>, BenchError> {
    let mut rows = Vec::new();
    let mut ours = Ours::default();
    if parts.wanted("generator") {
        rows.extend(generator::alone(servers, programs)?);
        rows.extend(generator::beside_kafkas(servers, programs, &mut ours).await?);
    }
    if parts.wanted("worker") {
        rows.extend(worker::append(servers, programs, &mut ours).await?);
        rows.extend(worker::merge(servers, programs, &mut ours).await?);
    }
    if parts.wanted("consume") {
        rows.extend(worker::consume(servers, programs).await?);
    }
    if parts.wanted("start") {
        rows.extend(worker::cold_start(servers, programs).await?);
    }
    if parts.wanted("operator") {
        rows.extend(operator::thousand(servers, programs).await?);
    }
    if parts.wanted("python") {
        rows.extend(baselines::python(servers, ours).await?);
    }
    if parts.wanted("spark") {
        rows.extend(baselines::spark(servers, ours, worker::EVENTS).await?);
    }
    Ok(rows)
}
