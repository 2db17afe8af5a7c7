//! The arguments of `streampipeline-worker`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use prometheus_client::registry::Registry;
use runtime::exit::Exit;
use runtime::health::Health;
use runtime::manifest::{self, ManifestFileError};
use runtime::secrets::Secrets;
use runtime::telemetry::{LogFormat, TelemetryError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::models::Models;
use crate::plan::PlanningError;
use crate::prepare::prepare;
use crate::run::{Worker, WorkerError};

/// Stores what comes from Kafka into the pipeline's sink, exactly once.
#[derive(Debug, Parser)]
#[command(name = "streampipeline-worker", version, about)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// What to log: a level, or levels by target (`info,worker=debug`).
    #[arg(long, global = true, default_value = "info", env = "STREAMPIPELINE_LOG")]
    log: String,
    /// How log lines look: auto, json or text.
    #[arg(
        long,
        global = true,
        default_value = "auto",
        env = "STREAMPIPELINE_LOG_FORMAT"
    )]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read topics and write tables until stopped (SIGTERM stores what was begun, then ends).
    Run {
        #[command(flatten)]
        pipeline: PipelineArgs,
        /// The worker's name, for people; unique among the pipeline's workers.
        #[arg(long, env = "HOSTNAME", default_value = "worker")]
        name: String,
        /// Where /livez, /readyz and /metrics are served; nowhere if absent.
        #[arg(long)]
        listen: Option<SocketAddr>,
    },
    /// Make a model's table anew from what is stored, then end. Safe to repeat.
    Model {
        #[command(flatten)]
        pipeline: PipelineArgs,
        /// The model, one of spec.models.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Create tables and load reference tables, then end. Safe to repeat.
    Prepare {
        #[command(flatten)]
        pipeline: PipelineArgs,
    },
}

#[derive(Debug, clap::Args)]
struct PipelineArgs {
    /// The manifest.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    manifest: PathBuf,
    /// Folder with the secrets: DIR/NAME/KEY is a file. Without it, environment variables
    /// `STREAMPIPELINE_SECRET_NAME_KEY`.
    #[arg(long, value_name = "DIR", env = "STREAMPIPELINE_SECRETS")]
    secrets: Option<PathBuf>,
}

/// Why the program failed.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestFileError),
    /// The worker cannot be used.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// It has no model of this name.
    #[error("there is no model {name} in spec.models; name one that is there")]
    NoModel {
        /// As it was named.
        name: String,
    },
    /// Logging or signals could not be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Signals cannot be listened to, or the health address cannot be served.
    #[error("{what}")]
    Io {
        /// What could not be done.
        what: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

impl ProgramError {
    /// What the parent process is told.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Manifest(_)
            | Self::NoModel { .. }
            | Self::Worker(WorkerError::Plan(PlanningError::Refused(_))) => Exit::Usage,
            _ => Exit::Failure,
        }
    }
}

impl Args {
    /// Sets up logging and signals, and does what was asked for.
    ///
    /// # Errors
    /// [`ProgramError`], for a person.
    pub async fn run(self) -> Result<(), ProgramError> {
        let Self {
            command,
            log,
            log_format,
        } = self;
        runtime::telemetry::init(log_format, &log)?;
        let signals = runtime::shutdown::signals();
        let shutdown = signals.map_err(|source| ProgramError::Io {
            what: "cannot listen to signals".to_owned(),
            source,
        })?;
        match command {
            Command::Run {
                pipeline,
                name,
                listen,
            } => run(pipeline, name, listen, shutdown).await,
            Command::Model {
                pipeline: PipelineArgs { manifest, secrets },
                name,
            } => {
                let (_, pipeline) = manifest::load(&manifest)?;
                let models = Models::open(&pipeline, &Secrets::from_environment(secrets)).await?;
                let Some(model) = models.find(&name) else {
                    return Err(ProgramError::NoModel { name });
                };
                let rows = models.run(model).await.map_err(WorkerError::Sink)?;
                tracing::info!(model = name, rows, "the model's table is new");
                Ok(())
            }
            Command::Prepare {
                pipeline: PipelineArgs { manifest, secrets },
            } => {
                let (_, pipeline) = manifest::load(&manifest)?;
                let secrets = Secrets::from_environment(secrets);
                prepare(&pipeline, &secrets, |line| tracing::info!("{line}")).await?;
                tracing::info!("prepared");
                Ok(())
            }
        }
    }
}

async fn run(
    pipeline: PipelineArgs,
    name: String,
    listen: Option<SocketAddr>,
    shutdown: CancellationToken,
) -> Result<(), ProgramError> {
    let (_, manifest) = manifest::load(&pipeline.manifest)?;
    let health = Health::new();
    let mut registry = Registry::default();
    let worker = Worker {
        pipeline: Arc::new(manifest),
        secrets: Secrets::from_environment(pipeline.secrets),
        name,
        progress: Arc::default(),
        health: health.clone(),
    };
    let running = worker.start(Metrics::register(&mut registry), shutdown).await?;
    // Health is served until the draining is over: Kubernetes still asks meanwhile.
    let served = CancellationToken::new();
    let server = match listen {
        Some(address) => {
            let bind = |source| ProgramError::Io {
                what: format!("cannot listen on {address}"),
                source,
            };
            let listener = TcpListener::bind(address).await.map_err(bind)?;
            Some(tokio::spawn(runtime::http::serve(
                listener,
                health,
                Arc::new(registry),
                served.clone(),
            )))
        }
        None => None,
    };
    let outcome = running.ended().await;
    served.cancel();
    if let Some(Ok(Err(error))) = match server {
        Some(server) => Some(server.await),
        None => None,
    } {
        tracing::warn!(%error, "the health server broke");
    }
    Ok(outcome?)
}
