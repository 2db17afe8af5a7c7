//! A member of a consumer group that is told which partitions are its own and takes the commits, and fetches nothing: all
//! its partitions are paused.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{Kafka, Partition};
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use runtime::secrets::Secrets;

use super::client::{ClientError, client_config};
use super::context::ReportingContext;
use crate::health::KafkaHealth;

/// A member of a group that shares the partitions of some topics, cooperatively: those that stay are read on.
pub struct Subscriber {
    consumer: BaseConsumer<Context>,
}

/// A change of the assignment that the group waits for us to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebalance {
    /// To be [taken over](Subscriber::take_over).
    Assign(Vec<Partition>),
    /// To be [given up](Subscriber::give_up), once their last batches are stored.
    Revoke(Vec<Partition>),
}

/// Whether a commit is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitMode {
    /// Until Kafka has it.
    Sync,
    /// Not at all.
    Async,
}

/// Why there is no member.
#[derive(Debug, thiserror::Error)]
pub enum SubscriberError {
    /// The manifest's access cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// librdkafka refused its settings.
    #[error("cannot create the Kafka consumer")]
    Consumer(#[source] KafkaError),
}

impl Subscriber {
    /// Joins `group` for `topics`. `name` is what brokers know the connections by.
    pub fn join(
        kafka: &Kafka,
        secrets: &Secrets,
        name: &str,
        group: &str,
        topics: &[Arc<str>],
    ) -> Result<Self, SubscriberError> {
        let mut config = client_config(kafka, secrets, name)?;
        config
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A killed member's partitions go to others after this.
            .set("session.timeout.ms", "10000")
            // By its heartbeats a member learns that there is a rebalance, and that partitions which others let go of are
            // its own now: nobody reads them before.
            .set("heartbeat.interval.ms", "500")
            // Added partitions and topics made again are noticed within this.
            .set("topic.metadata.refresh.interval.ms", "5000");
        let context = Context {
            topics: topics.to_vec(),
            rebalances: Mutex::default(),
            closing: AtomicBool::new(false),
            reporting: ReportingContext::new("worker", &mut config),
        };
        let consumer =
            BaseConsumer::from_config_and_context(&config, context).map_err(SubscriberError::Consumer)?;
        let names: Vec<&str> = topics.iter().map(AsRef::as_ref).collect();
        consumer.subscribe(&names).map_err(SubscriberError::Consumer)?;
        Ok(Self { consumer })
    }

    /// Lets librdkafka call back; some times a second. Its errors go to `report`.
    pub fn serve(&self, mut report: impl FnMut(&KafkaError)) {
        // A message can only have come between an assignment and its pause; whoever fetches reads it again.
        while let Some(polled) = self.consumer.poll(Duration::ZERO) {
            if let Err(error) = polled {
                report(&error);
            }
        }
    }

    /// The oldest rebalance that is not carried out.
    #[must_use]
    pub fn next_rebalance(&self) -> Option<Rebalance> {
        self.consumer.context().rebalances.lock().ok()?.pop_front()
    }

    /// Carries out an assignment.
    pub fn take_over(&self, partitions: &[Partition]) -> Result<(), KafkaError> {
        let mut list = list(partitions);
        // Paused, since somebody else fetches. The end keeps librdkafka from asking for the committed offset.
        list.set_all_offsets(Offset::End)?;
        self.consumer.incremental_assign(&list)?;
        self.consumer.pause(&list)
    }

    /// Carries out a revocation.
    pub fn give_up(&self, partitions: &[Partition]) -> Result<(), KafkaError> {
        self.consumer.incremental_unassign(&list(partitions))
    }

    /// Whether the group has gone on without us, so that others may have our partitions already.
    #[must_use]
    pub fn has_lost_assignment(&self) -> bool {
        self.consumer.assignment_lost()
    }

    /// Commits offsets, each with the text beside it.
    pub fn commit<'a>(
        &self,
        offsets: impl IntoIterator<Item = (&'a Partition, i64, &'a str)>,
        mode: CommitMode,
    ) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, offset, metadata) in offsets {
            let mut element = list.add_partition(&partition.topic, partition.number);
            element.set_metadata(metadata);
            element.set_offset(Offset::Offset(offset))?;
        }
        if list.count() == 0 {
            return Ok(());
        }
        let mode = match mode {
            CommitMode::Sync => rdkafka::consumer::CommitMode::Sync,
            CommitMode::Async => rdkafka::consumer::CommitMode::Async,
        };
        self.consumer.commit(&list, mode)
    }

    /// What the group's connection is like.
    #[must_use]
    pub fn health(&self) -> KafkaHealth {
        self.consumer.context().reporting.reporter.health()
    }

    /// From now on partitions are given up as soon as the group asks: nobody is there to store anything, and the end of the
    /// consumer would wait for it forever.
    pub fn close(&self) {
        self.consumer.context().closing.store(true, Ordering::Release);
    }

    /// Leaves the group, after [`close`](Self::close).
    pub fn unsubscribe(&self) {
        self.consumer.unsubscribe();
    }
}

fn list(partitions: &[Partition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    list
}

/// The callbacks. A rebalance is only noted here: librdkafka waits for the (un)assign call, which the owner makes once the
/// partitions' last batches are stored. So nothing blocks inside a callback.
struct Context {
    topics: Vec<Arc<str>>,
    rebalances: Mutex<VecDeque<Rebalance>>,
    closing: AtomicBool,
    reporting: ReportingContext,
}

impl Context {
    fn named(&self, partitions: &TopicPartitionList) -> Vec<Partition> {
        let elements = partitions.elements();
        let named = elements.iter().map(|element| {
            let known = self.topics.iter().find(|topic| ***topic == *element.topic());
            Partition {
                topic: known.map_or_else(|| Arc::from(element.topic()), Arc::clone),
                number: element.partition(),
            }
        });
        named.collect()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // A rebalance makes commits fail, and the next commit repairs them.
        if facility == "COMMITFAIL" {
            tracing::debug!("{message}");
        } else {
            self.reporting.log(level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reporting.error(error, reason);
    }

    fn stats_raw(&self, json: &[u8]) {
        self.reporting.stats_raw(json);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let is_assignment = kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Acquire) {
            let outcome = if is_assignment {
                consumer.incremental_assign(partitions)
            } else {
                consumer.incremental_unassign(partitions)
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "giving up partitions while closing");
            }
            return;
        }
        let partitions = self.named(partitions);
        let rebalance = if is_assignment {
            Rebalance::Assign(partitions)
        } else {
            Rebalance::Revoke(partitions)
        };
        if let Ok(mut queue) = self.rebalances.lock() {
            queue.push_back(rebalance);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        // Kafka's offsets are a hint that the next commit repairs.
        if let Err(error) = result {
            tracing::debug!(%error, "committing offsets to Kafka");
        }
    }
}
