//! The operator with a thousand pipelines: the release program and a real broker with the pipelines' topics, against an
//! API server in memory, and against Kubernetes' own.

mod memory;
mod pipelines;
mod player;
mod real;
mod scene;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use self::memory::Memory;
use self::pipelines::PIPELINES;
use self::real::Real;
use self::scene::Scene;
use crate::error::BenchError;
use crate::measure::Row;
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

/// Against both.
pub(crate) async fn thousand(servers: &Servers) -> Result<Vec<Row>, BenchError> {
    let mut rows = measure(Memory::start(servers).await?).await?;
    rows.extend(measure(Real::start(servers).await?).await?);
    Ok(rows)
}

/// Convergence from nothing, then a sweep over pipelines of which each is as it should be.
async fn measure<C: Cluster>(cluster: C) -> Result<Vec<Row>, BenchError> {
    let mut scene = Scene::start(cluster).await?;
    let converged = scene.converged().await?;
    let writes = scene.quiet().await?;
    let first = scene.scrape().await?;

    scene.cluster.begin_watches_anew().await?;
    scene.reconciled(first.count + PIPELINES as u64).await?;
    tokio::time::sleep(QUIET).await;
    let (last, again) = (scene.scrape().await?, scene.cluster.writes().await? - writes);
    let memory = scene.memory()?;

    let row = |what: &str, figure: String, goal: &str| Row {
        what: format!("operator, {PIPELINES} pipelines, {}: {what}", C::NAME),
        figure,
        baseline: String::new(),
        ratio: None,
        goal: goal.to_owned(),
    };
    let quantile = |scrape: &Scrape| {
        let milliseconds = scrape.quantile(0.99) * 1e3;
        format!("{milliseconds:.1} ms ({} reconciles)", scrape.count)
    };
    let sweep = last.since(&first);
    Ok(vec![
        row(
            "from its start to all objects",
            format!("{:.1} s", converged.as_secs_f64()),
            "≤ 180 s",
        ),
        row("largest resident memory", format!("{memory:.0} MB"), "≤ 150 MB"),
        // Two dozen calls, one after the other, sixteen pipelines at a time: as fast as both ends' processors are.
        row("p99 of a reconcile while it converges", quantile(&first), ""),
        row(
            "p99 of a reconcile in a steady sweep",
            quantile(&sweep),
            "≤ 50 ms",
        ),
        row("writes in a steady sweep", again.to_string(), "0"),
    ])
}
