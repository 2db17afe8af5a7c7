//! A worker that runs, and how fast it empties a topic. Only its command line and its metrics are used, so that any
//! revision's program can be driven.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use testbed::Process;

use crate::error::{BenchError, io};
use crate::pipelines::Pipeline;
use crate::programs::Programs;
use crate::scrape;
use crate::servers::Servers;
use crate::usage::{Usage, usage};

pub(crate) const PROGRAM: &str = "streampipeline-worker";

/// Between looks at what is stored.
const LOOK: Duration = Duration::from_millis(20);
/// Longest without a record more; under valgrind a start alone takes half a minute.
const PATIENCE: Duration = Duration::from_mins(5);
/// Longest that a worker takes to store what it has begun; under valgrind.
const STOP: Duration = Duration::from_mins(2);
/// The exit code of a program whose manifest is refused.
const REFUSED: i32 = 2;

/// Makes a pipeline's tables; gives its manifest.
pub(crate) fn prepare(
    servers: &Servers,
    programs: &Programs,
    pipeline: &Pipeline<'_>,
) -> Result<PathBuf, BenchError> {
    let manifest = servers.manifest(pipeline)?;
    servers.run(programs, PROGRAM, &manifest, &["prepare"])?;
    Ok(manifest)
}

/// The same. None: this revision's worker refuses the manifest, since it does not have what stands there.
pub(crate) fn prepare_if_known(
    servers: &Servers,
    programs: &Programs,
    pipeline: &Pipeline<'_>,
) -> Result<Option<PathBuf>, BenchError> {
    let manifest = servers.manifest(pipeline)?;
    let mut prepare = servers.command(programs, PROGRAM, &manifest, &["prepare"]);
    let output = prepare.output().map_err(io(PROGRAM))?;
    match output.status.code() {
        Some(0) => Ok(Some(manifest)),
        Some(REFUSED) => Ok(None),
        _ => Err(BenchError::Program {
            program: PROGRAM.to_owned(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        }),
    }
}

/// A running worker.
pub(crate) struct Worker {
    process: Process,
    metrics: SocketAddr,
    topic: String,
}

impl Worker {
    /// Starts `command`, a worker's `run`, which reads `topic` alone.
    pub(crate) async fn start(mut command: Command, topic: &str) -> Result<Self, BenchError> {
        let metrics = scrape::address().await.map_err(io("listening"))?;
        command.arg(format!("--listen={metrics}"));
        Ok(Self {
            process: Process::from_command(command)?,
            metrics,
            topic: topic.to_owned(),
        })
    }

    /// Waits until so many records are stored.
    pub(crate) async fn stored(&mut self, records: u64) -> Result<(), BenchError> {
        let mut last = (self.records().await, Instant::now());
        while last.0 < records {
            if !self.process.is_running()? || last.1.elapsed() > PATIENCE {
                return Err(BenchError::Program {
                    program: PROGRAM.to_owned(),
                    output: format!(
                        "{} of {records} records were stored\n{}",
                        last.0,
                        self.process.output()?
                    ),
                });
            }
            tokio::time::sleep(LOOK).await;
            let now = self.records().await;
            if now != last.0 {
                last = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// Records stored so far. A worker that does not listen yet has stored none.
    async fn records(&self) -> u64 {
        let text = scrape::metrics(self.metrics).await.unwrap_or_default();
        let label = format!("topic=\"{}\"", self.topic);
        let records = scrape::total(&text, "streampipeline_worker_records_total", |labels| {
            labels.contains(&label)
        });
        records.unwrap_or_default()
    }

    pub(crate) fn usage(&self) -> Result<Usage, BenchError> {
        usage(&self.process)
    }

    /// Ends it in order: a killed one keeps its partitions until its session times out.
    pub(crate) async fn stop(mut self) -> Result<(), BenchError> {
        self.process.terminate()?;
        self.process.wait(STOP).await?;
        Ok(())
    }
}

/// What a worker took to empty a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drained {
    /// Records a second, from the first one that was stored.
    pub(crate) rate: f64,
    /// CPU microseconds a record, those of its start included.
    pub(crate) cpu: f64,
    /// Largest resident memory in MB.
    pub(crate) memory: f64,
}

/// Runs `command`, a worker's `run`, over the `events` records of `topic`.
pub(crate) async fn drain(command: Command, topic: &str, events: u64) -> Result<Drained, BenchError> {
    let mut worker = Worker::start(command, topic).await?;
    worker.stored(1).await?;
    let begun = Instant::now();
    worker.stored(events).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let used = worker.usage()?;
    worker.stop().await?;
    Ok(Drained {
        rate: events as f64 / seconds,
        cpu: used.cpu / events as f64 * 1e6,
        memory: used.memory,
    })
}
