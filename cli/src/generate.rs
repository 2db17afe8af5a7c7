//! `streampipeline generate`: the generator alone.

use std::fs::File;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{Generator, Pipeline};
use clap::Args;
use generator::clock::SystemClock;
use generator::music::Music;
use generator::output::kafka::{KafkaTarget, Replica};
use generator::progress::Progress;
use generator::run::{CATCH_UP, Context, Destination, run};
use kafka::client::client_config;
use runtime::exit::Exit;
use runtime::health::Health;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::args::PipelineArgs;
use crate::error::CliError;
use crate::target::{KafkaChoice, Overrides, load};
use crate::up::duration;

/// Arguments of `generate`.
#[derive(Debug, Args)]
#[command(after_help = "\
The same seed gives the same events. To Kafka every event is produced exactly once: a generator that was stopped goes on \
where its checkpoints in Kafka say. A line on standard error says at the end how many events there were.

Examples:
  streampipeline generate -f deploy/pipelines/music.yaml --count 5
  streampipeline generate -f deploy/pipelines/music.yaml --output file:events.jsonl --count 1000000 --unlimited
  streampipeline generate -f deploy/pipelines/music.yaml --output kafka --rate 50000 --for 60s")]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Where events go: `stdout`, `file:PATH` (both as lines of JSON), `kafka` or `none`
    #[arg(long, value_name = "WHERE", default_value = "stdout")]
    output: Output,
    /// End after so many events; a run that goes on in Kafka counts those that it had before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after so long: 30s, 5m, 1h30m
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasting: Option<Duration>,
    /// Events a second, all the time, in place of the manifest's rate and shape
    #[arg(long, value_name = "N", conflicts_with = "unlimited")]
    rate: Option<f64>,
    /// As fast as the output takes events
    #[arg(long)]
    unlimited: bool,
    /// Threads that share the work
    #[arg(long, value_name = "N", default_value = "1")]
    threads: NonZeroUsize,
    /// Brokers in place of the manifest's: `manifest` or HOST:PORT[,HOST:PORT]
    #[arg(long, value_name = "WHERE", default_value = "manifest")]
    kafka: KafkaChoice,
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Output {
    Stdout,
    File(PathBuf),
    Kafka,
    Nowhere,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("file:")) {
            ("stdout", _) => Ok(Self::Stdout),
            ("kafka", _) => Ok(Self::Kafka),
            ("none", _) => Ok(Self::Nowhere),
            (_, Some(path)) if !path.is_empty() => Ok(Self::File(path.into())),
            (other, _) => Err(format!("{other:?} is neither stdout, file:PATH, kafka nor none")),
        }
    }
}

impl GenerateArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        let kafka = match self.output {
            Output::Kafka => self.kafka.clone(),
            _ => KafkaChoice::Manifest,
        };
        if matches!(kafka, KafkaChoice::None | KafkaChoice::Embedded) {
            return Err(CliError::Usage(
                "name brokers: --kafka manifest or HOST:PORT".to_owned(),
            ));
        }
        let overrides = Overrides {
            kafka,
            rate: self.rate,
            count: self.count,
            ..Overrides::none()
        };
        let pipeline = load(&self.pipeline.file, &overrides)?;
        let Some(generator) = pipeline.generator.clone() else {
            return Err(CliError::Usage(
                "the manifest has no generator; add spec.generator".to_owned(),
            ));
        };
        let shutdown = runtime::shutdown::signals().map_err(CliError::io("cannot listen to signals"))?;
        let source = generator.clone();
        let music = tokio::task::spawn_blocking(move || Music::load(&source))
            .await
            .map_err(|_| {
                CliError::Failed("a defect: the generator's source ended unexpectedly".to_owned())
            })??;
        let destination = self.destination(&pipeline, &generator, &music).await?;
        if let Some(lasting) = self.lasting {
            end_after(lasting, shutdown.clone());
        }
        let (_hold, hold) = watch::channel(false);
        let context = Context {
            threads: self.threads.get(),
            unlimited: self.unlimited,
            catch_up: CATCH_UP,
            hold,
            clock: Arc::new(SystemClock::new()),
            progress: Arc::new(Progress::new(music.shards().count(), self.threads.get())),
            health: Health::new(),
            shutdown,
        };
        let summary = run(&generator, Arc::new(music), destination, context).await?;
        eprintln!("{summary}");
        Ok(Exit::Success)
    }

    async fn destination(
        &self,
        pipeline: &Pipeline,
        generator: &Generator,
        music: &Music,
    ) -> Result<Destination, CliError> {
        Ok(match &self.output {
            Output::Nowhere => Destination::Discard,
            Output::Stdout => Destination::Lines(
                Arc::new(Mutex::new(std::io::stdout())),
                "standard output".to_owned(),
            ),
            Output::File(path) => {
                let name = path.display().to_string();
                let file = File::create(path).map_err(CliError::io(format!("cannot create {name}")))?;
                Destination::Lines(Arc::new(Mutex::new(file)), name)
            }
            Output::Kafka => {
                let client = client_config(
                    &pipeline.kafka,
                    &self.pipeline.secrets(),
                    "streampipeline-generate",
                )?;
                let replica = Replica::Passing(format!("generate-{}", std::process::id()));
                let target = KafkaTarget::new(pipeline, generator, music, client, &replica);
                target.ensure_topics(pipeline).await?;
                Destination::Transactional(target)
            }
        })
    }
}

/// This process's time, unlike the manifest's limit, which counts from the run's first beginning.
fn end_after(lasting: Duration, shutdown: CancellationToken) {
    tokio::spawn(async move {
        tokio::time::sleep(lasting).await;
        shutdown.cancel();
    });
}
