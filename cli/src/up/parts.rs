//! The parts that work at the same time: workers, generator, and the health server.

use std::sync::{Arc, Mutex};

use api::Pipeline;
use generator::clock::SystemClock;
use generator::destination::Destination;
use generator::output::kafka::{KafkaTarget, Replica};
use generator::run::{CATCH_UP, Context, RunError, Summary};
use prometheus_client::registry::Registry;
use runtime::health::Health;
use runtime::secrets::Secrets;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};
use worker::metrics::Metrics;
use worker::progress::Progress;
use worker::run::{Worker, WorkerError};

use super::UpArgs;
use super::stage::Stage;
use crate::error::CliError;

/// Workers of this process.
pub(super) struct Workers {
    pub(super) progress: Arc<Mutex<Progress>>,
    pipeline: Arc<Pipeline>,
    secrets: Secrets,
    metrics: Metrics,
    health: Health,
    running: JoinSet<Result<(), WorkerError>>,
    /// Ends each worker that is to go on.
    stops: Vec<DropGuard>,
    /// Workers that were told to end and have not yet.
    leaving: usize,
    /// Workers started so far: names are never used again.
    started: u32,
}

impl Workers {
    /// Starts so many workers.
    pub(super) async fn start(
        stage: &Stage,
        workers: u32,
        registry: &mut Registry,
        health: &Health,
    ) -> Result<Self, CliError> {
        let mut all = Self {
            progress: Arc::default(),
            pipeline: Arc::clone(&stage.pipeline),
            secrets: stage.secrets.clone(),
            metrics: Metrics::register(registry),
            health: health.clone(),
            running: JoinSet::new(),
            stops: Vec::new(),
            leaving: 0,
            started: 0,
        };
        all.scale(workers).await?;
        Ok(all)
    }

    /// How many there are, those that are leaving not counted.
    pub(super) fn count(&self) -> u32 {
        self.stops.len() as u32
    }

    /// Starts or ends workers until there are so many. Those that end store what they have begun first.
    pub(super) async fn scale(&mut self, workers: u32) -> Result<(), CliError> {
        while self.count() > workers {
            self.leaving += usize::from(self.stops.pop().is_some());
        }
        while self.count() < workers {
            let stop = CancellationToken::new();
            let worker = Worker {
                pipeline: Arc::clone(&self.pipeline),
                secrets: self.secrets.clone(),
                name: format!("up-{}-{}", std::process::id(), self.started),
                progress: Arc::clone(&self.progress),
                // The first worker's health is the process's: it is the last one to go.
                health: if self.started == 0 {
                    self.health.clone()
                } else {
                    Health::new()
                },
            };
            let guard = stop.clone().drop_guard();
            let started = worker.start(self.metrics.clone(), stop).await?;
            self.running.spawn(started.ended());
            self.stops.push(guard);
            self.started += 1;
        }
        Ok(())
    }

    /// Waits for a worker to end that was not told to: a defect.
    pub(super) async fn defect(&mut self) -> CliError {
        loop {
            match self.running.join_next().await {
                Some(Ok(Ok(()))) if self.leaving > 0 => self.leaving -= 1,
                Some(Ok(Err(error))) => return error.into(),
                _ => return super::stage::died("a worker"),
            }
        }
    }

    /// Lets the workers store what they have begun, and end.
    pub(super) async fn stop(mut self) -> Result<(), CliError> {
        self.stops.clear();
        while let Some(ended) = self.running.join_next().await {
            ended.map_err(|_| super::stage::died("a worker"))??;
        }
        Ok(())
    }
}

/// The generator of this process.
pub(super) struct Generator {
    pub(super) progress: Arc<generator::progress::Progress>,
    /// While true, nothing is produced.
    pub(super) hold: watch::Sender<bool>,
    task: JoinHandle<Result<Summary, RunError>>,
    stop: CancellationToken,
    summary: Option<Summary>,
}

impl Generator {
    /// Starts the pipeline's generator, if it has one.
    pub(super) async fn start(
        stage: &Stage,
        registry: &mut Registry,
        health: &Health,
    ) -> Result<Option<Self>, CliError> {
        let pipeline: &Pipeline = &stage.pipeline;
        let (Some(generator), Some(music)) = (pipeline.generator.clone(), stage.music.clone()) else {
            return Ok(None);
        };
        let replica = Replica::Passing(format!("up-{}", std::process::id()));
        let target = KafkaTarget::new(pipeline, &generator, &music, &stage.secrets, &replica)?;
        let destination = if stage.broker.is_some() {
            Destination::Idempotent(target)
        } else {
            target.ensure_topics(pipeline).await?;
            Destination::Transactional(target)
        };
        let progress = Arc::new(generator::progress::Progress::new(music.shards().count(), 1));
        generator::metrics::register(registry, Arc::clone(&progress));
        let (hold, gate) = watch::channel(false);
        let stop = CancellationToken::new();
        let context = Context {
            threads: 1,
            unlimited: false,
            catch_up: CATCH_UP,
            hold: gate,
            clock: Arc::new(SystemClock::new()),
            progress: Arc::clone(&progress),
            health: health.clone(),
            shutdown: stop.clone(),
        };
        let task =
            tokio::spawn(async move { generator::run::run(&generator, music, destination, context).await });
        Ok(Some(Self {
            progress,
            hold,
            task,
            stop,
            summary: None,
        }))
    }

    /// Waits until it is complete. May be asked again.
    pub(super) async fn ended(&mut self) -> Result<Summary, CliError> {
        if let Some(summary) = self.summary {
            return Ok(summary);
        }
        let summary = (&mut self.task)
            .await
            .map_err(|_| super::stage::died("the generator"))??;
        self.summary = Some(summary);
        Ok(summary)
    }

    /// Lets it deliver what it has produced, and end.
    pub(super) async fn stop(&mut self) -> Result<Summary, CliError> {
        self.stop.cancel();
        // A generator that is held back ends all the same.
        self.ended().await
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Serves health and metrics until the token is dropped.
pub(super) async fn serve(
    up: &UpArgs,
    health: Health,
    registry: Registry,
) -> Result<Option<DropGuard>, CliError> {
    let Some(address) = up.listen else { return Ok(None) };
    let listener = TcpListener::bind(address)
        .await
        .map_err(CliError::io(format!("cannot listen on {address}")))?;
    let stop = CancellationToken::new();
    let server = runtime::http::serve(listener, health, Arc::new(registry), stop.clone());
    tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::warn!(%error, "the health server broke");
        }
    });
    Ok(Some(stop.drop_guard()))
}
