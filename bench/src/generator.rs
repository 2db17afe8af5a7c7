//! The generator: to nowhere, and to Kafka next to Kafka's own load tool.

use std::process::Output;

use crate::ROUNDS;
use crate::baselines::Ours;
use crate::error::{BenchError, io};
use crate::measure::{Row, median, median_ratio, rate};
use crate::servers::{Servers, usage};

const PROGRAM: &str = "streampipeline-generator";

/// A table that nothing is measured of; a manifest needs one.
const TABLES: &str = "    - {name: unused, sql: \"SELECT user_id FROM generator\"}";

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

/// One thread, no output; and the memory that a million users take.
pub(crate) fn to_nowhere(servers: &Servers) -> Result<Vec<Row>, BenchError> {
    let manifest = servers.manifest("generator", 10_000, TABLES)?;
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let arguments = ["--output", "none", "--unlimited", "--count", "20000000"];
        rates.push(events_a_second(&servers.run(PROGRAM, &manifest, &arguments)?)?);
    }
    let figure = median(rates);
    let million = servers.manifest("generator", 1_000_000, TABLES)?;
    let arguments = ["--output", "none", "--unlimited", "--for", "20s"];
    let process = servers.start_program(PROGRAM, &million, &arguments)?;
    std::thread::sleep(std::time::Duration::from_secs(10));
    let memory = usage(&process)?.memory;
    Ok(vec![
        Row {
            what: "generator `music`, one thread, no output".to_owned(),
            figure: rate(figure),
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

/// To real Kafka in transactions, next to `kafka-producer-perf-test` with the same values and settings.
pub(crate) async fn to_kafka(servers: &Servers, figures: &mut Ours) -> Result<Vec<Row>, BenchError> {
    const EVENTS: u64 = 3_000_000;
    let manifest = servers.manifest("generator", 10_000, TABLES)?;
    let values = servers.folder().join("values");
    let output = format!("file:{}", values.display());
    servers.run(
        PROGRAM,
        &manifest,
        &["--output", &output, "--unlimited", "--count", "200000"],
    )?;
    let values = values
        .to_str()
        .ok_or_else(|| io("naming a file")(std::io::ErrorKind::InvalidFilename.into()))?;
    // The broker compiles itself while it works: not at the cost of whoever comes first.
    perf_test(servers, EVENTS, values).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let count = (EVENTS * (round as u64 + 1)).to_string();
        let arguments = ["--unlimited", "--count", &count];
        ours.push(events_a_second(&servers.run(PROGRAM, &manifest, &arguments)?)?);
        theirs.push(perf_test(servers, EVENTS, values).await?);
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

async fn perf_test(servers: &Servers, events: u64, values: &str) -> Result<f64, BenchError> {
    let bootstrap = format!("bootstrap.servers={}", servers.kafka.bootstrap());
    let events = events.to_string();
    let arguments = [
        "org.apache.kafka.tools.ProducerPerformance",
        "--topic",
        "generator",
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
