//! The parts that work at the same time: workers, generator, and the health server.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use api::Pipeline;
use generator::clock::SystemClock;
use generator::destination::Destination;
use generator::output::kafka::{KafkaTarget, Replica};
use generator::run::{CATCH_UP, Context, RunError, Summary};
use prometheus_client::registry::Registry;
use runtime::health::Health;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use worker::progress::Progress;
use worker::run::{Worker, WorkerError};

use super::UpArgs;
use super::stage::Stage;
use crate::error::CliError;

/// Workers of this process, ended together.
pub(super) struct Workers {
    pub(super) progress: Arc<Mutex<Progress>>,
    running: JoinSet<Result<(), WorkerError>>,
    stop: CancellationToken,
}

impl Workers {
    /// Starts so many workers.
    pub(super) async fn start(
        stage: &Stage,
        workers: u32,
        registry: &mut Registry,
        health: &Health,
    ) -> Result<Self, CliError> {
        let progress = Arc::<Mutex<Progress>>::default();
        let stop = CancellationToken::new();
        // Workers that are started already end if a later one cannot be.
        let guard = stop.clone().drop_guard();
        let mut running = JoinSet::new();
        for number in 0..workers {
            let name = format!("up-{}-{number}", std::process::id());
            let worker = Worker {
                pipeline: Arc::clone(&stage.pipeline),
                secrets: stage.secrets.clone(),
                name,
                progress: Arc::clone(&progress),
                health: health.clone(),
            };
            let started = worker
                .start(own_registry(registry, number, workers), stop.child_token())
                .await?;
            running.spawn(started.ended());
        }
        Ok(Self {
            progress,
            running,
            stop: guard.disarm(),
        })
    }

    /// Waits for a worker to end, which it does by itself only for a defect.
    pub(super) async fn defect(&mut self) -> CliError {
        match self.running.join_next().await {
            Some(Ok(Err(error))) => error.into(),
            _ => super::stage::died("a worker"),
        }
    }

    /// Lets the workers store what they have begun, and end.
    pub(super) async fn stop(mut self) -> Result<(), CliError> {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended.map_err(|_| super::stage::died("a worker"))??;
        }
        Ok(())
    }
}

/// Metrics of several workers are told apart by a label.
fn own_registry(registry: &mut Registry, number: u32, workers: u32) -> &mut Registry {
    if workers == 1 {
        return registry;
    }
    registry.sub_registry_with_label((Cow::Borrowed("worker"), Cow::Owned(number.to_string())))
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
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
        let target = KafkaTarget::new(pipeline, &generator, &music, stage.client.clone(), &replica);
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
) -> Result<Option<tokio_util::sync::DropGuard>, CliError> {
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
