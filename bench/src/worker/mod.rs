//! The worker: from preloaded partitions into PostgreSQL, next to `psql` copying the same rows.

use std::process::Command;
use std::time::{Duration, Instant};

use testbed::Process;

use crate::ROUNDS;
use crate::baselines::Ours;
use crate::error::{BenchError, io};
use crate::measure::{Row, median, median_ratio, rate};
use crate::servers::{Servers, Usage, usage};

const PROGRAM: &str = "streampipeline-worker";
/// Records of every measured topic.
pub(crate) const EVENTS: i64 = 5_000_000;
/// Connections of the worker by default, and of psql here.
const WRITERS: usize = 4;

const APPEND: &str = "
    - name: plays
      sql: >-
        SELECT user_id, track_id, event_timestamp, now() AS created_timestamp FROM append
";

const MERGE: &str = "
    - name: plays_by_genre
      sql: >-
        SELECT t.genre, date_trunc('hour', e.event_timestamp) AS hour, count(*) AS plays
        FROM merge e JOIN tracks t ON t.track_id = e.track_id GROUP BY 1, 2
      write: {merge: {key: [genre, hour], sum: [plays]}}
";

/// Runs a worker over everything that is preloaded; seconds from its first row, and what it used.
async fn drain(
    servers: &Servers,
    name: &str,
    manifest: &std::path::Path,
) -> Result<(f64, Usage), BenchError> {
    let forget = format!("DELETE FROM streampipeline_offsets WHERE pipeline = '{name}'; CHECKPOINT");
    servers.execute(&forget).await?;
    let mut worker = servers.start_program(PROGRAM, manifest, &["run"])?;
    servers.stored(name, 1).await?;
    let begun = Instant::now();
    servers.stored(name, EVENTS).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let used = usage(&worker)?;
    stop(&mut worker).await?;
    Ok((seconds, used))
}

/// Ends a worker in order: a killed one keeps its partitions until its session times out.
async fn stop(worker: &mut Process) -> Result<(), BenchError> {
    worker.terminate()?;
    worker.wait(Duration::from_secs(30)).await?;
    Ok(())
}

fn preload(servers: &Servers, manifest: &std::path::Path, events: i64) -> Result<(), BenchError> {
    let count = events.to_string();
    servers.run(
        "streampipeline-generator",
        manifest,
        &["--unlimited", "--count", &count],
    )?;
    servers.run(PROGRAM, manifest, &["prepare"])?;
    Ok(())
}

/// An append table, next to psql's binary COPY of the same rows over as many connections.
pub(crate) async fn append(servers: &Servers, figures: &mut Ours) -> Result<Vec<Row>, BenchError> {
    let manifest = servers.manifest("append", 10_000, APPEND)?;
    preload(servers, &manifest, EVENTS)?;
    let (mut ours, mut theirs, mut memory, mut cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // Not counted: gives psql its files, and both sides a log whose segments exist and a broker that is compiled.
    drain(servers, "append", &manifest).await?;
    for writer in 0..WRITERS {
        let file = copy_file(servers, writer);
        let sql = format!(
            "\\copy (SELECT * FROM plays WHERE user_id % {WRITERS} = {writer}) TO '{file}' (FORMAT binary)"
        );
        psql(servers, &sql)?.wait().map_err(io("psql"))?;
    }
    for _ in 0..ROUNDS {
        servers.execute("TRUNCATE plays").await?;
        let (seconds, used) = drain(servers, "append", &manifest).await?;
        ours.push(EVENTS as f64 / seconds);
        memory.push(used.memory);
        cpu.push(used.cpu / EVENTS as f64 * 1e6);
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
pub(crate) async fn merge(servers: &Servers, figures: &mut Ours) -> Result<Vec<Row>, BenchError> {
    let manifest = servers.manifest("merge", 10_000, MERGE)?;
    preload(servers, &manifest, EVENTS)?;
    let mut ours = Vec::new();
    for _ in 0..ROUNDS {
        servers.execute("TRUNCATE plays_by_genre").await?;
        ours.push(EVENTS as f64 / drain(servers, "merge", &manifest).await?.0);
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
pub(crate) async fn cold_start(servers: &Servers) -> Result<Vec<Row>, BenchError> {
    let manifest = servers.manifest(
        "cold",
        10_000,
        &APPEND.replace("append", "cold").replace("plays", "cold_plays"),
    )?;
    preload(servers, &manifest, 100_000)?;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        servers
            .execute("DELETE FROM streampipeline_offsets WHERE pipeline = 'cold'")
            .await?;
        let begun = Instant::now();
        let mut worker = servers.start_program(PROGRAM, &manifest, &["run"])?;
        servers.stored("cold", 1).await?;
        seconds.push(begun.elapsed().as_secs_f64());
        stop(&mut worker).await?;
    }
    Ok(vec![Row {
        what: "worker, start of the process to the first row".to_owned(),
        figure: format!("{:.2} s", median(seconds)),
        baseline: String::new(),
        ratio: None,
        goal: "≤ 2 s".to_owned(),
    }])
}
