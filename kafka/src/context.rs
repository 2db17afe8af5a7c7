//! Clear, few log lines about a client's connection to Kafka, in place of librdkafka's own.
//!
//! A program with its own [`ClientContext`] keeps an [`ErrorReporter`] in it and passes `log`, `error` and
//! `stats_raw` on; one that has none uses [`ReportingContext`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde::Deserialize;
use tokio::sync::watch;

pub use crate::health::KafkaHealth;
use crate::health::{Event, Line, Monitor, REMINDER};
use crate::problem::classify;

/// Turns the callbacks of one client into log lines, a state to watch and a count. Cheap to clone.
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
    /// When a log line of librdkafka was last passed on, by its facility.
    passed_on: HashMap<String, Instant>,
}

impl ErrorReporter {
    /// A reporter for the client called `client` ("generator", "lag reader"), which will be made from
    /// `config`. Sets what it needs there: regular statistics, and no log lines beside it.
    #[must_use]
    pub fn new(client: &str, config: &mut ClientConfig) -> Self {
        config
            .set("statistics.interval.ms", "2000")
            .set_log_level(RDKafkaLogLevel::Warning);
        let bootstrap = config.get("bootstrap.servers").unwrap_or_default().to_owned();
        let monitor = Monitor::new(bootstrap, Instant::now());
        Self {
            shared: Arc::new(Shared {
                client: client.to_owned(),
                health: watch::Sender::new(monitor.health()),
                state: Mutex::new(State {
                    monitor,
                    passed_on: HashMap::new(),
                }),
                errors: AtomicU64::new(0),
            }),
        }
    }

    /// For [`ClientContext::error`]. The owner still sees what a poll returns, but need not log it.
    pub fn error(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        if code == RDKafkaErrorCode::PartitionEOF {
            return;
        }
        self.shared.errors.fetch_add(1, Ordering::Relaxed);
        if code == RDKafkaErrorCode::AllBrokersDown {
            self.step(Event::AllDown);
        } else if !self.step_if_problem(code, reason) {
            self.pass_on(&format!("{code:?}"), reason);
        }
    }

    /// For [`ClientContext::log`]. Connection failures mostly come as errors too, and are not repeated here.
    pub fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        // Which of librdkafka's threads it was says nothing to anybody.
        let text = text
            .strip_prefix("[thrd:")
            .and_then(|rest| rest.split_once("]: "))
            .map_or(text, |(_, rest)| rest);
        if (level as i32) > RDKafkaLogLevel::Warning as i32 || matches!(facility, "FAIL" | "ERROR") {
            tracing::debug!(client = self.shared.client, facility, "{text}");
        } else {
            self.pass_on(facility, text);
        }
        // A broker that accepts connections and never answers gives no error, only this line.
        if facility == "FAIL" && text.contains("timed out") {
            self.step_if_problem(RDKafkaErrorCode::BrokerTransportFailure, text);
        }
    }

    /// For [`ClientContext::stats_raw`].
    pub fn statistics(&self, json: &[u8]) {
        if let Ok(statistics) = serde_json::from_slice::<Statistics>(json) {
            self.step(statistics.event());
        }
    }

    /// The client has just done what it is there for: whatever was wrong is over.
    pub fn works(&self) {
        if *self.shared.health.borrow() != KafkaHealth::Working {
            self.step(Event::Success);
        }
    }

    /// The state now.
    #[must_use]
    pub fn health(&self) -> KafkaHealth {
        self.shared.health.borrow().clone()
    }

    /// The state and its changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<KafkaHealth> {
        self.shared.health.subscribe()
    }

    /// Errors that librdkafka has reported, for a metric.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.shared.errors.load(Ordering::Relaxed)
    }

    /// Takes the error in if it stands for a problem, and says whether it does.
    fn step_if_problem(&self, code: RDKafkaErrorCode, reason: &str) -> bool {
        let problem = classify(code, reason);
        let known = problem.is_some();
        if let Some(problem) = problem {
            self.step(Event::Error(problem));
        }
        known
    }

    fn step(&self, event: Event) {
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
            Some(Line::Failing(problem)) => {
                tracing::error!(client, kind = problem.kind.as_str(), "{problem}");
            }
            Some(Line::Partial(problem)) => {
                tracing::warn!(client, kind = problem.kind.as_str(), "{problem}");
            }
            Some(Line::Recovered(after)) => tracing::info!(client, "Kafka works again after {after:.1?}"),
            None => {}
        }
    }

    /// Passes a line of librdkafka on, no more than one a minute for each `facility`.
    fn pass_on(&self, facility: &str, text: &str) {
        let now = Instant::now();
        let mut state = self.lock();
        let last = state.passed_on.get(facility);
        if last.is_some_and(|last| now.saturating_duration_since(*last) < REMINDER) {
            return;
        }
        state.passed_on.insert(facility.to_owned(), now);
        drop(state);
        tracing::warn!(client = self.shared.client, facility, "{text}");
    }

    /// No panic leaves the state half changed, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of librdkafka's statistics that says which connections stand.
#[derive(Debug, Deserialize)]
struct Statistics {
    brokers: HashMap<String, BrokerStatistics>,
}

#[derive(Debug, Deserialize)]
struct BrokerStatistics {
    state: String,
    /// `logical` is the coordinator, a second connection to a broker that is listed by itself.
    source: String,
}

impl Statistics {
    fn event(&self) -> Event {
        let states = || {
            self.brokers
                .values()
                .filter(|broker| broker.source != "logical")
                .map(|b| b.state.as_str())
        };
        Event::Connections {
            standing: states().filter(|state| *state == "UP").count(),
            trying: states().any(|state| !matches!(state, "UP" | "INIT")),
        }
    }
}

/// The context of a client that needs nothing but an [`ErrorReporter`].
#[derive(Debug, Clone)]
pub struct ReportingContext {
    /// What its callbacks go to.
    pub reporter: ErrorReporter,
}

impl ClientContext for ReportingContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.reporter.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reporter.error(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.reporter.statistics(statistics);
    }
}

impl ConsumerContext for ReportingContext {}

/// Gives the callbacks of a consumer their turn that never subscribes, and so is not polled for records.
/// Bounded, because errors may come faster than they are served.
pub(crate) fn serve_events(consumer: &BaseConsumer<ReportingContext>) {
    for _ in 0..200 {
        // Errors go to the reporter on the way.
        drop(consumer.poll(Duration::ZERO));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_tell_connections_that_stand_from_those_that_are_tried() {
        let event = |json: &[u8]| serde_json::from_slice::<Statistics>(json).unwrap().event();
        let some = br#"{"name":"x","brokers":{
            "kafka:9092/1":{"nodeid":1,"state":"UP","source":"learned","tx":3},
            "kafka:9092/2":{"nodeid":2,"state":"AUTH_REQ","source":"learned"},
            "kafka:9092/bootstrap":{"nodeid":-1,"state":"INIT","source":"configured"},
            "GroupCoordinator":{"nodeid":1,"state":"UP","source":"logical"}}}"#;
        assert_eq!(
            event(some),
            Event::Connections {
                standing: 1,
                trying: true
            }
        );
        let idle = br#"{"brokers":{"kafka:9092/1":{"state":"INIT","source":"learned"}}}"#;
        assert_eq!(
            event(idle),
            Event::Connections {
                standing: 0,
                trying: false
            }
        );
    }

    #[test]
    fn the_end_of_a_partition_is_not_an_error() {
        let reporter = ErrorReporter::new("test", &mut ClientConfig::new());
        reporter.error(&KafkaError::PartitionEOF(3), "");
        reporter.error(&KafkaError::Global(RDKafkaErrorCode::PartitionEOF), "");
        assert_eq!(reporter.errors(), 0);
        reporter.error(
            &KafkaError::Global(RDKafkaErrorCode::AllBrokersDown),
            "1/1 brokers are down",
        );
        assert_eq!(reporter.errors(), 1);
    }
}
