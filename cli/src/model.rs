//! `streampipeline model`: runs the manifest's models now, whatever their schedules say.

use api::Model;
use clap::Args;
use runtime::exit::Exit;
use worker::models::Models;

use crate::args::{PipelineArgs, SinkArgs};
use crate::chosen::chosen;
use crate::error::{CliError, print};
use crate::style::count;
use crate::target::{KafkaChoice, load_existing};

/// Arguments of `model`.
#[derive(Debug, Args)]
#[command(after_help = "\
A model's table is filled anew as a whole, so that running one twice does no harm.

Examples:
  streampipeline model -f deploy/pipelines/music.yaml
  streampipeline model -f deploy/pipelines/music.yaml recommendations --sink embedded")]
pub(crate) struct ModelArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Models by name; all of them, in the manifest's order, if none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    sink: SinkArgs,
}

impl ModelArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        let overrides = self.sink.overrides(&KafkaChoice::None);
        let pipeline = load_existing(&self.pipeline.file, &overrides)?;
        let models = Models::open(&pipeline, &self.pipeline.secrets()).await?;
        for model in chosen("model", models.all(), |model| model.name.as_str(), &self.names)? {
            let rows = models.run(model).await?;
            print(&format!("{}\n", line(model, rows)))?;
        }
        Ok(Exit::Success)
    }
}

/// What is said of a run.
pub(crate) fn line(model: &Model, rows: u64) -> String {
    format!("model {}: {}", model.name, count(rows, "row", "rows"))
}
