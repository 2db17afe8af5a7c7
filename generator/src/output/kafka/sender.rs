//! Records of one topic: which partition a record goes to, and its number for the audit.

use std::sync::Arc;
use std::time::Duration;

use ::kafka::formats::partitioner::partition_for;
use ::kafka::formats::sequence::{HEADER, RecordSequence};
use ::kafka::health::ErrorReporter;
use ::kafka::produce::{self, Offer, Offsets, ProduceError, Producer, Settings, Transactions};
use tokio::task::JoinSet;

use super::{KafkaOutputError, KafkaTarget};
use crate::output::{Record, Written};

/// Until the topic and whoever coordinates are found.
const CONNECT: Duration = Duration::from_secs(10);
/// Records that have not arrived yet, bytes: a tenth of a second's at full speed.
const BUDGET: usize = 16 * 1024 * 1024;

/// Records that a shard has sent in one run, by partition: the next record's number.
pub(super) type Counters = Vec<u64>;

/// Sends records to one topic.
pub(super) struct Sender {
    producer: Producer,
    topic: Arc<str>,
    /// As of the last tick; 0 before the first start.
    partitions: i32,
}

impl Sender {
    /// The work behind it becomes one of `drivers`.
    pub(super) fn new(
        target: &KafkaTarget,
        transactions: Option<Transactions>,
        drivers: &mut JoinSet<()>,
    ) -> Result<Self, KafkaOutputError> {
        let settings = Settings {
            topic: target.topic.to_string(),
            transactions,
            // The busier, the shorter: batches fill by themselves then.
            linger: Duration::from_millis(if target.busy { 5 } else { 20 }),
            budget: BUDGET,
        };
        let reporter = ErrorReporter::new("generator");
        let (producer, driver) = produce::open(target.access()?, settings, reporter);
        drivers.spawn(driver.run());
        Ok(Self {
            producer,
            topic: Arc::clone(&target.topic),
            partitions: 0,
        })
    }

    /// Begins, or begins again: forgets what was not committed, and blocks until records can be sent.
    pub(super) fn start(&mut self) -> Result<(), ProduceError> {
        self.producer.start(CONNECT)?;
        self.partitions = self.producer.partitions();
        Ok(())
    }

    /// Sends what has waited for long enough, and notices partitions that were added.
    pub(super) fn tick(&mut self, now: i64) -> Result<(), ProduceError> {
        self.producer.tick(now)?;
        let partitions = self.producer.partitions();
        if partitions > self.partitions {
            tracing::info!(topic = %self.topic, partitions, "the topic was given more partitions");
            self.partitions = partitions;
        }
        Ok(())
    }

    /// Sends a record as the next one of its shard in its partition.
    #[inline]
    pub(super) fn send(&mut self, record: Record<'_>, run: u64, counters: &mut Counters) -> Written {
        let partition = partition_for(record.key, self.partitions);
        let place = partition as usize;
        if counters.len() <= place {
            counters.resize((self.partitions as usize).max(place + 1), 0);
        }
        let Some(counter) = counters.get_mut(place) else {
            return Written::Full;
        };
        let sequence = RecordSequence {
            run,
            shard: record.shard,
            number: *counter,
        };
        let numbered = produce::Record {
            key: Some(record.key),
            value: Some(record.value),
            headers: &[(HEADER, &sequence.encode())],
        };
        match self.producer.write(partition, &numbered) {
            Offer::Taken => {
                *counter += 1;
                Written::Taken
            }
            Offer::Full => Written::Full,
        }
    }

    /// Asks for a commit of everything that was sent since the last one, with `checkpoints`.
    pub(super) fn commit(&mut self, checkpoints: Offsets) {
        self.producer.commit(Some(checkpoints));
    }

    /// Whether a commit is under way.
    pub(super) fn is_committing(&self) -> Result<bool, ProduceError> {
        self.producer.is_committing()
    }

    /// Blocks until the commit that is under way is done.
    pub(super) fn wait(&self, patience: Duration) -> Result<(), ProduceError> {
        self.producer.wait(patience)
    }

    /// Blocks until everything has arrived; without transactions.
    pub(super) fn flush(&mut self, patience: Duration) -> Result<(), ProduceError> {
        self.producer.flush(patience)
    }

    /// Records that were sent, and of which it is not known that they have arrived.
    pub(super) fn under_way(&self) -> u64 {
        self.producer.under_way()
    }
}
