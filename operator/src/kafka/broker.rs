//! Real brokers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::kafka::admin::{self, AdminError, TopicOutcome};
use ::kafka::broker;
use ::kafka::client::client_config;
use ::kafka::lag::{Isolation, LagError, LagReader};
use ::kafka::problem::ProblemKind::NotAuthorised;
use futures::FutureExt;
use futures::future::BoxFuture;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use tokio::time::Instant;

use super::client::{KafkaClient, KafkaError, KafkaErrorKind};
use super::desired::{BrokerAccess, DesiredTopics};
use super::reading::KafkaReading;

/// What brokers know the operator's connections by.
const CLIENT_ID: &str = "streampipeline-operator";

/// The connections to a cluster that nobody has asked for so long are closed.
const UNUSED: Duration = Duration::from_mins(5);

/// Looks go over connections of our own, which all pipelines with the same access share; what changes anything goes
/// over librdkafka.
#[derive(Default)]
pub struct Brokers {
    readers: Mutex<Vec<SharedReader>>,
}

struct SharedReader {
    access: BrokerAccess,
    reader: Arc<LagReader>,
    used: Instant,
}

impl KafkaClient for Brokers {
    fn partitions<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Option<i32>>, KafkaError>> {
        async move {
            let reader = self.reader(desired)?;
            let partitions = reader.partitions(&names(desired), timeout).await;
            partitions.map_err(|error| lag_error(&error))
        }
        .boxed()
    }

    fn ensure<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<i32>, KafkaError>> {
        async move {
            let config = config(desired)?;
            let outcomes = admin::ensure_topics(&config, &desired.topics, timeout)
                .await
                .map_err(|error| admin_error(&error))?;
            Ok(outcomes
                .into_iter()
                .map(|outcome| match outcome {
                    TopicOutcome::Created { partitions } | TopicOutcome::Unchanged { partitions } => {
                        partitions
                    }
                    TopicOutcome::Raised { to, .. } => to,
                })
                .collect())
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<KafkaReading, KafkaError>> {
        async move {
            let reader = self.reader(desired)?;
            let lags = reader.read(&desired.group, &names(desired), timeout).await;
            let lags = lags.map_err(|error| lag_error(&error))?;
            Ok(KafkaReading::new(Instant::now(), &lags))
        }
        .boxed()
    }

    fn delete<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), KafkaError>> {
        async move {
            let config = config(desired)?;
            let mut names: Vec<&str> = desired.topics.iter().map(|topic| topic.name.as_str()).collect();
            names.extend(desired.shards_topic.as_deref());
            admin::delete_topics(&config, &names, timeout)
                .await
                .map_err(|error| admin_error(&error))?;
            delete_groups(&config, &desired.groups, timeout).await
        }
        .boxed()
    }
}

impl Brokers {
    fn reader(&self, desired: &DesiredTopics) -> Result<Arc<LagReader>, KafkaError> {
        let now = Instant::now();
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|shared| now < shared.used + UNUSED);
        if let Some(shared) = readers.iter_mut().find(|shared| shared.access == desired.access) {
            shared.used = now;
            return Ok(Arc::clone(&shared.reader));
        }
        let BrokerAccess { kafka, .. } = &desired.access;
        let access = broker::Access::new(kafka, &desired.access.source(), CLIENT_ID);
        let access = access.map_err(|error| refused(&error))?;
        // Records of a transaction that is open will have to be read too, so they count.
        let reader = Arc::new(LagReader::new(access, Isolation::ReadUncommitted));
        readers.push(SharedReader {
            access: desired.access.clone(),
            reader: Arc::clone(&reader),
            used: now,
        });
        Ok(reader)
    }
}

fn names(desired: &DesiredTopics) -> Vec<&str> {
    desired.topics.iter().map(|topic| topic.name.as_str()).collect()
}

fn config(desired: &DesiredTopics) -> Result<ClientConfig, KafkaError> {
    let BrokerAccess { kafka, .. } = &desired.access;
    client_config(kafka, &desired.access.source(), CLIENT_ID).map_err(|error| refused(&error))
}

fn refused(error: &dyn std::error::Error) -> KafkaError {
    KafkaError {
        kind: KafkaErrorKind::Refused,
        message: one_line(error),
    }
}

async fn delete_groups(
    config: &ClientConfig,
    groups: &[String],
    timeout: Duration,
) -> Result<(), KafkaError> {
    let client: AdminClient<DefaultClientContext> = config.create().map_err(|error| refused(&error))?;
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    let options = AdminOptions::new()
        .request_timeout(Some(timeout))
        .operation_timeout(Some(timeout));
    let results = client
        .delete_groups(&names, &options)
        .await
        .map_err(|error| KafkaError {
            kind: KafkaErrorKind::Unreachable,
            message: format!("Kafka did not delete consumer groups: {error}"),
        })?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
            Err((group, code)) => {
                return Err(KafkaError {
                    kind: KafkaErrorKind::Refused,
                    message: format!("cannot delete the consumer group {group}: {code}"),
                });
            }
        }
    }
    Ok(())
}

fn lag_error(error: &LagError) -> KafkaError {
    KafkaError {
        kind: match error {
            LagError::TopicMissing { .. } => KafkaErrorKind::Refused,
            LagError::Problem(problem) if problem.kind == NotAuthorised => KafkaErrorKind::Refused,
            _ => KafkaErrorKind::Unreachable,
        },
        message: one_line(error),
    }
}

fn admin_error(error: &AdminError) -> KafkaError {
    KafkaError {
        kind: match error {
            AdminError::Refused { .. } | AdminError::Client(_) => KafkaErrorKind::Refused,
            _ => KafkaErrorKind::Unreachable,
        },
        message: one_line(error),
    }
}

fn one_line(error: &dyn std::error::Error) -> String {
    runtime::report::lines(error)
        .lines()
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
}
