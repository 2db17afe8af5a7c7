//! A Kafka producer for one topic: which partition a record goes to, its number for the audit, and what becomes
//! of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::kafka::context::ErrorReporter;
use ::kafka::partitioner::partition_for;
use ::kafka::sequence::{HEADER, RecordSequence};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::{KafkaOutputError, KafkaTarget};
use crate::output::{Record, Written};

/// Between two looks whether the topic has been given more partitions.
const PARTITIONS_CHECK: i64 = 5_000_000;
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of every producer of events: idempotent, and with batches large enough for full speed at the price
/// of at most 20 ms.
pub(super) fn producer_config(target: &KafkaTarget) -> (ClientConfig, ErrorReporter) {
    let mut config = target.client.clone();
    let reporter = ErrorReporter::new("generator", &mut config);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "100000")
        // The busier, the shorter the wait and the queue: records are then still in the processor's caches when
        // they are sent. Measured at full speed, twice as many events a second as with 20 ms and 200,000 records.
        .set("linger.ms", if target.busy { "5" } else { "20" })
        // A full queue holds the generator back.
        .set("queue.buffering.max.messages", "10000")
        // Successful deliveries are not reported one by one: a transaction's commit, or a flush, tells.
        .set("delivery.report.only.error", "true");
    (config, reporter)
}

/// What librdkafka calls back.
pub(super) struct Deliveries {
    reporter: ErrorReporter,
    /// The first record that could not be delivered.
    failed: Mutex<Option<KafkaError>>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.reporter.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reporter.error(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.reporter.statistics(statistics);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if failed.is_none() {
                tracing::debug!(partition = message.partition(), %error, "a record was not delivered");
                *failed = Some(error.clone());
            }
        }
    }
}

/// Records that a shard has sent in one run, by partition: the next record's number.
pub(super) type Counters = Vec<u64>;

/// Sends records to one topic.
pub(super) struct Sender {
    producer: BaseProducer<Deliveries>,
    topic: Arc<str>,
    partitions: i32,
    /// When partitions are counted again.
    next_check: i64,
}

impl Sender {
    /// Connects, and counts the topic's partitions. `reporter` was made for `config`.
    pub(super) fn new(
        config: &ClientConfig,
        reporter: &ErrorReporter,
        topic: &Arc<str>,
        now: i64,
    ) -> Result<Self, KafkaOutputError> {
        let context = Deliveries {
            reporter: reporter.clone(),
            failed: Mutex::new(None),
        };
        let producer: BaseProducer<Deliveries> = config
            .create_with_context(context)
            .map_err(KafkaOutputError::Client)?;
        let mut sender = Self {
            producer,
            topic: Arc::clone(topic),
            partitions: 0,
            next_check: now,
        };
        sender.partitions = sender.count_partitions()?;
        sender.next_check = now.saturating_add(PARTITIONS_CHECK);
        Ok(sender)
    }

    pub(super) fn producer(&self) -> &BaseProducer<Deliveries> {
        &self.producer
    }

    /// Serves callbacks, and notices partitions that were added.
    pub(super) fn tick(&mut self, now: i64) {
        self.producer.poll(Duration::ZERO);
        if now >= self.next_check {
            self.next_check = now.saturating_add(PARTITIONS_CHECK);
            match self.count_partitions() {
                Ok(partitions) if partitions > self.partitions => {
                    tracing::info!(topic = %self.topic, partitions, "the topic was given more partitions");
                    self.partitions = partitions;
                }
                // Fewer: the topic was deleted and made again; records to partitions that are gone fail by themselves.
                Ok(partitions) => self.partitions = partitions,
                Err(error) => tracing::debug!(%error, "partitions could not be counted"),
            }
        }
    }

    fn count_partitions(&self) -> Result<i32, KafkaOutputError> {
        let failed = |source| KafkaOutputError::Partitions {
            topic: self.topic.to_string(),
            source,
        };
        let metadata = self
            .producer
            .client()
            .fetch_metadata(Some(&self.topic), METADATA_TIMEOUT)
            .map_err(failed)?;
        let partitions = metadata
            .topics()
            .first()
            .map_or(0, |topic| topic.partitions().len());
        if partitions == 0 {
            return Err(failed(KafkaError::MetadataFetch(
                RDKafkaErrorCode::UnknownTopicOrPartition,
            )));
        }
        Ok(i32::try_from(partitions).unwrap_or(i32::MAX))
    }

    /// Sends a record as the next one of its shard in its partition.
    pub(super) fn send(
        &self,
        record: Record<'_>,
        run: u64,
        counters: &mut Counters,
    ) -> Result<Written, KafkaError> {
        let partition = partition_for(record.key, self.partitions);
        let place = usize::try_from(partition).unwrap_or_default();
        if counters.len() <= place {
            counters.resize(
                usize::try_from(self.partitions)
                    .unwrap_or_default()
                    .max(place + 1),
                0,
            );
        }
        let Some(counter) = counters.get_mut(place) else {
            return Ok(Written::Full);
        };
        let sequence = RecordSequence {
            run,
            shard: record.shard,
            number: *counter,
        };
        let headers = OwnedHeaders::new_with_capacity(1).insert(Header {
            key: HEADER,
            value: Some(&sequence.encode()),
        });
        let message = BaseRecord::to(&self.topic)
            .partition(partition)
            .key(record.key)
            .payload(record.value)
            .headers(headers);
        match self.producer.send(message) {
            Ok(()) => {
                *counter += 1;
                Ok(Written::Taken)
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                self.producer.poll(Duration::ZERO);
                Ok(Written::Full)
            }
            Err((error, _)) => Err(error),
        }
    }

    /// The first record that could not be delivered, once.
    pub(super) fn take_failure(&self) -> Option<KafkaError> {
        self.producer
            .context()
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Waits until nothing is under way; false if something still is after `timeout`.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        // The client's own flush waits for reports of success, which are turned off.
        let begun = std::time::Instant::now();
        while self.producer.in_flight_count() > 0 {
            if begun.elapsed() >= timeout {
                return false;
            }
            self.producer.poll(Duration::ZERO);
            // Not a poll with a timeout: below a whole millisecond that spins.
            std::thread::sleep(Duration::from_micros(500));
        }
        true
    }

    /// Records that were taken and have neither arrived nor failed.
    pub(super) fn under_way(&self) -> i32 {
        self.producer.in_flight_count()
    }

    /// Records went through.
    pub(super) fn works(&self) {
        self.producer.context().reporter.works();
    }
}
