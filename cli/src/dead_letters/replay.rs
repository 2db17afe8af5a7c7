//! Sends dead letters to their topics again.

use std::time::Duration;

use kafka::health::KafkaHealth;
use kafka::librdkafka::{ClientConfig, RecordSender, SingleRecord};
use sinks::{Sink, StoredDeadLetter};

use crate::error::CliError;

/// Says where a record was that is sent again. The generator's own header is not repeated: the audit has seen that
/// number.
const HEADER: &str = "sp-replay-of";

/// For the delivery of a record.
const DELIVERY: Duration = Duration::from_secs(30);

/// Sends letters, page after page.
pub(super) struct Replay<'a> {
    sink: &'a Sink,
    sender: RecordSender,
    sent: u64,
}

impl<'a> Replay<'a> {
    pub(super) fn new(sink: &'a Sink, config: ClientConfig) -> Result<Self, CliError> {
        let sender = RecordSender::new(config, "replay", DELIVERY);
        Ok(Self {
            sink,
            sender: sender.map_err(CliError::kafka("cannot make a Kafka producer"))?,
            sent: 0,
        })
    }

    /// Sends a page's letters in their order, and marks what has arrived.
    pub(super) async fn send(&mut self, letters: &[StoredDeadLetter]) -> Result<(), CliError> {
        let mut arrived = Vec::with_capacity(letters.len());
        let mut failure = None;
        let deliveries: Vec<_> = letters
            .iter()
            .map(|letter| deliver(&self.sender, letter))
            .collect();
        for (letter, delivery) in letters.iter().zip(deliveries) {
            match delivery.await {
                Ok(()) => arrived.push(letter.id.clone()),
                Err(error) => drop(failure.get_or_insert(explained(error, &self.sender))),
            }
        }
        if !arrived.is_empty() {
            self.sink.mark_replayed(&arrived).await?;
        }
        self.sent += arrived.len() as u64;
        match failure {
            None => Ok(()),
            Some(error) => {
                tracing::warn!("{} records were sent again before this", self.sent);
                Err(error)
            }
        }
    }

    /// Gives the number of letters that were sent.
    pub(super) fn end(self) -> Result<u64, CliError> {
        // Everything was acknowledged; this only ends the producer in order.
        self.sender
            .flush(DELIVERY)
            .map_err(CliError::kafka("cannot end the Kafka producer in order"))?;
        Ok(self.sent)
    }
}

/// Hands the record over at once, and gives its delivery to await.
fn deliver(
    sender: &RecordSender,
    letter: &StoredDeadLetter,
) -> impl Future<Output = Result<(), CliError>> + use<> {
    let origin = format!("{}/{}", letter.id.partition, letter.id.offset);
    let delivery = sender.send(SingleRecord {
        // The partition that it came from keeps it behind its key's earlier records.
        partition: &letter.id.partition,
        key: letter.key.as_deref(),
        value: letter.value.as_deref(),
        timestamp: letter.timestamp,
        header: (HEADER, &origin),
    });
    let failed = CliError::kafka(format!("record {} was not sent again", letter.id));
    async move { delivery.await.map_err(failed) }
}

/// What is wrong with the connection says more than that a record timed out.
fn explained(error: CliError, sender: &RecordSender) -> CliError {
    match sender.health() {
        KafkaHealth::Failing(issue) => CliError::Failed(issue.to_string()),
        _ => error,
    }
}
