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

use super::{Access, Kafka, Problem, ProblemKind, Reading, Wish};

/// What brokers know the operator's connections by.
const CLIENT_ID: &str = "streampipeline-operator";

/// The connections to a cluster that nobody has asked for so long are closed.
const UNUSED: Duration = Duration::from_mins(5);

/// Looks go over connections of our own, which all pipelines with the same access share; what changes anything goes
/// over librdkafka.
#[derive(Default)]
pub struct Brokers {
    clusters: Mutex<Vec<Cluster>>,
}

struct Cluster {
    access: Access,
    reader: Arc<LagReader>,
    used: Instant,
}

impl Kafka for Brokers {
    fn partitions<'a>(
        &'a self,
        wish: &'a Wish,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<Option<i32>>, Problem>> {
        async move {
            let reader = self.reader(wish)?;
            let partitions = reader.partitions(&names(wish), timeout).await;
            partitions.map_err(|error| lag_problem(&error))
        }
        .boxed()
    }

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

    fn read<'a>(&'a self, wish: &'a Wish, timeout: Duration) -> BoxFuture<'a, Result<Reading, Problem>> {
        async move {
            let reader = self.reader(wish)?;
            let lags = reader.read(&wish.group, &names(wish), timeout).await;
            let lags = lags.map_err(|error| lag_problem(&error))?;
            Ok(Reading::new(Instant::now(), &lags))
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
            let groups: Vec<&str> = wish.groups.iter().map(String::as_str).collect();
            admin::delete_groups(&config, &groups, timeout)
                .await
                .map_err(|error| admin_problem(&error))
        }
        .boxed()
    }
}

impl Brokers {
    fn reader(&self, wish: &Wish) -> Result<Arc<LagReader>, Problem> {
        let now = Instant::now();
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.retain(|cluster| now < cluster.used + UNUSED);
        if let Some(cluster) = clusters.iter_mut().find(|cluster| cluster.access == wish.access) {
            cluster.used = now;
            return Ok(Arc::clone(&cluster.reader));
        }
        let Access { kafka, .. } = &wish.access;
        let access = broker::Access::new(kafka, &wish.access.source(), CLIENT_ID);
        let access = access.map_err(|error| refused(&error))?;
        // Records of a transaction that is open will have to be read too, so they count.
        let reader = Arc::new(LagReader::new(access, Isolation::ReadUncommitted));
        clusters.push(Cluster {
            access: wish.access.clone(),
            reader: Arc::clone(&reader),
            used: now,
        });
        Ok(reader)
    }
}

fn names(wish: &Wish) -> Vec<&str> {
    wish.topics.iter().map(|topic| topic.name.as_str()).collect()
}

fn config(wish: &Wish) -> Result<ClientConfig, Problem> {
    let Access { kafka, .. } = &wish.access;
    client_config(kafka, &wish.access.source(), CLIENT_ID).map_err(|error| refused(&error))
}

fn refused(error: &dyn std::error::Error) -> Problem {
    Problem {
        kind: ProblemKind::Refused,
        message: runtime::report::line(error),
    }
}

fn lag_problem(error: &LagError) -> Problem {
    Problem {
        kind: match error {
            LagError::TopicMissing { .. } => ProblemKind::Refused,
            LagError::Issue(issue) if issue.kind == IssueKind::NotAuthorised => ProblemKind::Refused,
            _ => ProblemKind::Unreachable,
        },
        message: runtime::report::line(error),
    }
}

fn admin_problem(error: &AdminError) -> Problem {
    Problem {
        kind: match error {
            AdminError::Refused { .. } | AdminError::GroupRefused { .. } | AdminError::Client(_) => {
                ProblemKind::Refused
            }
            _ => ProblemKind::Unreachable,
        },
        message: runtime::report::line(error),
    }
}
