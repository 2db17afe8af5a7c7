//! The worker: from preloaded partitions into PostgreSQL, next to `psql` copying the same rows.

mod consume;
mod drain;

use std::process::Command;
use std::time::Instant;

pub(crate) use self::consume::consume;
pub(crate) use self::drain::{Drained, PROGRAM, Worker, drain, prepare, prepare_if_known};
use crate::ROUNDS;
use crate::baselines::Ours;
use crate::error::{BenchError, io};
use crate::generator::preload;
use crate::measure::{Row, median, median_ratio, rate};
use crate::pipelines::{Pipeline, Table};
use crate::programs::Programs;
use crate::servers::Servers;

/// Records of every measured topic.
pub(crate) const EVENTS: u64 = 5_000_000;
/// Connections of the worker by default, and of psql here.
const WRITERS: usize = 4;

/// Drains a topic into PostgreSQL, whose tables stay as they are, once more.
async fn drain_again(
    servers: &Servers,
    programs: &Programs,
    pipeline: &Pipeline<'_>,
) -> Result<Drained, BenchError> {
    let forget = format!(
        "DELETE FROM streampipeline_offsets WHERE pipeline = '{}'; CHECKPOINT",
        pipeline.name
    );
    servers.execute(&forget).await?;
    let manifest = servers.manifest(pipeline)?;
    drain(
        servers.command(programs, PROGRAM, &manifest, &["run"]),
        pipeline.topic,
        EVENTS,
    )
    .await
}

/// An append table, next to psql's binary COPY of the same rows over as many connections.
pub(crate) async fn append(
    servers: &Servers,
    programs: &Programs,
    figures: &mut Ours,
) -> Result<Vec<Row>, BenchError> {
    let pipeline = Pipeline::new("append", Table::Append);
    preload(servers, programs, &pipeline, EVENTS)?;
    prepare(servers, programs, &pipeline)?;
    let (mut ours, mut theirs, mut memory, mut cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // Not counted: gives psql its files, and both sides a log whose segments exist and a broker that is compiled.
    drain_again(servers, programs, &pipeline).await?;
    for writer in 0..WRITERS {
        let file = copy_file(servers, writer);
        let sql = format!(
            "\\copy (SELECT * FROM plays WHERE user_id % {WRITERS} = {writer}) TO '{file}' (FORMAT binary)"
        );
        psql(servers, &sql)?.wait().map_err(io("psql"))?;
    }
    for _ in 0..ROUNDS {
        servers.execute("TRUNCATE plays").await?;
        let drained = drain_again(servers, programs, &pipeline).await?;
        ours.push(drained.rate);
        memory.push(drained.memory);
        cpu.push(drained.cpu);
        servers.execute("TRUNCATE plays; CHECKPOINT").await?;
        theirs.push(EVENTS as f64 / copy(servers)?);
    }
    let ratio = median_ratio(&ours, &theirs);
    let (ours, theirs) = (median(ours), median(theirs));
    (figures.appended, figures.cpu, figures.memory) = (ours, median(cpu), median(memory));
    Ok(vec![
        Row {
            what: "worker, append table, exactly once, fsync on".to_owned(),
            figure: rate(ours),
            baseline: format!("psql \\copy (FORMAT binary) × {WRITERS}: {}", rate(theirs)),
            ratio: Some(ratio),
            goal: "≥ 0.6".to_owned(),
        },
        Row {
            what: "worker, CPU a record".to_owned(),
            figure: format!("{:.2} µs", figures.cpu),
            baseline: String::new(),
            ratio: None,
            goal: String::new(),
        },
        Row {
            what: "worker, memory at a backlog of 5,000,000".to_owned(),
            figure: format!("{:.0} MB", figures.memory),
            baseline: String::new(),
            ratio: None,
            goal: "≤ 300 MB".to_owned(),
        },
    ])
}

fn copy_file(servers: &Servers, writer: usize) -> String {
    servers
        .folder()
        .join(format!("copy-{writer}"))
        .display()
        .to_string()
}

fn psql(servers: &Servers, sql: &str) -> Result<std::process::Child, BenchError> {
    Command::new("psql")
        .args([&servers.postgres.url(), "--quiet", "--command", sql])
        .spawn()
        .map_err(io("psql, of the package postgresql-client"))
}

/// Copies all files at once; the seconds that it took.
fn copy(servers: &Servers) -> Result<f64, BenchError> {
    let begun = Instant::now();
    let copies: Vec<_> = (0..WRITERS)
        .map(|writer| {
            psql(
                servers,
                &format!(
                    "\\copy plays FROM '{}' (FORMAT binary)",
                    copy_file(servers, writer)
                ),
            )
        })
        .collect::<Result<_, _>>()?;
    for mut copy in copies {
        copy.wait().map_err(io("psql"))?;
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// A merge table: join with a reference, group, add up in the sink.
pub(crate) async fn merge(
    servers: &Servers,
    programs: &Programs,
    figures: &mut Ours,
) -> Result<Vec<Row>, BenchError> {
    let pipeline = Pipeline::new("merge", Table::Merge);
    preload(servers, programs, &pipeline, EVENTS)?;
    prepare(servers, programs, &pipeline)?;
    let mut ours = Vec::new();
    for _ in 0..ROUNDS {
        servers.execute("TRUNCATE plays_by_genre").await?;
        ours.push(drain_again(servers, programs, &pipeline).await?.rate);
    }
    figures.merged = median(ours);
    Ok(vec![Row {
        what: "worker, merge table with a join".to_owned(),
        figure: rate(figures.merged),
        baseline: String::new(),
        ratio: None,
        goal: String::new(),
    }])
}

/// From the process's start to the first row in the sink.
pub(crate) async fn cold_start(servers: &Servers, programs: &Programs) -> Result<Vec<Row>, BenchError> {
    servers.fresh_database("cold").await?;
    let pipeline = Pipeline {
        sink: crate::pipelines::Sink::Postgres("cold"),
        ..Pipeline::new("cold", Table::Append)
    };
    preload(servers, programs, &pipeline, 100_000)?;
    let manifest = prepare(servers, programs, &pipeline)?;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        servers.fresh_database("cold").await?;
        prepare(servers, programs, &pipeline)?;
        let begun = Instant::now();
        let command = servers.command(programs, PROGRAM, &manifest, &["run"]);
        let mut worker = Worker::start(command, pipeline.topic).await?;
        worker.stored(1).await?;
        seconds.push(begun.elapsed().as_secs_f64());
        worker.stop().await?;
    }
    Ok(vec![Row {
        what: "worker, start of the process to the first row".to_owned(),
        figure: format!("{:.2} s", median(seconds)),
        baseline: String::new(),
        ratio: None,
        goal: "≤ 2 s".to_owned(),
    }])
}
