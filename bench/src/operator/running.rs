//! A running operator and the cluster that it looks after.

use std::net::SocketAddr;
use std::time::Duration;

use testbed::Process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::{Cluster, PATIENCE, PROGRAM, QUIET};
use crate::error::{BenchError, io};
use crate::scrape::Scrape;
use crate::servers::{program, usage};

const LOOK: Duration = Duration::from_millis(100);
/// Between looks at what was written: the real API server counts much else, and takes a while to say it all.
const COUNT: Duration = Duration::from_secs(1);

pub(super) struct Scene<C> {
    // Before the cluster, which it would miss.
    operator: Process,
    pub(super) cluster: C,
    metrics: SocketAddr,
    began: Instant,
}

impl<C: Cluster> Scene<C> {
    /// Starts the operator.
    pub(super) async fn start(cluster: C) -> Result<Self, BenchError> {
        // A port that was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").await.map_err(io("listening"))?;
        let metrics = free.local_addr().map_err(io("listening"))?;
        drop(free);
        let mut command = program(PROGRAM)?;
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
            tokio::time::sleep(LOOK).await;
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
            tokio::time::sleep(LOOK).await;
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
        let what = "asking the operator for its metrics";
        let mut stream = TcpStream::connect(self.metrics).await.map_err(io(what))?;
        stream
            .write_all(b"GET /metrics HTTP/1.0\r\n\r\n")
            .await
            .map_err(io(what))?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.map_err(io(what))?;
        Scrape::parse(&text, "streampipeline_operator_reconcile_duration_seconds")
            .ok_or(BenchError::NoFigure(text))
    }

    /// The operator's largest resident memory so far, in MB.
    pub(super) fn memory(&self) -> Result<f64, BenchError> {
        Ok(usage(&self.operator)?.memory)
    }
}
