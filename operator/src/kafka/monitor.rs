//! One task a pipeline that keeps its topics ready and looks at its lag, whatever Kafka does.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::kafka::admin::TopicPlan;
use runtime::backoff::Backoff;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::reading::History;
use super::{Kafka, Problem, ProblemKind, Wish};
use crate::metrics::Metrics;

/// How Kafka is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinksConfig {
    /// From one look to the next.
    pub interval: Duration,
    /// Longest that a look may take.
    pub timeout: Duration,
    /// Pipelines whose topics are made at the same time: each takes clients of its own, with their threads.
    pub concurrency: usize,
}

impl Default for LinksConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(15),
            concurrency: 4,
        }
    }
}

/// Which pipeline: namespace and name.
pub(crate) type Key = (String, String);

/// What was seen of one pipeline's Kafka last.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The wish that `topics` answers, by its hash.
    pub(crate) about: String,
    /// Partitions of each topic, or what is wrong with them; `None` before Kafka has answered about the present wish.
    pub topics: Option<Result<Vec<i32>, Problem>>,
    /// The looks that succeeded.
    pub history: History,
    /// What was wrong with the last look, if it failed.
    pub problem: Option<Problem>,
}

/// The tasks of all pipelines. Dropping it ends them.
pub struct Links {
    shared: Arc<Shared>,
    links: Mutex<HashMap<Key, Link>>,
}

struct Shared {
    kafka: Arc<dyn Kafka>,
    config: LinksConfig,
    turns: Semaphore,
    changed: mpsc::Sender<Key>,
    metrics: Metrics,
}

struct Link {
    wish: watch::Sender<Arc<Wish>>,
    seen: watch::Receiver<Arc<Seen>>,
    _task: AbortOnDropHandle<()>,
}

struct Task {
    shared: Arc<Shared>,
    key: Key,
    wishes: watch::Receiver<Arc<Wish>>,
    seen: watch::Sender<Arc<Seen>>,
}

impl Links {
    /// `changed` is told the pipelines of which there is something new.
    #[must_use]
    pub fn new(
        kafka: Arc<dyn Kafka>,
        config: LinksConfig,
        changed: mpsc::Sender<Key>,
        metrics: Metrics,
    ) -> Self {
        let shared = Arc::new(Shared {
            kafka,
            config,
            turns: Semaphore::new(config.concurrency.max(1)),
            changed,
            metrics,
        });
        Self {
            shared,
            links: Mutex::default(),
        }
    }

    /// From one look to the next.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.shared.config.interval
    }

    /// Keeps Kafka as `wish` says from now on, and gives what was seen last. Never waits.
    pub(crate) fn want(&self, key: &Key, wish: Wish) -> Arc<Seen> {
        let mut links = self.lock();
        let hash = wish.topics_hash.clone();
        let link = match links.entry(key.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.start(key.clone(), wish.clone())),
        };
        link.wish.send_if_modified(|known| {
            let differs = known.topics_hash != wish.topics_hash || known.uid != wish.uid;
            if differs {
                *known = Arc::new(wish);
            }
            differs
        });
        let seen = Arc::clone(&link.seen.borrow());
        if seen.about == hash {
            return seen;
        }
        // The answer to another wish says nothing about this one's topics.
        Arc::new(Seen {
            topics: None,
            ..(*seen).clone()
        })
    }

    /// Ends the task of a pipeline.
    pub(crate) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// Ends the tasks of pipelines that are gone.
    pub(crate) fn retain(&self, keep: impl Fn(&Key) -> bool) {
        self.lock().retain(|key, _| keep(key));
    }

    /// Deletes what a pipeline has in Kafka.
    pub(crate) async fn delete(&self, wish: &Wish) -> Result<(), Problem> {
        self.shared.kafka.delete(wish, self.shared.config.timeout).await
    }

    fn start(&self, key: Key, wish: Wish) -> Link {
        let (wish, wishes) = watch::channel(Arc::new(wish));
        let (sender, seen) = watch::channel(Arc::new(Seen::default()));
        let task = Task {
            shared: Arc::clone(&self.shared),
            key,
            wishes,
            seen: sender,
        };
        Link {
            wish,
            seen,
            _task: AbortOnDropHandle::new(tokio::spawn(task.run())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
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
            let wish = Arc::clone(&self.wishes.borrow_and_update());
            let ready = self.seen.borrow().about == wish.topics_hash
                && matches!(self.seen.borrow().topics, Some(Ok(_)));
            let pause = if ready || self.ensure(&wish).await {
                attempt = 0;
                self.look(&wish).await;
                self.shared.config.interval
            } else {
                attempt += 1;
                RETRY.delay(attempt - 1, rand::random())
            };
            // A full queue is no loss: every pipeline is looked at again by itself.
            let _ = self.shared.changed.try_send(self.key.clone());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = self.wishes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Makes topics ready; gives whether they are.
    async fn ensure(&self, wish: &Wish) -> bool {
        let result = self.make_ready(wish).await;
        let ready = result.is_ok();
        self.note("ensure", result.as_ref().err());
        self.seen.send_modify(|seen| {
            let seen = Arc::make_mut(seen);
            seen.about.clone_from(&wish.topics_hash);
            seen.problem = result.as_ref().err().cloned();
            seen.topics = Some(result);
        });
        ready
    }

    /// Gives the partitions of each topic. Who waits for his turn has had an answer of Kafka a moment ago, so that a
    /// cluster that hangs does not hold up the pipelines of others.
    async fn make_ready(&self, wish: &Wish) -> Result<Vec<i32>, Problem> {
        let Shared { kafka, config, .. } = &*self.shared;
        let there = within(config.timeout * 2, kafka.partitions(wish, config.timeout)).await?;
        let enough =
            |(plan, there): (&TopicPlan, Option<i32>)| there.filter(|there| *there >= plan.partitions);
        let ready: Option<Vec<i32>> = wish.topics.iter().zip(there).map(enough).collect();
        if let Some(ready) = ready {
            return Ok(ready);
        }
        // Nobody closes it.
        let _turn = self.shared.turns.acquire().await;
        within(config.timeout * 2, kafka.ensure(wish, config.timeout)).await
    }

    async fn look(&self, wish: &Wish) {
        let timeout = self.shared.config.timeout;
        let result = within(timeout * 2, self.shared.kafka.read(wish, timeout)).await;
        self.note("read", result.as_ref().err());
        self.seen.send_modify(|seen| {
            let seen = Arc::make_mut(seen);
            match result {
                Ok(reading) => {
                    seen.problem = None;
                    seen.history.push(reading);
                }
                Err(problem) => {
                    // A topic that is gone is made again.
                    if problem.kind == ProblemKind::Refused {
                        seen.topics = None;
                    }
                    seen.problem = Some(problem);
                }
            }
        });
    }

    fn note(&self, what: &'static str, problem: Option<&Problem>) {
        self.shared
            .metrics
            .kafka_asked(what, problem.map_or("Ok", |problem| problem.kind.as_str()));
        if let Some(problem) = problem {
            tracing::debug!(namespace = self.key.0, pipeline = self.key.1, what, %problem, "Kafka");
        }
    }
}

/// Whatever Kafka does, it ends.
async fn within<T>(timeout: Duration, asked: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let answer = tokio::time::timeout(timeout, asked).await;
    answer.unwrap_or_else(|_| {
        Err(Problem {
            kind: ProblemKind::Unreachable,
            message: format!("Kafka did not answer within {timeout:?}"),
        })
    })
}
