//! librdkafka's callbacks, turned into a queue that the consumer's loop works off.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use kafka::context::{ErrorReporter, KafkaHealth};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

/// A change of the assignment that librdkafka waits for us to carry out.
#[derive(Debug)]
pub(super) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// The consumer's callbacks. A rebalance is only noted here: librdkafka waits for the (un)assign call, which
/// the loop makes once the partitions' last batches are stored. So nothing blocks inside a callback.
#[derive(Debug)]
pub(crate) struct Context {
    rebalances: Mutex<VecDeque<Rebalance>>,
    closing: AtomicBool,
    errors: ErrorReporter,
}

impl Context {
    pub(crate) fn new(errors: ErrorReporter) -> Self {
        Self {
            rebalances: Mutex::default(),
            closing: AtomicBool::new(false),
            errors,
        }
    }

    /// The oldest rebalance that is not carried out.
    pub(super) fn next_rebalance(&self) -> Option<Rebalance> {
        self.rebalances.lock().ok()?.pop_front()
    }

    /// What the group's connection is like, as a condition of readiness.
    pub(super) fn readiness(&self) -> Result<(), String> {
        match self.errors.health() {
            KafkaHealth::Working => Ok(()),
            KafkaHealth::Connecting => Err("connecting".to_owned()),
            KafkaHealth::Failing(problem) => Err(problem.to_string()),
        }
    }

    /// From now on partitions are given up at once: the loop has ended, and closing the consumer would wait for
    /// it forever.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // A rebalance makes commits fail. The sink has the offsets, and the next commit repairs Kafka's.
        if facility == "COMMITFAIL" {
            tracing::debug!("{message}");
        } else {
            self.errors.log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.error(&error, reason);
    }

    fn stats_raw(&self, json: &[u8]) {
        self.errors.statistics(json);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::Acquire) {
            let outcome = match kind {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                    consumer.incremental_assign(partitions)
                }
                _ => consumer.incremental_unassign(partitions),
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "giving up partitions while closing");
            }
            return;
        }
        let partitions = partitions.clone();
        let rebalance = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assign(partitions),
            _ => Rebalance::Revoke(partitions),
        };
        if let Ok(mut queue) = self.rebalances.lock() {
            queue.push_back(rebalance);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        // The sink has the offsets; Kafka's are a hint that the next commit repairs.
        if let Err(error) = result {
            tracing::debug!(%error, "committing offsets to Kafka");
        }
    }
}
