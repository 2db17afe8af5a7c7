//! The generator: to nowhere, and to Kafka next to Kafka's own load tool.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::ROUNDS;
use crate::baselines::Ours;
use crate::error::{BenchError, io};
use crate::measure::{Row, median, median_ratio, rate};
use crate::pipelines::{Pipeline, Table};
use crate::programs::Programs;
use crate::servers::Servers;
use crate::usage::{cpu_of_children, usage};

pub(crate) const PROGRAM: &str = "streampipeline-generator";

/// Events of a run to nowhere.
const TO_NOWHERE: u64 = 20_000_000;
/// Events of a run to Kafka.
const TO_KAFKA: u64 = 3_000_000;

/// What a run of the generator took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Produced {
    /// Events a second, by its own account.
    pub(crate) rate: f64,
    /// CPU microseconds an event, those of its start included.
    pub(crate) cpu: f64,
}

/// Fills a pipeline's topic until so many events are in it.
pub(crate) fn preload(
    servers: &Servers,
    programs: &Programs,
    pipeline: &Pipeline<'_>,
    events: u64,
) -> Result<(), BenchError> {
    let manifest = servers.manifest(pipeline)?;
    let count = events.to_string();
    servers.run(programs, PROGRAM, &manifest, &["--unlimited", "--count", &count])?;
    Ok(())
}

/// Events a second out of the summary: `complete: 10000 events in 0.6 s (16816 events/s)`.
fn events_a_second(output: &Output) -> Result<f64, BenchError> {
    let text = String::from_utf8_lossy(if output.stdout.is_empty() {
        &output.stderr
    } else {
        &output.stdout
    });
    let figure = text
        .rsplit('(')
        .next()
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    figure.ok_or_else(|| BenchError::NoFigure(text.into_owned()))
}

fn produce(
    servers: &Servers,
    programs: &Programs,
    manifest: &Path,
    events: u64,
    arguments: &[&str],
) -> Result<Produced, BenchError> {
    let count = events.to_string();
    let arguments = [arguments, &["--unlimited", "--count", &count]].concat();
    let before = cpu_of_children()?;
    let output = servers.run(programs, PROGRAM, manifest, &arguments)?;
    Ok(Produced {
        rate: events_a_second(&output)?,
        cpu: (cpu_of_children()? - before) / events as f64 * 1e6,
    })
}

/// One thread, no output.
pub(crate) fn to_nowhere(servers: &Servers, programs: &Programs) -> Result<Produced, BenchError> {
    let manifest = servers.manifest(&Pipeline::new("generator", Table::Append))?;
    produce(servers, programs, &manifest, TO_NOWHERE, &["--output", "none"])
}

/// To real Kafka in transactions, into the topic `generator`. Each pipeline begins anew, so `name` is to be a new one.
pub(crate) fn to_kafka(servers: &Servers, programs: &Programs, name: &str) -> Result<Produced, BenchError> {
    let manifest = servers.manifest(&Pipeline {
        topic: "generator",
        ..Pipeline::new(name, Table::Append)
    })?;
    produce(servers, programs, &manifest, TO_KAFKA, &[])
}

/// Speed without output, and the memory that a million users take.
pub(crate) fn alone(servers: &Servers, programs: &Programs) -> Result<Vec<Row>, BenchError> {
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        rates.push(to_nowhere(servers, programs)?.rate);
    }
    let million = servers.manifest(&Pipeline {
        users: 1_000_000,
        ..Pipeline::new("generator", Table::Append)
    })?;
    let arguments = ["--output", "none", "--unlimited", "--for", "20s"];
    let process = testbed::Process::from_command(servers.command(programs, PROGRAM, &million, &arguments))?;
    std::thread::sleep(std::time::Duration::from_secs(10));
    let memory = usage(&process)?.memory;
    Ok(vec![
        Row {
            what: "generator `music`, one thread, no output".to_owned(),
            figure: rate(median(rates)),
            baseline: String::new(),
            ratio: None,
            goal: "≥ 1.5 M/s".to_owned(),
        },
        Row {
            what: "generator, memory with 1,000,000 users".to_owned(),
            figure: format!("{memory:.0} MB"),
            baseline: String::new(),
            ratio: None,
            goal: "≤ 200 MB".to_owned(),
        },
    ])
}

/// Next to `kafka-producer-perf-test` with the same values and settings.
pub(crate) async fn beside_kafkas(
    servers: &Servers,
    programs: &Programs,
    figures: &mut Ours,
) -> Result<Vec<Row>, BenchError> {
    let values = values(servers, programs, 200_000)?;
    let values = values
        .to_str()
        .ok_or_else(|| io("naming a file")(std::io::ErrorKind::InvalidFilename.into()))?;
    // Makes the topic. The broker compiles itself while it works: not at the cost of whoever comes first.
    to_kafka(servers, programs, "generator")?;
    perf_test(servers, "generator", TO_KAFKA, values).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        ours.push(to_kafka(servers, programs, &format!("generator-{round}"))?.rate);
        theirs.push(perf_test(servers, "generator", TO_KAFKA, values).await?);
    }
    let ratio = median_ratio(&ours, &theirs);
    let (ours, theirs) = (median(ours), median(theirs));
    figures.produced = ours;
    Ok(vec![Row {
        what: "generator to Kafka, in transactions".to_owned(),
        figure: rate(ours),
        baseline: format!("kafka-producer-perf-test: {}", rate(theirs)),
        ratio: Some(ratio),
        goal: "≥ 0.9".to_owned(),
    }])
}

/// A file with a line of JSON for each of so many events.
pub(crate) fn values(servers: &Servers, programs: &Programs, events: u64) -> Result<PathBuf, BenchError> {
    let manifest = servers.manifest(&Pipeline::new("generator", Table::Append))?;
    let values = servers.folder().join("values");
    let output = format!("file:{}", values.display());
    produce(servers, programs, &manifest, events, &["--output", &output])?;
    Ok(values)
}

/// Sends lines of `values`, chosen at random, with Kafka's own tool; records a second.
pub(crate) async fn perf_test(
    servers: &Servers,
    topic: &str,
    events: u64,
    values: &str,
) -> Result<f64, BenchError> {
    let bootstrap = format!("bootstrap.servers={}", servers.kafka.bootstrap());
    let events = events.to_string();
    let arguments = [
        "org.apache.kafka.tools.ProducerPerformance",
        "--topic",
        topic,
        "--num-records",
        &events,
        "--payload-file",
        values,
        "--throughput",
        "-1",
        "--producer-props",
        &bootstrap,
        "acks=all",
        "enable.idempotence=true",
        "linger.ms=5",
        "batch.size=1000000",
        "compression.type=lz4",
        "buffer.memory=67108864",
    ];
    let output = servers.kafka.tool(&arguments).await?;
    // "3000000 records sent, 390000.1 records/sec (…), …"
    let last = output
        .lines()
        .rfind(|line| line.contains("records/sec"))
        .unwrap_or_default();
    let figure = last
        .split("records sent, ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    figure.ok_or(BenchError::NoFigure(output))
}
