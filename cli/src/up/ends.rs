//! Where the topics' logs end, looked at all the time by a thread of its own: Kafka's clients block.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::{Partition, Pipeline};
use kafka::lag::{LagReader, Range};
use rdkafka::ClientConfig;
use scaler::PartitionReading;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::CliError;

/// Between two looks: the embedded broker is held back by what they tell.
const PAUSE: Duration = Duration::from_millis(100);

/// For the answers of one topic.
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
    config: &ClientConfig,
    stop: CancellationToken,
) -> Result<watch::Receiver<Ends>, CliError> {
    let reader = LagReader::new(config, &pipeline.worker_group())?;
    let topics: Vec<Arc<str>> = pipeline
        .topics
        .iter()
        .map(|topic| topic.name.as_str().into())
        .collect();
    let (sender, receiver) = watch::channel(Ends::default());
    let run = move || {
        while !stop.is_cancelled() {
            let (mut ranges, mut readings) = (BTreeMap::new(), Vec::new());
            let mut complete = true;
            for topic in &topics {
                match reader.read(topic, PATIENCE) {
                    Ok(lags) => {
                        readings.extend(operator::scaling::readings(topic, &lags));
                        ranges.extend(lags.into_iter().filter_map(|lag| {
                            Some((
                                Partition {
                                    topic: Arc::clone(topic),
                                    number: lag.partition,
                                },
                                lag.range?,
                            ))
                        }));
                    }
                    // The reader reports what is wrong with the connection itself.
                    Err(error) => {
                        tracing::debug!(topic = &**topic, %error, "looking at the logs' ends");
                        complete = false;
                    }
                }
            }
            if complete {
                sender.send_modify(|ends| {
                    *ends = Ends {
                        look: ends.look + 1,
                        ranges,
                        readings,
                    }
                });
            }
            std::thread::sleep(PAUSE);
        }
    };
    let thread = std::thread::Builder::new().name("ends".to_owned());
    thread
        .spawn(run)
        .map_err(CliError::io("cannot start the thread that watches the topics"))?;
    Ok(receiver)
}
