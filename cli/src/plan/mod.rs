//! `streampipeline plan`: what a manifest gives, before anything is made.

mod columns;
mod text;

use std::path::PathBuf;

use clap::Args;
use runtime::exit::Exit;

use crate::check::check;
use crate::error::{CliError, print};
use crate::style::Style;
use crate::target::{Overrides, load};
use columns::PlannedTable;

/// Arguments of `plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is connected to and nothing is made: the columns come from the planned SQL.

Example:
  streampipeline plan -f deploy/pipelines/music.yaml")]
pub(crate) struct PlanArgs {
    /// The manifest, a YAML file
    #[arg(short = 'f', long = "file", value_name = "MANIFEST")]
    file: PathBuf,
}

impl PlanArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        let pipeline = load(&self.file, &Overrides::none())?;
        let plans = check(&self.file, &pipeline).await?;
        let tables: Vec<PlannedTable> = plans
            .definitions()
            .iter()
            .map(|definition| PlannedTable::new(&pipeline.sink, definition))
            .collect();
        print(&text::render(&pipeline, &tables, Style::of_stdout()))
    }
}
