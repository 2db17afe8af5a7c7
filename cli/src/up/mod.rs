//! `streampipeline up`: a whole pipeline in this process, from topics to the last record stored.
//!
//! ```text
//! topics ─► prepare ─► workers ─► generator ─► (watch) ─► generator stops ─► workers drain ─► audit ─► reports
//! ```

mod ends;
mod hold;
mod models;
mod parts;
mod place;
mod run;
mod scale;
mod snapshot;
mod stage;
mod view;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use runtime::exit::Exit;

use crate::args::PipelineArgs;
use crate::console::Log;
use crate::error::CliError;
use crate::target::{KafkaChoice, Overrides, SinkChoice};
use run::Run;
use stage::Stage;
use view::View;

/// Arguments of `up`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --kafka and --sink nothing has to be there: a broker runs in this process, and rows go to a SQLite file, \
.streampipeline/NAME.db. That broker forgets everything at the end, so each such run begins with a new file; give \
another --data folder to keep an old one. The generator is held back where unread records would not fit into it.

With --kafka manifest the generator goes on where its checkpoints in Kafka say, and the sink is kept.

The run ends by --for, by --count, by the manifest's own limit, or by Ctrl-C. Then the workers store what is left, and \
an audit and the manifest's reports follow. Exit code 3 says that the audit found a fault, or that records are left.

Examples:
  streampipeline up -f deploy/pipelines/music.yaml --for 30s
  streampipeline up -f deploy/pipelines/music.yaml --count 100000 --rate 20000 --workers 2
  streampipeline up -f deploy/pipelines/music.yaml --kafka manifest --sink manifest --secrets ./secrets
  streampipeline up -f deploy/pipelines/music.yaml --kafka 127.0.0.1:9092 --sink sqlite:music.db")]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// End after so long: 30s, 5m, 1h30m
    #[arg(long = "for", value_name = "TIME", value_parser = crate::up::duration)]
    lasting: Option<Duration>,
    /// End after so many events; a run that goes on in Kafka counts those that it had before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Events a second, all the time, in place of the manifest's rate and shape
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// So many workers that share the partitions; decided by the scaler, as spec.scaling says, if not given
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroU32>,
    /// Brokers: `embedded` (in this process), `manifest` or HOST:PORT (with the manifest's security)
    #[arg(long, value_name = "WHERE", default_value = "embedded")]
    kafka: KafkaChoice,
    /// Sink: `embedded` (a SQLite file in the data folder), `manifest` or sqlite:PATH
    #[arg(long, value_name = "WHERE", default_value = "embedded")]
    sink: SinkChoice,
    /// Folder of the embedded sink's file
    #[arg(long, value_name = "DIR", default_value = crate::target::DATA)]
    data: PathBuf,
    /// Serve /livez, /readyz and /metrics here: 127.0.0.1:9100
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Lines in place of the live view, on a terminal too
    #[arg(long)]
    plain: bool,
}

impl UpArgs {
    /// Whether the live view will be drawn.
    #[must_use]
    pub(crate) fn shows_live(&self) -> bool {
        !self.plain && view::is_possible()
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            kafka: self.kafka.clone(),
            sink: self.sink.clone(),
            data: self.data.clone(),
            rate: self.rate,
            count: self.count,
        }
    }

    pub(crate) async fn run(self, log: Log) -> Result<Exit, CliError> {
        if self.kafka == KafkaChoice::None {
            return Err(CliError::Usage(
                "a pipeline needs brokers: use --kafka embedded, manifest or HOST:PORT".to_owned(),
            ));
        }
        let mut view = View::new(Instant::now(), log.lines);
        let shutdown = runtime::shutdown::signals().map_err(CliError::io("cannot listen to signals"))?;
        let stage = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(Exit::Success),
            stage = Stage::set(&self, &mut view) => stage?,
        };
        let run = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(Exit::Success),
            run = Run::start(&self, &stage, &mut view, shutdown.clone()) => run?,
        };
        let result = run.finish(&mut view).await?;
        stage.conclude(&self, &result, &mut view).await
    }
}

/// A duration as it is typed.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    api::parse_duration(text).map_err(|error| format!("{error}: {}", api::DurationError::REMEDY))
}
