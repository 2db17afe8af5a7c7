//! Sends dead letters to their topics again.

use std::time::Duration;

use kafka::health::KafkaHealth;
use kafka::librdkafka::{ClientConfig, RecordSender, SingleRecord};
use worker::sink::{Sink, StoredDeadLetter};

use crate::error::CliError;

/// Says where a record was that is sent again. The generator's own header is not repeated: the audit has seen that
/// number.
const HEADER: &str = "sp-replay-of";

/// Letters that are marked together.
const CHUNK: usize = 500;

/// For the delivery of a record.
const DELIVERY: Duration = Duration::from_secs(30);

/// Sends the letters in the order in which they were stored, and marks what has arrived. Gives their number.
pub(super) async fn replay(
    sink: &Sink,
    config: ClientConfig,
    mut letters: Vec<StoredDeadLetter>,
) -> Result<u64, CliError> {
    if letters.is_empty() {
        return Ok(0);
    }
    letters.sort_by_key(|letter| letter.id);
    let sender = RecordSender::new(config, "replay", DELIVERY)
        .map_err(CliError::kafka("cannot make a Kafka producer"))?;
    let mut sent = 0;
    for chunk in letters.chunks(CHUNK) {
        let mut arrived = Vec::with_capacity(chunk.len());
        let mut failure = None;
        let deliveries: Vec<_> = chunk.iter().map(|letter| deliver(&sender, letter)).collect();
        for (letter, delivery) in chunk.iter().zip(deliveries) {
            match delivery.await {
                Ok(()) => arrived.push(letter.id),
                Err(error) => drop(failure.get_or_insert(explained(error, &sender))),
            }
        }
        sink.mark_replayed(&arrived).await?;
        sent += arrived.len() as u64;
        if let Some(error) = failure {
            tracing::warn!("{sent} of {} records were sent again before this", letters.len());
            return Err(error);
        }
    }
    // Everything was acknowledged; this only ends the producer in order.
    sender
        .flush(DELIVERY)
        .map_err(CliError::kafka("cannot end the Kafka producer in order"))?;
    Ok(sent)
}

/// Hands the record over at once, and gives its delivery to await.
fn deliver(
    sender: &RecordSender,
    letter: &StoredDeadLetter,
) -> impl Future<Output = Result<(), CliError>> + use<> {
    let origin = format!("{}/{}", letter.partition, letter.offset);
    let delivery = sender.send(SingleRecord {
        // The partition that it came from keeps it behind its key's earlier records.
        partition: &letter.partition,
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
