//! `streampipeline record`: the load of a pipeline that runs, as a trace for `backtest`.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use kafka::broker::Access;
use kafka::lag::{Isolation, LagReader, PartitionLag};
use runtime::exit::Exit;

use crate::args::PipelineArgs;
use crate::error::{CliError, print};
use crate::target::{KafkaChoice, Overrides, load};
use crate::up::duration;

/// For a look at Kafka.
const PATIENCE: Duration = Duration::from_secs(10);

/// The columns that `backtest` reads, in the order of [`Row`].
const HEADINGS: &str = "time,arrival_per_second,lag_records,workers,per_worker_per_second\n";

/// Arguments of `record`.
#[derive(Debug, Args)]
#[command(after_help = "\
Kafka alone is asked: where the topics end, how far the workers have committed, and what they reported with that. Nothing \
is changed, and the pipeline may run anywhere. Ctrl-C ends it.

Example:
  streampipeline record -f deploy/pipelines/music.yaml --for 24h > yesterday.csv
  streampipeline backtest -f deploy/pipelines/music.yaml --trace yesterday.csv")]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,
    /// Time between two rows: 5s, 1m; at most 5m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    every: Duration,
    /// End after so long: 30s, 5m, 24h
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    lasting: Option<Duration>,
    /// Brokers in place of the manifest's: `manifest` or HOST:PORT[,HOST:PORT]
    #[arg(long, value_name = "WHERE", default_value = "manifest")]
    kafka: KafkaChoice,
}

/// One look.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Look {
    /// Sum of the offsets after the newest records.
    end: i64,
    lag: u64,
    /// Mean of what the workers said that they could do.
    per_worker: Option<f64>,
}

impl Look {
    fn add(&mut self, partitions: &[PartitionLag]) {
        self.end += partitions
            .iter()
            .filter_map(|partition| Some(partition.range?.end))
            .sum::<i64>();
        self.lag += partitions.iter().filter_map(PartitionLag::lag).sum::<u64>();
        let rates: Vec<f64> = partitions
            .iter()
            .filter_map(|partition| partition.report()?.records_per_busy_second)
            .collect();
        if !rates.is_empty() {
            self.per_worker = Some(rates.iter().sum::<f64>() / rates.len() as f64);
        }
    }

    /// The line of a look, `seconds` after the one `before`. Workers are the operator's to know, and left out.
    fn line(self, before: Self, seconds: f64, time: Timestamp) -> String {
        let arrival = (self.end - before.end).max(0) as f64 / seconds;
        let per_worker = self
            .per_worker
            .map_or_else(String::new, |rate| format!("{rate:.1}"));
        format!("{time:.0},{arrival:.1},{},,{per_worker}\n", self.lag)
    }
}

impl RecordArgs {
    pub(crate) async fn run(self) -> Result<Exit, CliError> {
        if matches!(self.kafka, KafkaChoice::Embedded | KafkaChoice::None) {
            return Err(CliError::Usage(
                "name brokers: --kafka manifest or HOST:PORT".to_owned(),
            ));
        }
        if self.every.is_zero() || self.every > Duration::from_mins(5) {
            return Err(CliError::Usage(
                "--every has to be from 1s to 5m: backtest fills no longer gaps".to_owned(),
            ));
        }
        let overrides = Overrides {
            kafka: self.kafka.clone(),
            ..Overrides::none()
        };
        let pipeline = load(&self.pipeline.file, &overrides)?;
        let access = Access::new(&pipeline.kafka, &self.pipeline.secrets(), "record")?;
        let reader = LagReader::new(access, Isolation::ReadCommitted);
        let group = pipeline.worker_group();
        let topics: Vec<&str> = pipeline.topics.iter().map(|topic| topic.name.as_str()).collect();
        let shutdown = runtime::shutdown::signals().map_err(CliError::io("cannot listen to signals"))?;
        let begun = tokio::time::Instant::now();
        let mut ticks = tokio::time::interval(self.every);
        let mut before: Option<(Look, tokio::time::Instant)> = None;
        print(HEADINGS)?;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(Exit::Success),
                _ = ticks.tick() => {}
            }
            let mut look = Look::default();
            for (_, partitions) in reader.read(&group, &topics, PATIENCE).await? {
                look.add(&partitions);
            }
            let now = tokio::time::Instant::now();
            if let Some((last, at)) = before.replace((look, now)) {
                let seconds = (now - at).as_secs_f64().max(0.001);
                print(&look.line(last, seconds, Timestamp::now()))?;
            }
            if self.lasting.is_some_and(|lasting| begun.elapsed() >= lasting) {
                return Ok(Exit::Success);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka::lag::Range;
    use scaler::Platform;

    use super::*;

    fn look(end: i64, committed: i64) -> Look {
        let mut look = Look::default();
        look.add(&[PartitionLag {
            partition: 0,
            range: Some(Range { start: 0, end }),
            committed: Some(committed),
            metadata: Some(r#"{"r":2500.5,"d":0}"#.to_owned()),
        }]);
        look
    }

    /// What is written here is what `backtest` reads.
    #[test]
    fn a_recording_is_a_trace() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let text = [
            HEADINGS.to_owned(),
            look(1_000, 900).line(look(0, 0), 10.0, at(0)),
            look(3_000, 1_000).line(look(1_000, 900), 10.0, at(10)),
        ]
        .concat();
        let trace = scaler::trace::recorded("live", &text, 4, &Platform::default()).unwrap();
        assert!((trace.arrivals[0] - 100.0).abs() < 1e-9, "{text}");
        assert!((trace.arrivals.last().unwrap() - 200.0).abs() < 20.0, "{text}");
        assert!((trace.platform.per_worker - 2500.5).abs() < 1e-9);
        assert!((trace.platform.backlog - 100.0).abs() < 1e-9);
    }
}
