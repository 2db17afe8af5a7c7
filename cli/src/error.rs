//! What can go wrong in a command, and the exit code that it ends with.

use std::io::Write;

use generator::destination::DestinationError;
use generator::music::MusicError;
use generator::run::RunError;
use kafka::admin::AdminError;
use kafka::broker::AccessError;
use kafka::client::ClientError;
use kafka::lag::LagError;
use kafka::librdkafka::{EmbeddedBrokerError, KafkaError};
use runtime::exit::Exit;
use runtime::manifest::ManifestFileError;
use runtime::telemetry::TelemetryError;
use sinks::SinkError;
use worker::plan::PlanningError;
use worker::run::WorkerError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The manifest cannot be used: a line for each problem, which begins with the file's name.
    #[error(transparent)]
    Manifest(#[from] ManifestFileError),
    /// The manifest's tables cannot be: a line for each problem, which begins with the file's name.
    #[error("{0}")]
    Tables(String),
    /// Arguments that parse, but do not fit together or to the manifest.
    #[error("{0}")]
    Usage(String),
    /// Something is not as it has to be, and the message says what would do.
    #[error("{0}")]
    Failed(String),
    /// SQL, references, sink or consumer of the worker.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The sink.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Access to Kafka, by librdkafka's clients.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Access to Kafka, by clients of our own.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Topics.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The embedded broker.
    #[error(transparent)]
    EmbeddedBroker(#[from] EmbeddedBrokerError),
    /// Where the topics' logs end.
    #[error(transparent)]
    Lag(#[from] LagError),
    /// A Kafka client of this command's own.
    #[error("{what}")]
    Kafka {
        /// What could not be done.
        what: String,
        /// What Kafka said.
        #[source]
        source: KafkaError,
    },
    /// The generator's source.
    #[error(transparent)]
    Music(#[from] MusicError),
    /// Where the generator's events are to go.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// The generator's run.
    #[error(transparent)]
    Generator(#[from] RunError),
    /// Logging.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// A file, a socket, the terminal.
    #[error("{what}")]
    Io {
        /// What could not be done.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Standard output.
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
}

impl CliError {
    /// For `map_err` on anything that the operating system refuses.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// For `map_err` on Kafka clients of this command's own.
    pub(crate) fn kafka(what: impl Into<String>) -> impl FnOnce(KafkaError) -> Self {
        let what = what.into();
        move |source| Self::Kafka { what, source }
    }

    /// What the parent process is told.
    #[must_use]
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Manifest(ManifestFileError::Read { .. }) => Exit::Failure,
            Self::Manifest(_)
            | Self::Tables(_)
            | Self::Usage(_)
            | Self::Worker(WorkerError::Plan(PlanningError::Refused(_)))
            | Self::Telemetry(_) => Exit::Usage,
            _ => Exit::Failure,
        }
    }

    /// The error as standard error shows it: problems of a manifest are lines for editors and people alike,
    /// everything else is one line and its causes.
    #[must_use]
    pub(crate) fn report(&self) -> String {
        match self {
            Self::Tables(problems) => problems.clone(),
            Self::Manifest(
                problems @ (ManifestFileError::Text { .. } | ManifestFileError::Invalid { .. }),
            ) => problems.to_string(),
            error => format!("error: {}", runtime::report::lines(error)),
        }
    }
}

/// Writes `text` to standard output.
pub(crate) fn print(text: &str) -> Result<Exit, CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(CliError::Output)?;
    Ok(Exit::Success)
}
