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

/// For the delivery of a record.
const DELIVERY: Duration = Duration::from_secs(30);

/// Sends letters, page after page.
pub(super) struct Replay<'a> {
    sink: &'a Sink,
    producer: FutureProducer<ReportingContext>,
    reporter: ErrorReporter,
    sent: u64,
}

impl<'a> Replay<'a> {
    pub(super) fn new(sink: &'a Sink, mut config: ClientConfig) -> Result<Self, CliError> {
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", DELIVERY.as_millis().to_string());
        let reporter = ErrorReporter::new("replay", &mut config);
        let producer = config
            .create_with_context(ReportingContext {
                reporter: reporter.clone(),
            })
            .map_err(CliError::kafka("cannot make a Kafka producer"))?;
        Ok(Self {
            sink,
            producer,
            reporter,
            sent: 0,
        })
    }

    /// Sends a page's letters in their order, and marks what has arrived.
    pub(super) async fn send(&mut self, letters: &[StoredDeadLetter]) -> Result<(), CliError> {
        let mut arrived = Vec::with_capacity(letters.len());
        let mut failure = None;
        let deliveries: Vec<_> = letters
            .iter()
            .map(|letter| deliver(&self.producer, letter))
            .collect();
        for (letter, delivery) in letters.iter().zip(deliveries) {
            match delivery.await {
                Ok(()) => arrived.push(letter.id.clone()),
                Err(error) => drop(failure.get_or_insert(explained(error, &self.reporter))),
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
        self.producer
            .flush(DELIVERY)
            .map_err(CliError::kafka("cannot end the Kafka producer in order"))?;
        Ok(self.sent)
    }
}

/// Hands the record over at once, and gives its delivery to await.
fn deliver<'a>(
    producer: &'a FutureProducer<ReportingContext>,
    letter: &'a StoredDeadLetter,
) -> impl Future<Output = Result<(), CliError>> + use<'a> {
    let topic: &str = &letter.id.partition.topic;
    let origin = format!("{}/{}", letter.id.partition, letter.id.offset);
    let headers = OwnedHeaders::new().insert(Header {
        key: HEADER,
        value: Some(&origin),
    });
    // The partition that it came from keeps it behind its key's earlier records.
    let mut record = FutureRecord::<[u8], [u8]>::to(topic)
        .partition(letter.id.partition.number)
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
