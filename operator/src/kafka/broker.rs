//! Real brokers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::kafka::admin::{self, AdminError, TopicOutcome};
use ::kafka::client::client_config;
use ::kafka::lag::{LagError, LagReader};
use futures::FutureExt;
use futures::future::BoxFuture;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use tokio::time::Instant;

use super::{Kafka, Problem, ProblemKind, Reading, Wish};

/// Kafka by librdkafka.
#[derive(Default)]
pub struct Brokers {
    /// Connections that are kept, by pipeline, with the access that they were made with.
    readers: Mutex<HashMap<String, (String, Arc<LagReader>)>>,
}

impl Kafka for Brokers {
    fn ensure<'a>(&'a self, wish: &'a Wish, timeout: Duration) -> BoxFuture<'a, Result<Vec<i32>, Problem>> {
        async move {
            let config = config(wish)?;
            let outcomes = admin::ensure_topics(&config, &wish.topics, timeout)
                .await
                .map_err(|error| admin_problem(&error))?;
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
        wish: &'a Wish,
        keep: bool,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Reading, Problem>> {
        async move {
            let reader = self.reader(wish, keep)?;
            let topics: Vec<String> = wish.topics.iter().map(|topic| topic.name.clone()).collect();
            // The client blocks: not on a thread that others wait for.
            let read = tokio::task::spawn_blocking(move || read(&reader, &topics, timeout)).await;
            read.unwrap_or_else(|_| {
                Err(Problem {
                    kind: ProblemKind::Unreachable,
                    message: "reading the lag was broken off".to_owned(),
                })
            })
        }
        .boxed()
    }

    fn delete<'a>(&'a self, wish: &'a Wish, timeout: Duration) -> BoxFuture<'a, Result<(), Problem>> {
        async move {
            let config = config(wish)?;
            let mut names: Vec<&str> = wish.topics.iter().map(|topic| topic.name.as_str()).collect();
            names.extend(wish.shards_topic.as_deref());
            admin::delete_topics(&config, &names, timeout)
                .await
                .map_err(|error| admin_problem(&error))?;
            delete_groups(&config, &wish.groups, timeout).await
        }
        .boxed()
    }

    fn forget(&self, wish: &Wish) {
        let reader = self.readers().remove(&wish.uid);
        close(reader.map(|(_, reader)| reader));
    }
}

impl Brokers {
    fn reader(&self, wish: &Wish, keep: bool) -> Result<Arc<LagReader>, Problem> {
        let mut readers = self.readers();
        let known = if keep {
            readers.get(&wish.uid).cloned()
        } else {
            readers.remove(&wish.uid)
        };
        if let Some((_, reader)) = known.filter(|(access, _)| *access == wish.access_hash) {
            return Ok(reader);
        }
        let reader = LagReader::new(&config(wish)?, &wish.group).map_err(|error| Problem {
            kind: ProblemKind::Refused,
            message: one_line(&error),
        })?;
        let reader = Arc::new(reader);
        if keep {
            let replaced = readers.insert(wish.uid.clone(), (wish.access_hash.clone(), Arc::clone(&reader)));
            drop(readers);
            close(replaced.map(|(_, reader)| reader));
        }
        Ok(reader)
    }

    fn readers(&self) -> MutexGuard<'_, HashMap<String, (String, Arc<LagReader>)>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closing a client waits for its threads.
fn close(reader: Option<Arc<LagReader>>) {
    if let Some(reader) = reader {
        tokio::task::spawn_blocking(move || drop(reader));
    }
}

fn config(wish: &Wish) -> Result<ClientConfig, Problem> {
    let mut config =
        client_config(&wish.kafka, &wish.secrets, "streampipeline-operator").map_err(|error| Problem {
            kind: ProblemKind::Refused,
            message: one_line(&error),
        })?;
    // A look from outside does not wait for transactions that are open.
    config.set("isolation.level", "read_uncommitted");
    Ok(config)
}

fn read(reader: &LagReader, topics: &[String], timeout: Duration) -> Result<Reading, Problem> {
    let deadline = Instant::now() + timeout;
    let mut partitions = Vec::with_capacity(topics.len());
    for topic in topics {
        let left = deadline.saturating_duration_since(Instant::now());
        let lags = reader.read(topic, left).map_err(|error| Problem {
            kind: match error {
                LagError::TopicMissing { .. } => ProblemKind::Refused,
                _ => ProblemKind::Unreachable,
            },
            message: one_line(&error),
        })?;
        partitions.push((topic.clone(), lags));
    }
    Ok(Reading::new(Instant::now(), &partitions))
}

async fn delete_groups(config: &ClientConfig, groups: &[String], timeout: Duration) -> Result<(), Problem> {
    let refused = |message: String| Problem {
        kind: ProblemKind::Refused,
        message,
    };
    let client: AdminClient<DefaultClientContext> =
        config.create().map_err(|error| refused(error.to_string()))?;
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    let options = AdminOptions::new()
        .request_timeout(Some(timeout))
        .operation_timeout(Some(timeout));
    let results = client
        .delete_groups(&names, &options)
        .await
        .map_err(|error| Problem {
            kind: ProblemKind::Unreachable,
            message: format!("Kafka did not delete consumer groups: {error}"),
        })?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
            Err((group, code)) => {
                return Err(refused(format!(
                    "cannot delete the consumer group {group}: {code}"
                )));
            }
        }
    }
    Ok(())
}

fn admin_problem(error: &AdminError) -> Problem {
    Problem {
        kind: match error {
            AdminError::Refused { .. } | AdminError::Client(_) => ProblemKind::Refused,
            _ => ProblemKind::Unreachable,
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
