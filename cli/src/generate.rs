//! `streampipeline generate`: the generator alone.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use generator::clock::SystemClock;
use generator::destination::Choice;
use generator::music::Music;
use generator::output::kafka::Replica;
use generator::progress::Progress;
use generator::run::{CATCH_UP, Context, run};
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
    output: Choice,
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

impl GenerateArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        let kafka = match self.output {
            Choice::Kafka => self.kafka.clone(),
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
        let replica = Replica::Passing(format!("generate-{}", std::process::id()));
        let secrets = self.pipeline.secrets();
        let destination = self
            .output
            .open(&pipeline, &generator, &music, &secrets, &replica)
            .await?;
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
}

/// This process's time, unlike the manifest's limit, which counts from the run's first beginning.
fn end_after(lasting: Duration, shutdown: CancellationToken) {
    tokio::spawn(async move {
        tokio::time::sleep(lasting).await;
        shutdown.cancel();
    });
}
