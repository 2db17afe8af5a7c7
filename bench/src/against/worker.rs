//! Two revisions' workers over one topic. Each run has a sink of its own, which is empty: no revision sees what another one
//! has made of its tables.

use std::time::Instant;

use super::{Figure, Pair, rows};
use crate::ROUNDS;
use crate::error::BenchError;
use crate::generator::preload;
use crate::measure::{Comparison, megabytes, microseconds, rate, seconds};
use crate::pipelines::{Pipeline, Sink, Table};
use crate::programs::Programs;
use crate::servers::Servers;
use crate::worker::{Drained, EVENTS, PROGRAM, Worker, drain, prepare, prepare_if_known};

const TOPIC: &str = "against";
/// SQLite takes a fifth of the records a second that PostgreSQL takes.
const FEWER_TOPIC: &str = "against_sqlite";
const FEWER_EVENTS: u64 = 1_000_000;
const DATABASE: &str = "against";

const FIGURES: [Figure<Drained>; 3] = [
    Figure {
        what: "speed",
        unit: rate,
        goal: "",
        of: |drained| drained.rate,
    },
    Figure {
        what: "CPU a record",
        unit: microseconds,
        goal: "≤ 1.05",
        of: |drained| drained.cpu,
    },
    Figure {
        what: "largest resident memory",
        unit: megabytes,
        goal: "≤ 1",
        of: |drained| drained.memory,
    },
];

pub(super) async fn compare(servers: &Servers, pair: &Pair) -> Result<Vec<Comparison>, BenchError> {
    // An earlier revision's records can be read by a later one.
    preload(
        servers,
        &pair.before,
        &Pipeline::new(TOPIC, Table::Append),
        EVENTS,
    )?;
    let fewer = Pipeline {
        topic: FEWER_TOPIC,
        ..Pipeline::new("against-sqlite", Table::Append)
    };
    preload(servers, &pair.before, &fewer, FEWER_EVENTS)?;
    let file = servers.folder().join("against.db");
    let into = |sink, table| Pipeline {
        sink,
        ..Pipeline::new(TOPIC, table)
    };
    let cases = [
        (
            "worker, append table",
            EVENTS,
            into(Sink::Postgres(DATABASE), Table::Append),
        ),
        (
            "worker, merge table with a join",
            EVENTS,
            into(Sink::Postgres(DATABASE), Table::Merge),
        ),
        (
            "worker, append table in SQLite",
            FEWER_EVENTS,
            Pipeline {
                sink: Sink::Sqlite(&file),
                ..fewer
            },
        ),
        ("worker into discard", EVENTS, into(Sink::Discard, Table::Append)),
    ];
    let mut all = Vec::new();
    for (case, (subject, events, pipeline)) in cases.into_iter().enumerate() {
        if !known_to_both(servers, pair, &pipeline).await? {
            continue;
        }
        // Not counted: the write-ahead log gets its segments, and the broker its files.
        once(servers, &pair.before, &pipeline, events, &format!("{case}-first")).await?;
        let drained = pair
            .in_turns(ROUNDS, async |programs, name| {
                once(servers, programs, &pipeline, events, &format!("{case}-{name}")).await
            })
            .await?;
        all.extend(rows(subject, &drained, &FIGURES));
    }
    Ok(all)
}

/// Empties the topic into an empty sink, as a pipeline and group that has not been there before.
async fn once(
    servers: &Servers,
    programs: &Programs,
    pipeline: &Pipeline<'_>,
    events: u64,
    name: &str,
) -> Result<Drained, BenchError> {
    pipeline.sink.empty(servers).await?;
    let name = format!("against-{name}");
    let manifest = prepare(
        servers,
        programs,
        &Pipeline {
            name: &name,
            ..*pipeline
        },
    )?;
    let run = servers.command(programs, PROGRAM, &manifest, &["run"]);
    drain(run, pipeline.topic, events).await
}

async fn known_to_both(servers: &Servers, pair: &Pair, pipeline: &Pipeline<'_>) -> Result<bool, BenchError> {
    for programs in [&pair.before, &pair.now] {
        pipeline.sink.empty(servers).await?;
        if prepare_if_known(servers, programs, pipeline)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) async fn compare_starts(servers: &Servers, pair: &Pair) -> Result<Vec<Comparison>, BenchError> {
    let pipeline = Pipeline {
        sink: Sink::Postgres(DATABASE),
        ..Pipeline::new("start", Table::Append)
    };
    preload(servers, &pair.before, &pipeline, 100_000)?;
    let taken = pair
        .in_turns(ROUNDS, async |programs, name| {
            pipeline.sink.empty(servers).await?;
            let name = format!("start-{name}");
            let manifest = prepare(
                servers,
                programs,
                &Pipeline {
                    name: &name,
                    ..pipeline
                },
            )?;
            let begun = Instant::now();
            let run = servers.command(programs, PROGRAM, &manifest, &["run"]);
            let mut worker = Worker::start(run, pipeline.topic).await?;
            worker.stored(1).await?;
            let taken = begun.elapsed().as_secs_f64();
            worker.stop().await?;
            Ok(taken)
        })
        .await?;
    let figure = Figure {
        what: "start of the process to the first row",
        unit: seconds,
        goal: "",
        of: |taken: &f64| *taken,
    };
    Ok(rows("worker", &taken, &[figure]))
}
