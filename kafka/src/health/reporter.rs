//! Turns what clients notice into log lines, a state to watch and a count.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::monitor::{Event, KafkaHealth, Line, Monitor, REMINDER};
use crate::issue::Issue;

/// What the connections of one client are like. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ErrorReporter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What the client is for, as log lines name it.
    client: String,
    state: Mutex<State>,
    health: watch::Sender<KafkaHealth>,
    errors: AtomicU64,
}

#[derive(Debug)]
struct State {
    monitor: Monitor,
    /// When a line was last logged, by its facility.
    logged: HashMap<String, Instant>,
}

impl ErrorReporter {
    /// A reporter for the client called `client` ("generator", "records"), as log lines name it.
    #[must_use]
    pub fn new(client: &str) -> Self {
        Self::with_bootstrap(client, String::new())
    }

    /// As [`new`](Self::new); `bootstrap` stands for a broker where an error names none.
    pub(crate) fn with_bootstrap(client: &str, bootstrap: String) -> Self {
        let monitor = Monitor::new(bootstrap, Instant::now());
        Self {
            shared: Arc::new(Shared {
                client: client.to_owned(),
                health: watch::Sender::new(monitor.health()),
                state: Mutex::new(State {
                    monitor,
                    logged: HashMap::new(),
                }),
                errors: AtomicU64::new(0),
            }),
        }
    }

    pub(crate) fn client(&self) -> &str {
        &self.shared.client
    }

    /// Something is wrong that somebody may have to do something about. The owner still sees what its own calls return,
    /// but need not log it.
    pub(crate) fn issue(&self, issue: Issue) {
        self.count();
        self.step(Event::Error(issue));
    }

    /// No broker is connected any more.
    pub(crate) fn all_down(&self) {
        self.count();
        self.step(Event::AllDown);
    }

    /// Something that passes by itself, worth a line now and then: no more than one a minute for each `name`.
    pub(crate) fn passing(&self, name: &str, text: &str) {
        self.count();
        self.log(name, text);
    }

    /// One more error for the metric.
    pub(crate) fn count(&self) {
        self.shared.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// The client has just done what it is there for: whatever was wrong is over.
    pub fn works(&self) {
        if *self.shared.health.borrow() != KafkaHealth::Working {
            self.step(Event::Success);
        }
    }

    /// As of the last event.
    #[must_use]
    pub fn health(&self) -> KafkaHealth {
        self.shared.health.borrow().clone()
    }

    /// The state and its changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<KafkaHealth> {
        self.shared.health.subscribe()
    }

    /// Errors so far, for a metric.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.shared.errors.load(Ordering::Relaxed)
    }

    pub(crate) fn step(&self, event: Event) {
        let mut state = self.lock();
        let line = state.monitor.step(event, Instant::now());
        let health = state.monitor.health();
        // Within the lock, so that two threads cannot publish their states in the wrong order.
        self.shared.health.send_if_modified(|current| {
            let changed = *current != health;
            *current = health;
            changed
        });
        drop(state);
        let client = &self.shared.client;
        match line {
            Some(Line::Failing(issue)) => {
                tracing::error!(client, kind = issue.kind.as_str(), "{issue}");
            }
            Some(Line::Partial(issue)) => {
                tracing::warn!(client, kind = issue.kind.as_str(), "{issue}");
            }
            Some(Line::Recovered(after)) => tracing::info!(client, "Kafka works again after {after:.1?}"),
            None => {}
        }
    }

    /// A line for the log, no more than one a minute for each `facility`.
    pub(crate) fn log(&self, facility: &str, text: &str) {
        let now = Instant::now();
        let mut state = self.lock();
        let last = state.logged.get(facility);
        if last.is_some_and(|last| now.saturating_duration_since(*last) < REMINDER) {
            return;
        }
        state.logged.insert(facility.to_owned(), now);
        drop(state);
        tracing::warn!(client = self.shared.client, facility, "{text}");
    }

    /// No panic leaves the state half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
