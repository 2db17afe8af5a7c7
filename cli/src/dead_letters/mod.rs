//! `streampipeline dead-letters`: the records that could not be stored, and their way back.

mod replay;
mod text;

use clap::{Args, Subcommand};
use runtime::exit::Exit;
use sinks::{Sink, StoredDeadLetter};

use crate::args::{PipelineArgs, PlaceArgs};
use crate::error::{CliError, print};
use crate::style::Style;
use crate::target::{KafkaChoice, load_existing};

/// Letters that a search by number goes through, newest first.
const MOST: u32 = 100_000;

/// Arguments of `dead-letters`.
#[derive(Debug, Args)]
#[command(after_help = "\
A record that cannot be decoded, transformed or stored is kept in the sink's table streampipeline_dead_letters with its \
bytes, its place and the reason. Nothing here deletes it.

Examples:
  streampipeline dead-letters -f deploy/pipelines/music.yaml list
  streampipeline dead-letters -f deploy/pipelines/music.yaml show 17
  streampipeline dead-letters -f deploy/pipelines/music.yaml replay --id 17 --id 18
  streampipeline dead-letters -f deploy/pipelines/music.yaml --sink embedded list")]
pub(crate) struct DeadLettersArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(subcommand)]
    action: Action,
}

/// What is to be done with dead letters.
#[derive(Debug, Subcommand)]
enum Action {
    /// The newest dead letters, newest first
    #[command(after_help = "Example:\n  streampipeline dead-letters -f music.yaml list --limit 5")]
    List {
        /// So many at most
        #[arg(long, value_name = "N", default_value = "20")]
        limit: u32,
        /// Print them as JSON, with all their bytes
        #[arg(long)]
        json: bool,
    },
    /// One dead letter with all its bytes
    #[command(after_help = "Example:\n  streampipeline dead-letters -f music.yaml show 17")]
    Show {
        /// Its number, as `list` gives it
        id: i64,
    },
    /// Send dead letters to their topics again, and mark them
    #[command(after_help = "\
The record goes to the partition that it came from, with its key, value and timestamp and a header sp-replay-of that \
says where it was. What fails again becomes a new dead letter. If the command is interrupted, a record may be sent that \
is not marked yet.

Example:
  streampipeline dead-letters -f music.yaml replay --all")]
    Replay {
        /// Dead letters by number
        #[arg(long = "id", value_name = "N", num_args = 1.., conflicts_with = "all", required_unless_present = "all")]
        ids: Vec<i64>,
        /// All that were not sent again yet
        #[arg(long)]
        all: bool,
    },
}

impl DeadLettersArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        let Self {
            pipeline: arguments,
            place,
            action,
        } = self;
        let kafka = match action {
            Action::Replay { .. } => place.kafka,
            // The manifest's brokers are not looked at.
            _ => KafkaChoice::Manifest,
        };
        let pipeline = load_existing(&arguments.file, &place.sink.overrides(&kafka))?;
        let secrets = arguments.secrets();
        let sink = Sink::open(&pipeline, Vec::new(), &secrets).await?;
        match action {
            Action::List { limit, json } => {
                let letters = sink.dead_letters(limit).await?;
                print(&if json {
                    text::json(&letters)
                } else {
                    text::list(&letters, Style::of_stdout())
                })
            }
            Action::Show { id } => {
                let letters = find(&sink, &[id]).await?;
                print(
                    &letters
                        .iter()
                        .map(|letter| text::whole(letter, Style::of_stdout()))
                        .collect::<String>(),
                )
            }
            Action::Replay { ids, all } => {
                if matches!(kafka, KafkaChoice::None | KafkaChoice::Embedded) {
                    return Err(CliError::Usage(
                        "replay needs brokers: --kafka manifest or HOST:PORT".to_owned(),
                    ));
                }
                let letters = if all {
                    unsent(&sink).await?
                } else {
                    find(&sink, &ids).await?
                };
                let config =
                    kafka::client::client_config(&pipeline.kafka, &secrets, "streampipeline-replay")?;
                let sent = replay::replay(&sink, config, letters).await?;
                print(&format!("{}\n", text::sent(sent)))
            }
        }
    }
}

/// The letters with these numbers, or which of them there are not.
async fn find(sink: &Sink, ids: &[i64]) -> Result<Vec<StoredDeadLetter>, CliError> {
    let letters = sink.dead_letters(MOST).await?;
    if let Some(id) = ids
        .iter()
        .find(|id| !letters.iter().any(|letter| letter.id == **id))
    {
        return Err(CliError::Usage(format!(
            "there is no dead letter {id}; `list` shows those that there are"
        )));
    }
    Ok(letters
        .into_iter()
        .filter(|letter| ids.contains(&letter.id))
        .collect())
}

async fn unsent(sink: &Sink) -> Result<Vec<StoredDeadLetter>, CliError> {
    let letters = sink.dead_letters(MOST).await?;
    if letters.len() as u64 == u64::from(MOST) {
        tracing::warn!(
            "only the newest {MOST} dead letters are looked at; mend their cause, and replay again"
        );
    }
    Ok(letters
        .into_iter()
        .filter(|letter| letter.replayed_at.is_none())
        .collect())
}
