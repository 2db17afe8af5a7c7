//! Asking for lags, until there is an answer.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use runtime::backoff::Backoff;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::requests::{
    self, ByPartition, EARLIEST, LATEST, OFFSETS_OF_ONE, Topic, by_leader, fetch_offsets, fetched,
    list_offsets, listed, refused,
};
use super::{Isolation, LagError, PartitionLag, Range};
use crate::broker::{Access, Cluster, CoordinatorError, CoordinatorKind, Unanswered};

/// Looks at the same time: each may take a connection to each broker.
const LOOKS: usize = 8;

/// Between attempts.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(100),
    max: Duration::from_secs(1),
};

/// Looks at groups from outside: it never joins one, so it causes no rebalance. It is made for one cluster, and any
/// number of tasks may ask it about any groups and topics there: they share a few connections.
pub struct LagReader {
    cluster: Cluster,
    isolation: Isolation,
    looks: Semaphore,
}

impl LagReader {
    /// A reader of the cluster that `access` leads to; `isolation` says where a partition ends.
    #[must_use]
    pub fn new(access: Access, isolation: Isolation) -> Self {
        Self {
            cluster: Cluster::new(access),
            isolation,
            looks: Semaphore::new(LOOKS),
        }
    }

    /// Where `group` stands in each partition of `topics`, in their order and by number; asks for no longer than
    /// `patience`.
    ///
    /// What the group has just committed in a transaction that is open does not count yet, and is not waited for.
    pub async fn read(
        &self,
        group: &str,
        topics: &[&str],
        patience: Duration,
    ) -> Result<Vec<(String, Vec<PartitionLag>)>, LagError> {
        self.until(patience, || self.look(group, topics)).await
    }

    /// Partitions of each topic, in the order of `topics`; `None` for one that is not there. Asks for no longer than
    /// `patience`.
    pub async fn partitions(
        &self,
        topics: &[&str],
        patience: Duration,
    ) -> Result<Vec<Option<i32>>, LagError> {
        let found = self.until(patience, || self.describe(topics)).await?;
        let count = |topic: Topic| topic.partitions.map(|partitions| partitions.len() as i32);
        Ok(found.into_iter().map(count).collect())
    }

    /// Tries until it works, or waiting would not help, or `patience` is at its end: a broker that restarts is waited
    /// for.
    async fn until<T, Attempt: Future<Output = Result<T, LagError>>>(
        &self,
        patience: Duration,
        attempt: impl Fn() -> Attempt,
    ) -> Result<T, LagError> {
        let mut last = LagError::NoAnswer { after: patience };
        let attempts = async {
            // Nobody closes it.
            let _turn = self.looks.acquire().await;
            let mut failures = 0;
            loop {
                match attempt().await {
                    Err(error) if error.may_pass() => last = error,
                    outcome => return outcome,
                }
                tokio::time::sleep(BACKOFF.delay(failures, rand::random())).await;
                failures += 1;
            }
        };
        match timeout(patience, attempts).await {
            Ok(outcome) => outcome,
            Err(_) => Err(last),
        }
    }

    async fn look(&self, group: &str, names: &[&str]) -> Result<Vec<(String, Vec<PartitionLag>)>, LagError> {
        let topics = self.describe(names).await?;
        if let Some(missing) = topics.iter().find(|topic| topic.partitions.is_none()) {
            return Err(LagError::TopicMissing {
                topic: missing.name.to_string(),
            });
        }
        let (ranges, committed) = tokio::join!(self.ranges(&topics), self.committed(group, &topics));
        let (mut ranges, mut committed) = (ranges?, committed?);
        let mut lags = Vec::with_capacity(topics.len());
        for Topic { name, partitions } in topics {
            let mut of_topic = Vec::new();
            for led in partitions.unwrap_or_default() {
                let key = (name.clone(), led.number);
                let (committed, metadata) = committed.remove(&key).unzip();
                of_topic.push(PartitionLag {
                    partition: led.number,
                    range: ranges.remove(&key),
                    committed,
                    metadata: metadata.flatten(),
                });
            }
            lags.push((name.to_string(), of_topic));
        }
        Ok(lags)
    }

    async fn describe(&self, names: &[&str]) -> Result<Vec<Topic>, LagError> {
        let answer = self.cluster.describe(names.iter().copied()).await;
        let answer = answer.map_err(|error| unanswered(&error))?;
        requests::topics(&answer, names)
    }

    /// Where the partitions begin and end, one question after the other to each leader, and all leaders at the same
    /// time. Those of a leader that does not answer are unknown, unless none does.
    async fn ranges(&self, topics: &[Topic]) -> Result<ByPartition<Range>, LagError> {
        let leaders = by_leader(topics);
        let asked = leaders.into_iter().map(async |(leader, partitions)| {
            let ask = async |time| {
                let request = list_offsets(&partitions, time, self.isolation);
                let answer = self.cluster.ask(leader, &request, i16::MAX).await;
                answer.map(listed).map_err(|error| unanswered(&error))
            };
            Ok((ask(EARLIEST).await?, ask(LATEST).await?))
        });
        let mut ranges = HashMap::new();
        let mut failure = None;
        let mut answered = false;
        for answer in join_all(asked).await {
            match answer {
                Ok((starts, mut ends)) => {
                    answered = true;
                    ranges.extend(starts.into_iter().filter_map(|(key, start)| {
                        let end = ends.remove(&key)?;
                        Some((key, Range { start, end }))
                    }));
                }
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if !answered => Err(error),
            _ => Ok(ranges),
        }
    }

    async fn committed(
        &self,
        group: &str,
        topics: &[Topic],
    ) -> Result<ByPartition<(i64, Option<String>)>, LagError> {
        let found = self.cluster.find_coordinator(CoordinatorKind::Group, group);
        let coordinator = found.await.map_err(|error| match error {
            CoordinatorError::NotFound(code) => {
                refused(&format!("to find the coordinator of the group {group}"), code)
            }
            CoordinatorError::Unreachable(error) | CoordinatorError::Lost(error) => unanswered(&error),
        })?;
        let request = fetch_offsets(group, topics);
        let answer = self.cluster.ask(&coordinator, &request, OFFSETS_OF_ONE).await;
        fetched(answer.map_err(|error| unanswered(&error))?, group)
    }
}

fn unanswered(error: &Unanswered) -> LagError {
    LagError::Issue(error.issue())
}
