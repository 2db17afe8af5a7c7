//! A look at topics that ends early, and with the reason, when Kafka cannot be asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::admin_error::{AdminError, refused};
use super::context::{self, ReportingContext};
use super::metadata::{self, TopicMetadata};
use crate::health::KafkaHealth;

/// How long one question may take before the client is asked what is wrong.
const PATIENCE: Duration = Duration::from_millis(500);

/// Time between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicState {
    /// Its partitions; `None` if it is not there.
    pub(super) partitions: Option<i32>,
    /// Brokers of the cluster.
    pub(super) brokers: usize,
}

/// Asks for metadata with a client of its own.
pub(super) struct Inspector {
    consumer: Arc<BaseConsumer<ReportingContext>>,
}

impl Inspector {
    pub(super) fn new(config: &ClientConfig) -> Result<Self, AdminError> {
        let mut config = config.clone();
        config.remove("group.id");
        let context = ReportingContext::new("topics", &mut config);
        let consumer = config.create_with_context(context).map_err(AdminError::Client)?;
        Ok(Self {
            consumer: Arc::new(consumer),
        })
    }

    /// The states of `names`, in their order.
    pub(super) async fn states(
        &self,
        names: &[&str],
        deadline: Instant,
    ) -> Result<Vec<TopicState>, AdminError> {
        let consumer = Arc::clone(&self.consumer);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let ask = move || {
            names
                .iter()
                .map(|name| state(&consumer, name, deadline))
                .collect()
        };
        tokio::task::spawn_blocking(ask)
            .await
            .map_err(|_| AdminError::Stopped)?
    }
}

fn state(
    consumer: &BaseConsumer<ReportingContext>,
    topic: &str,
    deadline: Instant,
) -> Result<TopicState, AdminError> {
    let begun = Instant::now();
    loop {
        let source = match metadata::fetch(consumer, topic, PATIENCE) {
            Ok(TopicMetadata { partitions, brokers }) => {
                let partitions = partitions.map(|partitions| partitions.len() as i32);
                return Ok(TopicState { partitions, brokers });
            }
            Err(KafkaError::MetadataFetch(code @ RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                return Err(refused("describe", topic, code, String::new()));
            }
            Err(source) => source,
        };
        context::serve_events(consumer);
        let over = Instant::now() >= deadline;
        match consumer.context().reporter.health() {
            // Waiting does not cure wrong settings.
            KafkaHealth::Failing(issue) if over || !issue.kind.may_pass() => {
                return Err(AdminError::Connection(issue));
            }
            _ if over => {
                return Err(AdminError::NoAnswer {
                    action: "describe",
                    timeout: begun.elapsed(),
                    source,
                });
            }
            // Some errors come at once.
            _ => std::thread::sleep(PAUSE),
        }
    }
}
