//! `streampipeline audit`: what was produced, against what is stored.

mod evaluate;
mod gather;
mod tail;
mod text;

use std::sync::Arc;

use clap::Args;
use kafka::broker::Access;
use kafka::client::client_config;
use kafka::lag::{Isolation, LagReader};
use runtime::exit::Exit;
use sinks::Sink;

use crate::args::{PipelineArgs, PlaceArgs};
use crate::error::{CliError, print};
use crate::style::Style;
use crate::target::{KafkaChoice, SinkChoice, load_existing};
pub(crate) use evaluate::AuditResult;
pub(crate) use gather::{Clients, KafkaAccess, examine};
pub(crate) use text::{irregularities, summary};

/// What brokers know the connections of this command by.
const CLIENT_ID: &str = "streampipeline-audit";

/// Arguments of `audit`.
#[derive(Debug, Args)]
#[command(after_help = "\
The generator numbers its records by run, shard and partition; the workers store which numbers they have seen in the \
transaction that stores the rows. `produced` comes from the generator's checkpoints in Kafka, `unread` from what is in \
the topics beyond the stored positions. Ranges are half-open: 120..125 are five numbers. A pipeline may run meanwhile.

Exit code 3 says that records are missing or doubled, or that offsets were gone before they could be read.

Examples:
  streampipeline audit -f deploy/pipelines/music.yaml
  streampipeline audit -f deploy/pipelines/music.yaml --sink embedded      after `streampipeline up`
  streampipeline audit -f deploy/pipelines/music.yaml --kafka none         looks at the sink only")]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

impl AuditArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        // The embedded broker ended with `up`, and the sink of `up` knows nothing of the manifest's.
        let embedded =
            self.place.sink.sink == SinkChoice::Embedded && self.place.kafka == KafkaChoice::Manifest;
        let kafka = match &self.place.kafka {
            KafkaChoice::Embedded => KafkaChoice::None,
            _ if embedded => KafkaChoice::None,
            choice => choice.clone(),
        };
        let pipeline = load_existing(&self.pipeline.file, &self.place.sink.overrides(&kafka))?;
        let secrets = self.pipeline.secrets();
        let sink = Sink::open(&pipeline, Vec::new(), &secrets).await?;
        let access = match kafka {
            KafkaChoice::None => KafkaAccess::None,
            _ => KafkaAccess::Checkpoints(Clients {
                config: client_config(&pipeline.kafka, &secrets, CLIENT_ID)?,
                lags: Arc::new(LagReader::new(
                    Access::new(&pipeline.kafka, &secrets, CLIENT_ID)?,
                    Isolation::ReadCommitted,
                )),
            }),
        };
        let result = examine(&pipeline, &sink, &access).await?;
        if self.json {
            print(&text::json(&result))?;
        } else {
            print(&text::render(&result, Style::of_stdout()))?;
        }
        Ok(if result.is_clean() {
            Exit::Success
        } else {
            Exit::AuditFailed
        })
    }
}
