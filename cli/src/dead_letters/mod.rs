//! `streampipeline dead-letters`: the records that could not be stored, and their way back.

mod name;
mod replay;
mod text;

use clap::{Args, Subcommand};
use runtime::exit::Exit;
use sinks::{DeadLetterId, Sink, StoredDeadLetter};

use crate::args::{PipelineArgs, PlaceArgs};
use crate::error::{CliError, print};
use crate::style::Style;
use crate::target::{KafkaChoice, load_existing};
use name::LetterName;
use replay::Replay;

/// Letters that are in memory at a time.
const PAGE: u32 = 500;

/// Arguments of `dead-letters`.
#[derive(Debug, Args)]
#[command(after_help = "\
A record that cannot be decoded, transformed or stored is kept in the sink's table streampipeline_dead_letters with its \
bytes, its place and the reason. Nothing here deletes it.

Examples:
  streampipeline dead-letters -f deploy/pipelines/music.yaml list
  streampipeline dead-letters -f deploy/pipelines/music.yaml show music_events/3/1201
  streampipeline dead-letters -f deploy/pipelines/music.yaml replay --id music_events/3/1201
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
    /// The newest dead letters, newest first; or all of them
    #[command(after_help = "\
Examples:
  streampipeline dead-letters -f music.yaml list --limit 5
  streampipeline dead-letters -f music.yaml list --all --json > letters.json")]
    List {
        /// So many at most
        #[arg(long, value_name = "N", default_value = "20", conflicts_with = "all")]
        limit: u32,
        /// All, by topic, partition and offset
        #[arg(long)]
        all: bool,
        /// Print them as JSON, with all their bytes
        #[arg(long)]
        json: bool,
    },
    /// One dead letter with all its bytes
    #[command(after_help = "Example:\n  streampipeline dead-letters -f music.yaml show music_events/3/1201")]
    Show {
        /// Its record: TOPIC/PARTITION/OFFSET, as `list` gives it
        #[arg(value_name = "RECORD")]
        id: LetterName,
    },
    /// Send dead letters to their topics again, and mark them
    #[command(after_help = "\
The record goes to the partition that it came from, with its key, value and timestamp and a header sp-replay-of that \
says where it was. What fails again becomes a new dead letter. If the command is interrupted, a record may be sent that \
is not marked yet.

Examples:
  streampipeline dead-letters -f music.yaml replay --id music_events/3/1201 --id music_events/3/1207
  streampipeline dead-letters -f music.yaml replay --all")]
    Replay {
        /// Dead letters by record: TOPIC/PARTITION/OFFSET, as `list` gives it
        #[arg(long = "id", value_name = "RECORD", num_args = 1.., conflicts_with = "all", required_unless_present = "all")]
        ids: Vec<LetterName>,
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
            Action::List { limit, all, json } => {
                let style = Style::of_stdout();
                if all {
                    return list_all(&sink, json, style).await;
                }
                let letters = sink.newest_dead_letters(limit).await?;
                print(&if json {
                    text::json(&letters)
                } else {
                    text::list(&letters, style)
                })
            }
            Action::Show { id } => {
                let letter = find(&sink, &id).await?;
                print(&text::whole(&letter, Style::of_stdout()))
            }
            Action::Replay { ids, all } => {
                if matches!(kafka, KafkaChoice::None | KafkaChoice::Embedded) {
                    return Err(CliError::Usage(
                        "replay needs brokers: --kafka manifest or HOST:PORT".to_owned(),
                    ));
                }
                let config =
                    kafka::client::client_config(&pipeline.kafka, &secrets, "streampipeline-replay")?;
                let sent = if all {
                    replay_all(&sink, config).await?
                } else {
                    let mut letters = Vec::with_capacity(ids.len());
                    for id in &ids {
                        letters.push(find(&sink, id).await?);
                    }
                    letters.sort_by(|a, b| a.id.cmp(&b.id));
                    letters.dedup_by(|a, b| a.id == b.id);
                    let mut replay = Replay::new(&sink, config)?;
                    replay.send(&letters).await?;
                    replay.end()?
                };
                print(&format!("{}\n", text::sent(sent)))
            }
        }
    }
}

/// The letter of this name.
async fn find(sink: &Sink, name: &LetterName) -> Result<StoredDeadLetter, CliError> {
    let found = sink.dead_letters_at(&name.partition, name.offset).await?;
    name.choose(found).map_err(CliError::Usage)
}

/// Prints page by page, so that any number of letters can be listed.
async fn list_all(sink: &Sink, json: bool, style: Style) -> Result<Exit, CliError> {
    let mut page = sink.dead_letters(None, PAGE).await?;
    if json {
        let mut separator = "[";
        while let Some(last) = page.last().map(|letter| letter.id.clone()) {
            print(&format!("{separator}\n{}", text::json_members(&page)))?;
            separator = ",";
            page = sink.dead_letters(Some(&last), PAGE).await?;
        }
        return print(if separator == "[" { "[]\n" } else { "\n]\n" });
    }
    print(&text::list(&page, style))?;
    while let Some(last) = page.last().map(|letter| letter.id.clone()) {
        page = sink.dead_letters(Some(&last), PAGE).await?;
        if !page.is_empty() {
            print(&text::list(&page, style))?;
        }
    }
    Ok(Exit::Success)
}

/// Sends all that were stored before now and not sent again yet, each partition's in the order of its offsets. What
/// fails again meanwhile is a letter of its own, with a later offset: it must not be met in the same round.
async fn replay_all(sink: &Sink, config: kafka::librdkafka::ClientConfig) -> Result<u64, CliError> {
    let Some(newest) = sink.newest_dead_letters(1).await?.pop() else {
        return Ok(0);
    };
    let mut replay = Replay::new(sink, config)?;
    let mut after: Option<DeadLetterId> = None;
    loop {
        let mut page = sink.dead_letters(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else {
            return replay.end();
        };
        after = Some(last.id.clone());
        page.retain(|letter| letter.replayed_at.is_none() && letter.stored_at <= newest.stored_at);
        replay.send(&page).await?;
    }
}
