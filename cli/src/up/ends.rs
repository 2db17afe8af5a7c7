//! Where the topics' logs end, looked at all the time by a task of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::{Partition, Pipeline};
use kafka::lag::{LagReader, PartitionLag, Range};
use scaler::PartitionReading;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two looks: the embedded broker is held back by what they tell.
const PAUSE: Duration = Duration::from_millis(100);

/// For the answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// The logs as of one look.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ends {
    /// Number of the look, from 1; 0 before the first.
    pub(super) look: u64,
    /// By partition.
    pub(super) ranges: BTreeMap<Partition, Range>,
    /// The same for the scaler, with what the workers have reported.
    pub(super) readings: Vec<PartitionReading>,
}

/// Looks until `stop` is cancelled.
pub(super) fn watch(
    pipeline: &Pipeline,
    reader: Arc<LagReader>,
    stop: CancellationToken,
) -> watch::Receiver<Ends> {
    let group = pipeline.worker_group();
    let topics: Vec<String> = pipeline
        .topics
        .iter()
        .map(|topic| topic.name.to_string())
        .collect();
    let (sender, receiver) = watch::channel(Ends::default());
    let run = async move {
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        loop {
            match reader.read(&group, &topics, PATIENCE).await {
                Ok(lags) => sender.send_modify(|ends| *ends = Ends::new(ends.look + 1, lags)),
                Err(error) => tracing::debug!(%error, "looking at the logs' ends"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::spawn(stop.run_until_cancelled_owned(run));
    receiver
}

impl Ends {
    fn new(look: u64, lags: Vec<(String, Vec<PartitionLag>)>) -> Self {
        let mut ends = Self {
            look,
            ..Self::default()
        };
        for (topic, lags) in lags {
            let topic: Arc<str> = topic.into();
            ends.readings.extend(
                lags.iter()
                    .map(|lag| operator::kafka::partition_reading(&topic, lag, lag.report().as_ref())),
            );
            ends.ranges.extend(lags.into_iter().filter_map(|lag| {
                let partition = Partition {
                    topic: Arc::clone(&topic),
                    number: lag.partition,
                };
                Some((partition, lag.range?))
            }));
        }
        ends
    }
}
