//! Arguments that several subcommands share.

use std::path::PathBuf;

use clap::Args;
use runtime::secrets::Secrets;
use runtime::telemetry::LogFormat;

use crate::target::{KafkaChoice, Overrides, SinkChoice};

/// What is logged if nothing else is said.
pub(crate) const LOG: &str = "warn";

/// What to log, for all subcommands.
#[derive(Debug, Args)]
pub(crate) struct Logging {
    /// What to log to standard error: a level, or levels by target (`info`, `warn,worker=debug`)
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        default_value = LOG,
        env = "STREAMPIPELINE_LOG"
    )]
    pub(crate) log: String,
    /// How log lines look: auto, text or json
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "auto",
        env = "STREAMPIPELINE_LOG_FORMAT"
    )]
    pub(crate) log_format: LogFormat,
}

/// The manifest and its secrets.
#[derive(Debug, Args)]
pub(crate) struct PipelineArgs {
    /// The manifest, a YAML file
    #[arg(short = 'f', long = "file", value_name = "MANIFEST")]
    pub(crate) file: PathBuf,
    /// Folder with the secrets that the manifest names: DIR/NAME/KEY is a file. Without it, or where a file is
    /// missing, the environment is looked at: `STREAMPIPELINE_SECRET_<NAME>_<KEY>`
    #[arg(long, value_name = "DIR", env = "STREAMPIPELINE_SECRETS")]
    pub(crate) secrets: Option<PathBuf>,
}

impl PipelineArgs {
    /// Where secrets are read from.
    #[must_use]
    pub(crate) fn secrets(&self) -> Secrets {
        Secrets::from_environment(self.secrets.clone())
    }
}

/// Kafka and the sink of a pipeline that is there, for commands that look at it.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Brokers in place of the manifest's: `manifest` or HOST:PORT[,HOST:PORT]
    #[arg(long, value_name = "WHERE", default_value = "manifest")]
    pub(crate) kafka: KafkaChoice,
    #[command(flatten)]
    pub(crate) sink: SinkArgs,
}

/// The sink of a pipeline that is there.
#[derive(Debug, Args)]
pub(crate) struct SinkArgs {
    /// Sink in place of the manifest's: `manifest`, `embedded` (the file that `up` has written) or sqlite:PATH
    #[arg(long, value_name = "WHERE", default_value = "manifest")]
    pub(crate) sink: SinkChoice,
    /// Folder of the embedded sink's file
    #[arg(long, value_name = "DIR", default_value = crate::target::DATA)]
    pub(crate) data: PathBuf,
}

impl SinkArgs {
    /// The pipeline's own settings but for its sink and its brokers.
    #[must_use]
    pub(crate) fn overrides(&self, kafka: &KafkaChoice) -> Overrides {
        Overrides {
            kafka: kafka.clone(),
            sink: self.sink.clone(),
            data: self.data.clone(),
            ..Overrides::none()
        }
    }
}
