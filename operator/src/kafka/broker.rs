//! Real brokers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::kafka::admin::{self, AdminError, TopicOutcome};
use ::kafka::broker;
use ::kafka::client::client_config;
use ::kafka::issue::IssueKind;
use ::kafka::lag::{Isolation, LagError, LagReader};
use ::kafka::librdkafka::ClientConfig;
use futures::FutureExt;
use futures::future::BoxFuture;
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
            let groups: Vec<&str> = desired.groups.iter().map(String::as_str).collect();
            admin::delete_groups(&config, &groups, timeout)
                .await
                .map_err(|error| admin_error(&error))
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
        message: runtime::report::line(error),
    }
}

fn lag_error(error: &LagError) -> KafkaError {
    KafkaError {
        kind: match error {
            LagError::TopicMissing { .. } => KafkaErrorKind::Refused,
            LagError::Issue(issue) if issue.kind == IssueKind::NotAuthorised => KafkaErrorKind::Refused,
            _ => KafkaErrorKind::Unreachable,
        },
        message: runtime::report::line(error),
    }
}

fn admin_error(error: &AdminError) -> KafkaError {
    KafkaError {
        kind: match error {
            AdminError::Refused { .. } | AdminError::GroupRefused { .. } | AdminError::Client(_) => {
                KafkaErrorKind::Refused
            }
            _ => KafkaErrorKind::Unreachable,
        },
        message: runtime::report::line(error),
    }
}
