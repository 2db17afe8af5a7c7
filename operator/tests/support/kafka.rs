//! A Kafka that does what the test says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::kafka::lag::{PartitionLag, Range};
use futures::FutureExt;
use futures::future::BoxFuture;
use operator::kafka::{DesiredTopics, KafkaClient, KafkaError, KafkaErrorKind, KafkaReading};
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) topics: std::collections::BTreeMap<String, i32>,
    pub(crate) down: bool,
    /// Never answers.
    pub(crate) hangs: bool,
    pub(crate) refuses: Option<String>,
    pub(crate) waiting: i64,
    pub(crate) report: String,
    pub(crate) reads: u64,
    pub(crate) deleted: Vec<String>,
}

#[derive(Clone, Default)]
pub(crate) struct FakeKafka(pub(crate) Arc<Mutex<State>>);

impl FakeKafka {
    async fn ask<T>(&self, act: impl FnOnce(&mut State) -> T) -> Result<T, KafkaError> {
        let problem = {
            let state = self.0.lock().unwrap();
            if state.hangs {
                None
            } else if state.down {
                Some(KafkaError {
                    kind: KafkaErrorKind::Unreachable,
                    message: "kafka:9092 does not answer; check spec.kafka.bootstrapServers".to_owned(),
                })
            } else if let Some(message) = &state.refuses {
                Some(KafkaError {
                    kind: KafkaErrorKind::Refused,
                    message: message.clone(),
                })
            } else {
                drop(state);
                return Ok(act(&mut self.0.lock().unwrap()));
            }
        };
        match problem {
            Some(problem) => Err(problem),
            None => std::future::pending().await,
        }
    }
}

impl KafkaClient for FakeKafka {
    fn partitions<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        _: Duration,
    ) -> BoxFuture<'a, Result<Vec<Option<i32>>, KafkaError>> {
        self.ask(|state| {
            let topics = desired.topics.iter();
            topics
                .map(|topic| state.topics.get(&topic.name).copied())
                .collect()
        })
        .boxed()
    }

    fn ensure<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        _: Duration,
    ) -> BoxFuture<'a, Result<Vec<i32>, KafkaError>> {
        self.ask(|state| {
            desired
                .topics
                .iter()
                .map(|topic| {
                    let partitions = state.topics.entry(topic.name.clone()).or_insert(0);
                    *partitions = (*partitions).max(topic.partitions);
                    *partitions
                })
                .collect()
        })
        .boxed()
    }

    fn read<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        _: Duration,
    ) -> BoxFuture<'a, Result<KafkaReading, KafkaError>> {
        self.ask(|state| {
            state.reads += 1;
            let topics: Vec<_> = desired
                .topics
                .iter()
                .map(|topic| {
                    let partitions = *state.topics.get(&topic.name).unwrap_or(&0);
                    let lags = (0..partitions)
                        .map(|partition| PartitionLag {
                            partition,
                            range: Some(Range { start: 0, end: 1000 }),
                            committed: Some(1000 - state.waiting),
                            metadata: (!state.report.is_empty()).then(|| state.report.clone()),
                        })
                        .collect();
                    (topic.name.clone(), lags)
                })
                .collect();
            KafkaReading::new(Instant::now(), &topics)
        })
        .boxed()
    }

    fn delete<'a>(
        &'a self,
        desired: &'a DesiredTopics,
        _: Duration,
    ) -> BoxFuture<'a, Result<(), KafkaError>> {
        self.ask(|state| {
            for topic in &desired.topics {
                state.topics.remove(&topic.name);
                state.deleted.push(topic.name.clone());
            }
            state.deleted.extend(desired.groups.iter().cloned());
        })
        .boxed()
    }
}
