//! Single records, each of which is known to have arrived or not.

use std::time::Duration;

use api::Partition;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use super::context::ReportingContext;
use crate::health::{ErrorReporter, KafkaHealth};

/// Sends records one by one.
pub struct RecordSender {
    producer: FutureProducer<ReportingContext>,
    reporter: ErrorReporter,
}

/// A record to send, borrowed from wherever it is.
#[derive(Debug, Clone, Copy)]
pub struct SingleRecord<'a> {
    /// Where to.
    pub partition: &'a Partition,
    /// `None` for a record without a key.
    pub key: Option<&'a [u8]>,
    /// `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Milliseconds since 1970; `None` for now.
    pub timestamp: Option<i64>,
    /// Name and value.
    pub header: (&'a str, &'a str),
}

impl RecordSender {
    /// A sender that log lines call `client`, and that gives a record up after `patience`.
    pub fn new(mut config: ClientConfig, client: &str, patience: Duration) -> Result<Self, KafkaError> {
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", patience.as_millis().to_string());
        let context = ReportingContext::new(client, &mut config);
        Ok(Self {
            reporter: context.reporter.clone(),
            producer: config.create_with_context(context)?,
        })
    }

    /// Hands the record over at once, and gives its delivery to await.
    pub fn send(&self, record: SingleRecord<'_>) -> impl Future<Output = Result<(), KafkaError>> + use<> {
        let (name, value) = record.header;
        let headers = OwnedHeaders::new().insert(Header {
            key: name,
            value: Some(value),
        });
        let mut message = FutureRecord::<[u8], [u8]>::to(&record.partition.topic)
            .partition(record.partition.number)
            .headers(headers);
        message.key = record.key;
        message.payload = record.value;
        message.timestamp = record.timestamp;
        let queued = self.producer.send_result(message).map_err(|(error, _)| error);
        async move {
            match queued?.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err((error, _))) => Err(error),
                Err(_) => Err(KafkaError::Canceled),
            }
        }
    }

    /// Ends in order, after everything has arrived. Blocks.
    pub fn flush(&self, patience: Duration) -> Result<(), KafkaError> {
        self.producer.flush(patience)
    }

    /// What the connection is like: that says more than that a record timed out.
    #[must_use]
    pub fn health(&self) -> KafkaHealth {
        self.reporter.health()
    }
}
