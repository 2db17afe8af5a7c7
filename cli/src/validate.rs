//! `streampipeline validate`: everything that can be said about a manifest without touching a server.

use std::path::{Path, PathBuf};

use clap::Args;
use runtime::exit::Exit;

use crate::check::check;
use crate::error::{CliError, print};
use crate::report;
use crate::style::count;
use crate::target::{Overrides, load};

/// Arguments of `validate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every problem is a line `file: place: problem; remedy`, on standard error. The SQL is planned too, against the columns \
of the topics and references, and the SQL of reports against those of the tables. Nothing is connected to.

Example:
  streampipeline validate -f deploy/pipelines/music.yaml")]
pub(crate) struct ValidateArgs {
    /// Manifests, YAML files
    #[arg(short = 'f', long = "file", value_name = "MANIFEST", num_args = 1.., required = true)]
    pub(crate) files: Vec<PathBuf>,
}

impl ValidateArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        let mut wrong = 0;
        for file in &self.files {
            match examine(file).await {
                Ok(line) => print(&format!("{}: {line}\n", file.display())).map(drop)?,
                Err(problems) => {
                    wrong += 1;
                    eprintln!("{}", problems.report());
                }
            }
        }
        Ok(if wrong == 0 { Exit::Success } else { Exit::Usage })
    }
}

/// What the manifest gives, or a line for each problem.
async fn examine(file: &Path) -> Result<String, CliError> {
    let pipeline = load(file, &Overrides::none())?;
    let plans = check(file, &pipeline).await?;
    report::check(file, &pipeline, &plans).await?;
    Ok(format!(
        "ok ({}, {}, {}, {}, {})",
        count(pipeline.topics.len() as u64, "topic", "topics"),
        count(pipeline.references.len() as u64, "reference", "references"),
        count(pipeline.tables.len() as u64, "table", "tables"),
        count(pipeline.models.len() as u64, "model", "models"),
        count(pipeline.reports.len() as u64, "report", "reports"),
    ))
}
