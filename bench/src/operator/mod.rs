//! The operator with a thousand pipelines: the release program and a real broker with the pipelines' topics, against an
//! API server in memory, and against Kubernetes' own.

mod memory;
mod pipelines;
mod player;
mod real;
mod running;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use self::memory::Memory;
use self::pipelines::PIPELINES;
use self::real::Real;
use self::running::Running;
use crate::error::BenchError;
use crate::measure::Row;
use crate::programs::Programs;
use crate::scrape::Scrape;
use crate::servers::Servers;

/// The operator's program.
const PROGRAM: &str = "streampipeline-operator";
/// Longest that anything may take.
const PATIENCE: Duration = Duration::from_mins(15);
/// Nothing written for so long: it is steady.
const QUIET: Duration = Duration::from_secs(20);

/// An API server with the pipelines in it, and with somebody who does what Kubernetes' controllers would do.
trait Cluster {
    /// As the table names it.
    const NAME: &'static str;

    /// How the operator gets there.
    fn kubeconfig(&self) -> &Path;

    /// Workers and generator of each are there, and something is said about it.
    fn converged(&mut self) -> Result<bool, BenchError>;

    /// Requests so far that wrote, without those of events and leases.
    async fn writes(&mut self) -> Result<u64, BenchError>;

    /// Has every watch begin anew, so that each pipeline is looked at once more.
    async fn begin_watches_anew(&mut self) -> Result<(), BenchError>;

    /// What is said of some pipeline.
    fn status(&self) -> Value;
}

/// What a revision's operator took for a thousand pipelines.
pub(crate) struct Measured {
    /// From its start to all objects.
    pub(crate) converged: Duration,
    /// CPU seconds until then.
    pub(crate) cpu: f64,
    /// Largest resident memory in MB, after watches have begun anew as well.
    pub(crate) memory: f64,
    /// Reconciles from nothing.
    pub(crate) first: Scrape,
    /// Reconciles of a sweep over pipelines of which each is as it should be.
    pub(crate) sweep: Scrape,
    /// Requests that wrote in that sweep.
    pub(crate) writes: u64,
}

/// Against both.
pub(crate) async fn thousand(servers: &Servers, programs: &Programs) -> Result<Vec<Row>, BenchError> {
    let mut all = rows(Memory::NAME, &in_memory(servers, programs).await?);
    let real = measure(Real::start(servers, programs).await?, programs).await?;
    all.extend(rows(Real::NAME, &real));
    Ok(all)
}

/// Against the API server in memory. Topics stay for those who come next.
pub(crate) async fn in_memory(servers: &Servers, programs: &Programs) -> Result<Measured, BenchError> {
    measure(Memory::start(servers).await?, programs).await
}

/// Convergence from nothing, then a sweep.
async fn measure<C: Cluster>(cluster: C, programs: &Programs) -> Result<Measured, BenchError> {
    let mut running = Running::start(cluster, programs).await?;
    let converged = running.converged().await?;
    let cpu = running.usage()?.cpu;
    let writes = running.quiet().await?;
    let first = running.scrape().await?;

    running.cluster.begin_watches_anew().await?;
    running.reconciled(first.count + PIPELINES as u64).await?;
    tokio::time::sleep(QUIET).await;
    let sweep = running.scrape().await?.since(&first);
    Ok(Measured {
        converged,
        cpu,
        memory: running.usage()?.memory,
        first,
        sweep,
        writes: running.cluster.writes().await? - writes,
    })
}

fn rows(cluster: &str, measured: &Measured) -> Vec<Row> {
    let row = |what: &str, figure: String, goal: &str| Row {
        what: format!("operator, {PIPELINES} pipelines, {cluster}: {what}"),
        figure,
        baseline: String::new(),
        ratio: None,
        goal: goal.to_owned(),
    };
    let quantile = |scrape: &Scrape| {
        let milliseconds = scrape.quantile(0.99) * 1e3;
        format!("{milliseconds:.1} ms ({} reconciles)", scrape.count)
    };
    vec![
        row(
            "from its start to all objects",
            format!("{:.1} s", measured.converged.as_secs_f64()),
            "≤ 180 s",
        ),
        row(
            "largest resident memory",
            format!("{:.0} MB", measured.memory),
            "≤ 150 MB",
        ),
        // Two dozen calls, one after the other, sixteen pipelines at a time: as fast as both ends' processors are.
        row(
            "p99 of a reconcile while it converges",
            quantile(&measured.first),
            "",
        ),
        row(
            "p99 of a reconcile in a steady sweep",
            quantile(&measured.sweep),
            "≤ 50 ms",
        ),
        row("writes in a steady sweep", measured.writes.to_string(), "0"),
    ]
}
