//! The arguments of `streampipeline-generator`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use prometheus_client::registry::Registry;
use runtime::exit::Exit;
use runtime::health::Health;
use runtime::manifest::{self, ManifestFileError};
use runtime::secrets::Secrets;
use runtime::telemetry::{LogFormat, TelemetryError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::SystemClock;
use crate::destination::{Choice, DestinationError};
use crate::metrics;
use crate::music::{Music, MusicError};
use crate::output::kafka::Replica;
use crate::progress::Progress;
use crate::run::{CATCH_UP, Context, RunError, Summary, run};

/// Produces the events that a pipeline's manifest describes, at the rate that it asks for.
///
/// The same seed gives the same events, however many replicas share the work. To Kafka every event is produced
/// exactly once, also when replicas are killed and started again. With a limit (in the manifest, or --count or
/// --for) the program ends with exit code 0 when it is reached; started again, it finds that nothing is left to do.
#[derive(Debug, Parser)]
#[command(
    name = "streampipeline-generator",
    version,
    after_help = "Try it without Kafka:\n  \
        streampipeline-generator -f music.yaml --output stdout --count 5\n\
        How fast is it here?\n  \
        streampipeline-generator -f music.yaml --output none --unlimited --for 10s"
)]
pub struct Args {
    /// The manifest.
    #[arg(short = 'f', long = "file", visible_alias = "manifest", value_name = "FILE")]
    manifest: PathBuf,
    /// Folder with the secrets: DIR/NAME/KEY is a file. Without it, environment variables
    /// `STREAMPIPELINE_SECRET_NAME_KEY`.
    #[arg(long, value_name = "DIR", env = "STREAMPIPELINE_SECRETS")]
    secrets: Option<PathBuf>,
    /// Where events go: kafka, stdout, none, or `file:PATH` (lines of JSON).
    #[arg(long, value_name = "WHERE", default_value = "kafka")]
    output: Choice,
    /// End after so many events, counted over all replicas from the run's beginning.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End so long after the run's beginning: 500ms, 60s, 1h30m.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasting: Option<Duration>,
    /// As fast as the output takes events, whatever the manifest's rate is.
    #[arg(long)]
    unlimited: bool,
    /// Threads that share the work.
    #[arg(long, value_name = "N", default_value = "1")]
    threads: NonZeroUsize,
    /// This replica's name, the same after a restart and never two at once: a replica that comes back under its
    /// name has its shards back at once. Without it, the host's name is used, and others take over instead.
    #[arg(long, value_name = "NAME", env = "STREAMPIPELINE_REPLICA_ID")]
    replica_id: Option<String>,
    /// Where /livez, /readyz and /metrics are served; nowhere if absent.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// What to log: a level, or levels by target (`info,generator=debug`).
    #[arg(long, default_value = "info", env = "STREAMPIPELINE_LOG")]
    log: String,
    /// How log lines look: auto, json or text.
    #[arg(long, default_value = "auto", env = "STREAMPIPELINE_LOG_FORMAT")]
    log_format: LogFormat,
}

fn duration(text: &str) -> Result<Duration, String> {
    api::parse_duration(text).map_err(|error| format!("{error}: {}", api::DurationError::REMEDY))
}

/// The pod's name in a cluster. Several processes on a machine without one are told apart by their ids.
fn host_name() -> String {
    std::env::var("HOSTNAME").unwrap_or_else(|_| format!("process-{}", std::process::id()))
}

/// Why the program failed.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestFileError),
    /// The manifest describes no events.
    #[error("{} has no spec.generator, so there are no events to produce", .0.display())]
    NoGenerator(PathBuf),
    /// Nothing can be made of the generator's settings.
    #[error(transparent)]
    Source(#[from] MusicError),
    /// Events cannot go where they are to.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    #[error(transparent)]
    Run(#[from] RunError),
    /// Logging could not be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Something of the operating system's.
    #[error("{what}")]
    Io {
        /// What could not be done.
        what: String,
        #[source]
        source: std::io::Error,
    },
    /// A defect: making the catalogue panicked.
    #[error("the source could not be made ready")]
    Defect(#[source] tokio::task::JoinError),
}

impl ProgramError {
    /// What the parent process is told.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Manifest(_) | Self::NoGenerator(_) | Self::Source(_) | Self::Telemetry(_) => Exit::Usage,
            _ => Exit::Failure,
        }
    }
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> ProgramError {
    let what = what.into();
    |source| ProgramError::Io { what, source }
}

impl Args {
    /// Sets up logging, and the token that a signal cancels.
    pub fn start(&self) -> Result<CancellationToken, ProgramError> {
        runtime::telemetry::init(self.log_format, &self.log)?;
        runtime::shutdown::signals().map_err(io("cannot listen to signals"))
    }

    /// Produces until the limit is reached or `shutdown` is cancelled.
    pub async fn run(self, shutdown: CancellationToken) -> Result<Summary, ProgramError> {
        let (_, pipeline) = manifest::load(&self.manifest)?;
        let Some(mut generator) = pipeline.generator.clone() else {
            return Err(ProgramError::NoGenerator(self.manifest));
        };
        generator.limit.count = self.count.or(generator.limit.count);
        generator.limit.duration = self.lasting.or(generator.limit.duration);
        let made = generator.clone();
        let music = tokio::task::spawn_blocking(move || Music::load(&made)).await;
        let music = Arc::new(music.map_err(ProgramError::Defect)??);
        tracing::info!(
            seed = generator.seed,
            shards = music.shards().count(),
            rate = generator.rate,
            fingerprint = music.fingerprint(),
            "events are ready"
        );
        let secrets = Secrets::from_environment(self.secrets.clone());
        let destination = self
            .output
            .open(&pipeline, &generator, &music, &secrets, &self.replica())
            .await?;

        let progress = Arc::new(Progress::new(music.shards().count(), self.threads.get()));
        let health = Health::new();
        let mut registry = Registry::default();
        metrics::register(&mut registry, Arc::clone(&progress));
        // Kubernetes still asks while the last transaction is committed.
        let served = CancellationToken::new();
        if let Some(address) = self.listen {
            let bound = TcpListener::bind(address).await;
            let listener = bound.map_err(io(format!("cannot listen on {address}")))?;
            let answers = runtime::http::serve(listener, health.clone(), Arc::new(registry), served.clone());
            tokio::spawn(async move {
                if let Err(error) = answers.await {
                    tracing::warn!(%error, "the health server broke");
                }
            });
        }
        let (_open, hold) = watch::channel(false);
        let context = Context {
            threads: self.threads.get(),
            unlimited: self.unlimited,
            catch_up: CATCH_UP,
            hold,
            clock: Arc::new(SystemClock::new()),
            progress,
            health,
            shutdown,
        };
        let summary = run(&generator, music, destination, context).await;
        served.cancel();
        Ok(summary?)
    }

    fn replica(&self) -> Replica {
        match &self.replica_id {
            Some(name) => Replica::Stable(name.clone()),
            None => Replica::Passing(host_name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_understood() {
        let parse = |more: &[&str]| Args::try_parse_from([&["generator", "-f", "m.yaml"], more].concat());
        let args = parse(&[
            "--output",
            "file:a/b.jsonl",
            "--for",
            "1m30s",
            "--threads",
            "2",
            "--replica-id",
            "a",
        ])
        .unwrap();
        assert_eq!(args.output, Choice::File("a/b.jsonl".into()));
        assert_eq!(args.lasting, Some(Duration::from_secs(90)));
        for (wrong, remedy) in [
            (["--output", "file:"], "neither kafka, stdout, file:PATH nor none"),
            (["--for", "1 minute"], "such as 1h30m"),
            (["--threads", "0"], "invalid value '0'"),
        ] {
            let error = parse(&wrong).unwrap_err().to_string();
            assert!(error.contains(remedy), "{error}");
        }
    }
}
