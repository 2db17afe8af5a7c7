//! Sends dead letters to their topics again.

use std::time::Duration;

use kafka::context::{ErrorReporter, KafkaHealth, ReportingContext};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use sinks::{Sink, StoredDeadLetter};

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
    mut config: ClientConfig,
    mut letters: Vec<StoredDeadLetter>,
) -> Result<u64, CliError> {
    if letters.is_empty() {
        return Ok(0);
    }
    letters.sort_by_key(|letter| letter.id);
    config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", DELIVERY.as_millis().to_string());
    let reporter = ErrorReporter::new("replay", &mut config);
    let producer: FutureProducer<ReportingContext> = config
        .create_with_context(ReportingContext {
            reporter: reporter.clone(),
        })
        .map_err(CliError::kafka("cannot make a Kafka producer"))?;
    let mut sent = 0;
    for chunk in letters.chunks(CHUNK) {
        let mut arrived = Vec::with_capacity(chunk.len());
        let mut failure = None;
        let deliveries: Vec<_> = chunk.iter().map(|letter| deliver(&producer, letter)).collect();
        for (letter, delivery) in chunk.iter().zip(deliveries) {
            match delivery.await {
                Ok(()) => arrived.push(letter.id),
                Err(error) => drop(failure.get_or_insert(explained(error, &reporter))),
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
    producer
        .flush(DELIVERY)
        .map_err(CliError::kafka("cannot end the Kafka producer in order"))?;
    Ok(sent)
}

/// Hands the record over at once, and gives its delivery to await.
fn deliver<'a>(
    producer: &'a FutureProducer<ReportingContext>,
    letter: &'a StoredDeadLetter,
) -> impl Future<Output = Result<(), CliError>> + use<'a> {
    let topic: &str = &letter.partition.topic;
    let origin = format!("{}/{}", letter.partition, letter.offset);
    let headers = OwnedHeaders::new().insert(Header {
        key: HEADER,
        value: Some(&origin),
    });
    // The partition that it came from keeps it behind its key's earlier records.
    let mut record = FutureRecord::<[u8], [u8]>::to(topic)
        .partition(letter.partition.number)
        .headers(headers);
    record.key = letter.key.as_deref();
    record.payload = letter.value.as_deref();
    record.timestamp = letter.timestamp;
    let failed = move || CliError::kafka(format!("record {} was not sent again", letter.id));
    let queued = producer.send_result(record).map_err(|(error, _)| error);
    async move {
        match queued.map_err(failed())?.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((error, _))) => Err(failed()(error)),
            Err(_) => Err(CliError::Failed("the Kafka producer ended".to_owned())),
        }
    }
}

/// What is wrong with the connection says more than that a record timed out.
fn explained(error: CliError, reporter: &ErrorReporter) -> CliError {
    match reporter.health() {
        KafkaHealth::Failing(problem) => CliError::Failed(problem.to_string()),
        _ => error,
    }
}
