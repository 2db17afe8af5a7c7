//! Topics: created, given more partitions, deleted. Groups: deleted.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

pub use super::admin_error::AdminError;
use super::admin_error::refused;
use super::inspect::{Inspector, TopicState};
use super::metadata;

/// How often the cluster is asked whether it is done.
const POLL: Duration = Duration::from_millis(100);

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    /// As in `spec.topics[].name`.
    pub name: String,
    /// Partitions that it should have at least.
    pub partitions: i32,
    /// Replicas of each partition; only used when it is created.
    pub replication_factor: i16,
    /// Kafka topic configuration; only used when it is created.
    pub config: BTreeMap<String, String>,
}

/// What was done about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicOutcome {
    /// It was not there.
    Created {
        /// Partitions that it has now.
        partitions: i32,
    },
    /// It had too few partitions.
    Raised {
        /// Partitions that it had.
        from: i32,
        /// Partitions that it has now.
        to: i32,
    },
    /// It had enough partitions, possibly more than planned.
    Unchanged {
        /// Partitions that it has.
        partitions: i32,
    },
}

impl From<&api::Topic> for TopicPlan {
    fn from(topic: &api::Topic) -> Self {
        Self {
            name: topic.name.as_str().to_owned(),
            partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            config: topic.config.clone(),
        }
    }
}

/// Creates the topics that are missing and raises the partitions of those that have too few; never lowers,
/// deletes or reconfigures. Returns when the metadata shows them, in the order of `topics`.
///
/// Several processes may do this at the same time.
pub async fn ensure_topics(
    config: &ClientConfig,
    topics: &[TopicPlan],
    timeout: Duration,
) -> Result<Vec<TopicOutcome>, AdminError> {
    let admin = Admin::new(config, timeout)?;
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let before = admin.states(&names).await?;
    let mut now = before.clone();
    let mut acted = HashSet::new();
    loop {
        let mut unfinished = None;
        for (plan, state) in topics.iter().zip(&now) {
            let step = step(plan, state.partitions);
            if step == Step::Nothing {
                continue;
            }
            unfinished = Some(plan);
            // Once only: what Kafka has accepted takes a moment to show. But a topic that somebody else creates
            // with fewer partitions at this moment is raised after all.
            if acted.insert((&plan.name, step)) {
                admin.act(plan, state, step).await?;
            }
        }
        let Some(plan) = unfinished else { break };
        admin.check_deadline(&plan.name)?;
        tokio::time::sleep(POLL).await;
        now = admin.states(&names).await?;
    }
    let pairs = before.iter().zip(&now);
    Ok(pairs
        .map(|(before, now)| outcome(before.partitions, now.partitions))
        .collect())
}

/// Deletes topics and waits until they are gone; one that is not there is fine.
pub async fn delete_topics(
    config: &ClientConfig,
    names: &[&str],
    timeout: Duration,
) -> Result<(), AdminError> {
    let admin = Admin::new(config, timeout)?;
    let states = admin.states(names).await?;
    let present: Vec<&str> = names
        .iter()
        .zip(&states)
        .filter(|(_, state)| state.partitions.is_some())
        .map(|(name, _)| *name)
        .collect();
    if present.is_empty() {
        return Ok(());
    }
    let results = admin.client.delete_topics(&present, &admin.options()).await;
    for result in results.map_err(|source| admin.no_answer("delete", source))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => return Err(refused("delete", &topic, code, String::new())),
        }
    }
    loop {
        let states = admin.states(&present).await?;
        let Some((name, _)) = present
            .iter()
            .zip(&states)
            .find(|(_, state)| state.partitions.is_some())
        else {
            return Ok(());
        };
        admin.check_deadline(name)?;
        tokio::time::sleep(POLL).await;
    }
}

/// Partitions of each topic, in the order of `names`; `None` for one that is not there.
pub async fn partition_counts(
    config: &ClientConfig,
    names: &[&str],
    timeout: Duration,
) -> Result<Vec<Option<i32>>, AdminError> {
    let inspector = Inspector::new(config)?;
    let states = inspector.states(names, Instant::now() + timeout).await?;
    Ok(states.iter().map(|state| state.partitions).collect())
}

/// Deletes consumer groups; one that is not there is fine.
pub async fn delete_groups(
    config: &ClientConfig,
    groups: &[&str],
    timeout: Duration,
) -> Result<(), AdminError> {
    let client: AdminClient<DefaultClientContext> = config.create().map_err(AdminError::Client)?;
    let options = AdminOptions::new()
        .request_timeout(Some(timeout))
        .operation_timeout(Some(timeout));
    let results = client.delete_groups(groups, &options).await;
    for result in results.map_err(AdminError::Groups)? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
            Err((group, code)) => {
                return Err(AdminError::GroupRefused {
                    group,
                    reason: code.to_string(),
                });
            }
        }
    }
    Ok(())
}

/// Id and `host:port` of each broker of the cluster; none if they cannot be had.
pub async fn brokers(config: ClientConfig, timeout: Duration) -> Vec<(i32, String)> {
    let asked = tokio::task::spawn_blocking(move || metadata::brokers(&config, timeout));
    asked.await.ok().flatten().unwrap_or_default()
}

/// What is to be done about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Create,
    Raise,
    Nothing,
}

fn step(plan: &TopicPlan, partitions: Option<i32>) -> Step {
    match partitions {
        None => Step::Create,
        Some(partitions) if partitions < plan.partitions => Step::Raise,
        Some(_) => Step::Nothing,
    }
}

/// What must have been done, by whomever, to come from `before` to `now`.
fn outcome(before: Option<i32>, now: Option<i32>) -> TopicOutcome {
    let now = now.unwrap_or(0);
    match before {
        None => TopicOutcome::Created { partitions: now },
        Some(before) if before < now => TopicOutcome::Raised {
            from: before,
            to: now,
        },
        Some(_) => TopicOutcome::Unchanged { partitions: now },
    }
}

struct Admin {
    client: AdminClient<DefaultClientContext>,
    inspector: Inspector,
    timeout: Duration,
    deadline: Instant,
}

impl Admin {
    fn new(config: &ClientConfig, timeout: Duration) -> Result<Self, AdminError> {
        let client = config.create().map_err(AdminError::Client)?;
        let inspector = Inspector::new(config)?;
        Ok(Self {
            client,
            inspector,
            timeout,
            deadline: Instant::now() + timeout,
        })
    }

    async fn states(&self, names: &[&str]) -> Result<Vec<TopicState>, AdminError> {
        self.inspector.states(names, self.deadline).await
    }

    /// Creates or raises one topic. Somebody else may have done it a moment ago: the metadata will tell.
    async fn act(&self, plan: &TopicPlan, state: &TopicState, step: Step) -> Result<(), AdminError> {
        let create = step == Step::Create;
        let (action, result) = if create {
            let replication = TopicReplication::Fixed(plan.replication_factor.into());
            let mut topic = NewTopic::new(&plan.name, plan.partitions, replication);
            for (key, value) in &plan.config {
                topic = topic.set(key, value);
            }
            (
                "create",
                self.client.create_topics(&[topic], &self.options()).await,
            )
        } else {
            let partitions = NewPartitions::new(&plan.name, usize::try_from(plan.partitions).unwrap_or(0));
            (
                "raise the partitions of",
                self.client
                    .create_partitions(&[partitions], &self.options())
                    .await,
            )
        };
        for result in result.map_err(|source| self.no_answer(action, source))? {
            match result {
                Ok(_) => tracing::info!(
                    topic = plan.name,
                    partitions = plan.partitions,
                    created = create,
                    "topic"
                ),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) if create => {}
                Err((_, RDKafkaErrorCode::InvalidPartitions)) if !create => {}
                Err((topic, code)) => return Err(refused(action, &topic, code, detail(plan, state, code))),
            }
        }
        Ok(())
    }

    fn options(&self) -> AdminOptions {
        let left = self.deadline.saturating_duration_since(Instant::now()).max(POLL);
        AdminOptions::new()
            .request_timeout(Some(left))
            .operation_timeout(Some(left))
    }

    fn check_deadline(&self, topic: &str) -> Result<(), AdminError> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        Err(AdminError::NotVisible {
            topic: topic.to_owned(),
            timeout: self.timeout,
        })
    }

    fn no_answer(&self, action: &'static str, source: KafkaError) -> AdminError {
        AdminError::NoAnswer {
            action,
            timeout: self.timeout,
            source,
        }
    }
}

/// What the plan has to do with Kafka's refusal; Kafka's own words do not come through the client.
fn detail(plan: &TopicPlan, state: &TopicState, code: RDKafkaErrorCode) -> String {
    match code {
        RDKafkaErrorCode::InvalidReplicationFactor => format!(
            "; replicationFactor is {} and the cluster has {} broker(s)",
            plan.replication_factor, state.brokers
        ),
        RDKafkaErrorCode::InvalidConfig => {
            let settings: Vec<String> = plan
                .config
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            format!("; check spec.topics[].config: {}", settings.join(", "))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_created_and_raised_and_never_lowered() {
        let plan = TopicPlan {
            name: "t".to_owned(),
            partitions: 12,
            replication_factor: 1,
            config: BTreeMap::new(),
        };
        for (partitions, expected) in [
            (None, Step::Create),
            (Some(4), Step::Raise),
            (Some(12), Step::Nothing),
            (Some(20), Step::Nothing),
        ] {
            assert_eq!(step(&plan, partitions), expected, "{partitions:?}");
        }
        assert_eq!(outcome(None, Some(12)), TopicOutcome::Created { partitions: 12 });
        assert_eq!(
            outcome(Some(4), Some(12)),
            TopicOutcome::Raised { from: 4, to: 12 }
        );
        assert_eq!(
            outcome(Some(20), Some(20)),
            TopicOutcome::Unchanged { partitions: 20 }
        );
    }
}
