//! One task a pipeline that keeps its topics ready and reads its lag, whatever Kafka does.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::kafka::admin::TopicPlan;
use runtime::backoff::Backoff;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::client::{KafkaClient, KafkaError, KafkaErrorKind};
use super::desired::DesiredTopics;
use super::history::LagHistory;
use crate::metrics::Metrics;
use crate::names::PipelineKey;

/// How often, and with how much patience, Kafka is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonitorConfig {
    /// From the end of one reading to the next.
    pub interval: Duration,
    /// Longest that a reading may take.
    pub timeout: Duration,
    /// Pipelines whose topics are made at the same time: each takes clients of its own, with their threads.
    pub concurrency: usize,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(15),
            concurrency: 4,
        }
    }
}

/// What was observed of one pipeline's Kafka last.
#[derive(Debug, Clone, Default)]
pub(crate) struct KafkaObservation {
    /// The hash of the desired topics that `topics` is about.
    pub(crate) about: String,
    /// Partitions of each topic, or what is wrong with them; `None` before Kafka has answered about the topics that are
    /// desired now.
    pub(crate) topics: Option<Result<Vec<i32>, KafkaError>>,
    /// The readings that succeeded.
    pub(crate) history: LagHistory,
    /// Why the last request failed, if it did.
    pub(crate) error: Option<KafkaError>,
}

/// The tasks of all pipelines. Dropping it ends them.
pub(crate) struct Monitors {
    shared: Arc<Shared>,
    monitors: Mutex<HashMap<PipelineKey, Monitor>>,
}

struct Shared {
    kafka: Arc<dyn KafkaClient>,
    config: MonitorConfig,
    permits: Semaphore,
    changed: mpsc::Sender<PipelineKey>,
    metrics: Metrics,
}

struct Monitor {
    desired: watch::Sender<Arc<DesiredTopics>>,
    observed: watch::Receiver<Arc<KafkaObservation>>,
    _task: AbortOnDropHandle<()>,
}

struct Task {
    shared: Arc<Shared>,
    key: PipelineKey,
    desired: watch::Receiver<Arc<DesiredTopics>>,
    observed: watch::Sender<Arc<KafkaObservation>>,
}

impl Monitors {
    /// `changed` gets the pipelines of which there is something new.
    #[must_use]
    pub(crate) fn new(
        kafka: Arc<dyn KafkaClient>,
        config: MonitorConfig,
        changed: mpsc::Sender<PipelineKey>,
        metrics: Metrics,
    ) -> Self {
        let shared = Arc::new(Shared {
            kafka,
            config,
            permits: Semaphore::new(config.concurrency.max(1)),
            changed,
            metrics,
        });
        Self {
            shared,
            monitors: Mutex::default(),
        }
    }

    /// From one reading to the next.
    #[must_use]
    pub(crate) fn interval(&self) -> Duration {
        self.shared.config.interval
    }

    /// Has a task that keeps Kafka as `desired` says from now on, and gives what was observed last. Never waits.
    pub(crate) fn ensure(&self, key: &PipelineKey, desired: DesiredTopics) -> Arc<KafkaObservation> {
        let mut monitors = self.lock();
        let hash = desired.topics_hash.clone();
        let monitor = match monitors.entry(key.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.start(key.clone(), desired.clone())),
        };
        monitor.desired.send_if_modified(|known| {
            let differs = known.topics_hash != desired.topics_hash || known.uid != desired.uid;
            if differs {
                *known = Arc::new(desired);
            }
            differs
        });
        let observed = Arc::clone(&monitor.observed.borrow());
        if observed.about == hash {
            return observed;
        }
        // What holds of other topics says nothing about these.
        Arc::new(KafkaObservation {
            topics: None,
            ..(*observed).clone()
        })
    }

    /// Ends the task of a pipeline.
    pub(crate) fn forget(&self, key: &PipelineKey) {
        self.lock().remove(key);
    }

    /// Ends the tasks of pipelines that are gone.
    pub(crate) fn retain(&self, keep: impl Fn(&PipelineKey) -> bool) {
        self.lock().retain(|key, _| keep(key));
    }

    /// Deletes what a pipeline has in Kafka.
    pub(crate) async fn delete(&self, desired: &DesiredTopics) -> Result<(), KafkaError> {
        self.shared
            .kafka
            .delete(desired, self.shared.config.timeout)
            .await
    }

    fn start(&self, key: PipelineKey, desired: DesiredTopics) -> Monitor {
        let (desired, desired_by_task) = watch::channel(Arc::new(desired));
        let (observed_by_task, observed) = watch::channel(Arc::new(KafkaObservation::default()));
        let task = Task {
            shared: Arc::clone(&self.shared),
            key,
            desired: desired_by_task,
            observed: observed_by_task,
        };
        Monitor {
            desired,
            observed,
            _task: AbortOnDropHandle::new(tokio::spawn(task.run())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PipelineKey, Monitor>> {
        self.monitors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between attempts to make topics ready.
const RETRY: Backoff = Backoff {
    initial: Duration::from_secs(2),
    max: Duration::from_mins(1),
};

impl Task {
    async fn run(mut self) {
        let mut attempt = 0;
        loop {
            let desired = Arc::clone(&self.desired.borrow_and_update());
            let ready = self.observed.borrow().about == desired.topics_hash
                && matches!(self.observed.borrow().topics, Some(Ok(_)));
            let pause = if ready || self.ensure(&desired).await {
                attempt = 0;
                self.read(&desired).await;
                self.shared.config.interval
            } else {
                attempt += 1;
                RETRY.delay(attempt - 1, rand::random())
            };
            // A full queue is no loss: every pipeline is reconciled again by itself.
            let _ = self.shared.changed.try_send(self.key.clone());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = self.desired.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Makes topics ready; gives whether they are.
    async fn ensure(&self, desired: &DesiredTopics) -> bool {
        let result = self.make_ready(desired).await;
        let ready = result.is_ok();
        self.note("ensure", result.as_ref().err());
        self.observed.send_modify(|observed| {
            let observed = Arc::make_mut(observed);
            observed.about.clone_from(&desired.topics_hash);
            observed.error = result.as_ref().err().cloned();
            observed.topics = Some(result);
        });
        ready
    }

    /// Gives the partitions of each topic. Who waits for a permit has had an answer of Kafka a moment ago, so that a
    /// cluster that hangs does not hold up the pipelines of others.
    async fn make_ready(&self, desired: &DesiredTopics) -> Result<Vec<i32>, KafkaError> {
        let Shared { kafka, config, .. } = &*self.shared;
        let there = within(config.timeout * 2, kafka.partitions(desired, config.timeout)).await?;
        let enough =
            |(plan, there): (&TopicPlan, Option<i32>)| there.filter(|there| *there >= plan.partitions);
        let ready: Option<Vec<i32>> = desired.topics.iter().zip(there).map(enough).collect();
        if let Some(ready) = ready {
            return Ok(ready);
        }
        // Nobody closes the semaphore.
        let _permit = self.shared.permits.acquire().await;
        within(config.timeout * 2, kafka.ensure(desired, config.timeout)).await
    }

    async fn read(&self, desired: &DesiredTopics) {
        let timeout = self.shared.config.timeout;
        let result = within(timeout * 2, self.shared.kafka.read(desired, timeout)).await;
        self.note("read", result.as_ref().err());
        self.observed.send_modify(|observed| {
            let observed = Arc::make_mut(observed);
            match result {
                Ok(reading) => {
                    observed.error = None;
                    observed.history.push(reading);
                }
                Err(error) => {
                    // A topic that is gone is made again.
                    if error.kind == KafkaErrorKind::Refused {
                        observed.topics = None;
                    }
                    observed.error = Some(error);
                }
            }
        });
    }

    fn note(&self, request: &'static str, error: Option<&KafkaError>) {
        self.shared
            .metrics
            .kafka_asked(request, error.map_or("Ok", |error| error.kind.as_str()));
        if let Some(error) = error {
            tracing::debug!(namespace = self.key.0, pipeline = self.key.1, request, %error, "Kafka");
        }
    }
}

/// Whatever Kafka does, it ends.
async fn within<T>(
    timeout: Duration,
    request: impl Future<Output = Result<T, KafkaError>>,
) -> Result<T, KafkaError> {
    let answer = tokio::time::timeout(timeout, request).await;
    answer.unwrap_or_else(|_| {
        Err(KafkaError {
            kind: KafkaErrorKind::Unreachable,
            message: format!("Kafka did not answer within {timeout:?}"),
        })
    })
}
