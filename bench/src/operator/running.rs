//! A running operator and the cluster that it looks after.

use std::net::SocketAddr;
use std::time::Duration;

use testbed::Process;
use tokio::time::Instant;

use super::{Cluster, PATIENCE, PROGRAM, QUIET};
use crate::error::{BenchError, io};
use crate::programs::Programs;
use crate::scrape::{Scrape, address, metrics};
use crate::usage::{Usage, usage};

/// Between questions whether something is so.
const POLL: Duration = Duration::from_millis(100);
/// Between counts of what was written: the real API server counts much else, and takes a while to say it all.
const COUNT: Duration = Duration::from_secs(1);

pub(super) struct Running<C> {
    // Before the cluster, which it would miss.
    operator: Process,
    pub(super) cluster: C,
    metrics: SocketAddr,
    began: Instant,
}

impl<C: Cluster> Running<C> {
    /// Starts a revision's operator.
    pub(super) async fn start(cluster: C, programs: &Programs) -> Result<Self, BenchError> {
        let metrics = address().await.map_err(io("listening"))?;
        let mut command = programs.command(PROGRAM);
        command
            .args(["run", "--image=streampipeline:bench", "--no-crd", "--log=warn"])
            .arg(format!("--listen={metrics}"))
            .env("KUBECONFIG", cluster.kubeconfig());
        Ok(Self {
            began: Instant::now(),
            operator: Process::from_command(command)?,
            cluster,
            metrics,
        })
    }

    /// How long all objects took since the operator's start.
    pub(super) async fn converged(&mut self) -> Result<Duration, BenchError> {
        let deadline = Instant::now() + PATIENCE;
        while !self.cluster.converged()? {
            self.check("every pipeline has its objects", deadline)?;
            tokio::time::sleep(POLL).await;
        }
        Ok(self.began.elapsed())
    }

    /// Waits until nothing is written any more, and gives how often something was.
    pub(super) async fn quiet(&mut self) -> Result<u64, BenchError> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = (self.cluster.writes().await?, Instant::now());
        while last.1.elapsed() < QUIET {
            self.check("nothing is written any more", deadline)?;
            tokio::time::sleep(COUNT).await;
            let writes = self.cluster.writes().await?;
            if writes != last.0 {
                last = (writes, Instant::now());
            }
        }
        Ok(last.0)
    }

    /// Waits until so many reconciles were made since the operator's start.
    pub(super) async fn reconciled(&mut self, reconciles: u64) -> Result<(), BenchError> {
        let deadline = Instant::now() + PATIENCE;
        while self.scrape().await?.count < reconciles {
            self.check("every pipeline is looked at again", deadline)?;
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn check(&mut self, what: &str, deadline: Instant) -> Result<(), BenchError> {
        if !self.operator.is_running()? {
            return Err(BenchError::Program {
                program: PROGRAM.to_owned(),
                output: self.operator.output()?,
            });
        }
        if Instant::now() < deadline {
            return Ok(());
        }
        Err(BenchError::NoFigure(format!(
            "not within {PATIENCE:?}: {what}; the status of some pipeline is {}",
            self.cluster.status()
        )))
    }

    /// The operator's durations of reconciles so far.
    pub(super) async fn scrape(&self) -> Result<Scrape, BenchError> {
        let text = metrics(self.metrics)
            .await
            .map_err(io("asking the operator for its metrics"))?;
        Scrape::parse(&text, "streampipeline_operator_reconcile_duration_seconds")
            .ok_or(BenchError::NoFigure(text))
    }

    /// What the operator has used so far.
    pub(super) fn usage(&self) -> Result<Usage, BenchError> {
        usage(&self.operator)
    }
}
