//! `streampipeline plan`: what a manifest gives, before anything is made.

mod cluster;
mod text;

use std::path::PathBuf;

use clap::Args;
use runtime::exit::Exit;
use sinks::SinkError;

use crate::check::check;
use crate::error::{CliError, print};
use crate::style::Style;
use crate::target::{Overrides, load};
use cluster::{Output, Place};
use text::{Objects, PlannedTable};

/// Arguments of `plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --cluster nothing is connected to. The columns come from the planned SQL. Nothing is made in any case.

With --cluster the objects are those that the operator would apply, next to what is there: created, changed (with each \
field, old and new), unchanged or deleted. The API server tries each of them without keeping it, so that its defaults are \
no change. Kafka is not asked: of topics, what the operator has seen is shown. Secrets are read, and only their hashes \
used. This takes the right to apply the objects, and to read the secrets that the manifest names. Exit code 1 says that \
the cluster cannot be asked, or that something stands in the way there: `to fix` tells what.

Examples:
  streampipeline plan -f deploy/pipelines/music.yaml
  streampipeline plan -f deploy/pipelines/music.yaml --cluster --namespace music")]
pub(crate) struct PlanArgs {
    /// The manifest, a YAML file
    #[arg(short = 'f', long = "file", value_name = "MANIFEST")]
    file: PathBuf,
    /// Show what the operator would change in a cluster
    #[arg(long)]
    cluster: bool,
    /// The kubeconfig's context. Without it, the present one
    #[arg(long, value_name = "NAME", requires = "cluster")]
    context: Option<String>,
    /// The pipeline's namespace. Without it, the manifest's or the context's
    #[arg(short, long, value_name = "NAME", requires = "cluster")]
    namespace: Option<String>,
    /// How the objects are shown
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        requires = "cluster",
        default_value = "text",
        value_enum
    )]
    output: Output,
}

impl PlanArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        let pipeline = load(&self.file, &Overrides::none())?;
        let plans = check(&self.file, &pipeline).await?;
        let tables: Vec<PlannedTable<'_>> = plans
            .definitions()
            .iter()
            .map(|definition| {
                Ok(PlannedTable {
                    table: &definition.table,
                    columns: sinks::column_types(&pipeline.sink, definition)?,
                })
            })
            .collect::<Result<_, SinkError>>()?;
        let style = Style::of_stdout();
        if !self.cluster {
            let objects = operator::plan::objects(cluster::read(&self.file)?);
            let objects = Objects::Anywhere(objects.map_err(|error| error.to_string()));
            return print(&text::render(&pipeline, &tables, &objects, style));
        }
        let place = Place {
            context: self.context.as_deref(),
            namespace: self.namespace.as_deref(),
        };
        let plan = cluster::ask(&self.file, &place).await?;
        match self.output {
            Output::Text => print(&text::render(&pipeline, &tables, &Objects::In(&plan), style))?,
            Output::Yaml => {
                for remark in cluster::remarks(&plan) {
                    eprintln!("{remark}");
                }
                let yaml =
                    operator::plan::yaml(&plan).map_err(|error| CliError::Failed(error.to_string()))?;
                print(&yaml)?
            }
        };
        Ok(if cluster::is_possible(&plan) {
            Exit::Success
        } else {
            Exit::Failure
        })
    }
}
