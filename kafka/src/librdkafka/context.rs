//! librdkafka's callbacks, in a reporter's words.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde::Deserialize;

use super::classify::classify;
use crate::health::{ErrorReporter, Event};

/// The context of a client that needs nothing but an [`ErrorReporter`].
#[derive(Debug, Clone)]
pub struct ReportingContext {
    /// What its callbacks go to.
    pub reporter: ErrorReporter,
}

impl ReportingContext {
    /// For the client called `client`, which will be made from `config`. Sets what it needs there: regular statistics, and
    /// no log lines beside it.
    #[must_use]
    pub fn new(client: &str, config: &mut ClientConfig) -> Self {
        config
            .set("statistics.interval.ms", "2000")
            .set_log_level(RDKafkaLogLevel::Warning);
        let bootstrap = config.get("bootstrap.servers").unwrap_or_default().to_owned();
        Self {
            reporter: ErrorReporter::with_bootstrap(client, bootstrap),
        }
    }
}

impl ClientContext for ReportingContext {
    /// Connection failures mostly come as errors too, and are not repeated here.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        // Which of librdkafka's threads it was says nothing to anybody.
        let text = text
            .strip_prefix("[thrd:")
            .and_then(|rest| rest.split_once("]: "))
            .map_or(text, |(_, rest)| rest);
        if (level as i32) > RDKafkaLogLevel::Warning as i32 || matches!(facility, "FAIL" | "ERROR") {
            tracing::debug!(client = self.reporter.client(), facility, "{text}");
        } else {
            self.reporter.log(facility, text);
        }
        // A broker that accepts connections and never answers gives no error, only this line.
        if facility == "FAIL"
            && text.contains("timed out")
            && let Some(issue) = classify(RDKafkaErrorCode::BrokerTransportFailure, text)
        {
            self.reporter.step(Event::Error(issue));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        match code {
            RDKafkaErrorCode::PartitionEOF => {}
            RDKafkaErrorCode::AllBrokersDown => self.reporter.all_down(),
            code => match classify(code, reason) {
                Some(issue) => self.reporter.issue(issue),
                None => self.reporter.passing(&format!("{code:?}"), reason),
            },
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        if let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) {
            self.reporter.step(statistics.event());
        }
    }
}

impl ConsumerContext for ReportingContext {}

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

/// Gives the callbacks of a consumer their turn that never subscribes, and so is not polled for records.
/// Bounded, because errors may come faster than they are served.
pub(super) fn serve_events(consumer: &BaseConsumer<ReportingContext>) {
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
        let context = ReportingContext::new("test", &mut ClientConfig::new());
        context.error(KafkaError::PartitionEOF(3), "");
        context.error(KafkaError::Global(RDKafkaErrorCode::PartitionEOF), "");
        assert_eq!(context.reporter.errors(), 0);
        context.error(
            KafkaError::Global(RDKafkaErrorCode::AllBrokersDown),
            "1/1 brokers are down",
        );
        assert_eq!(context.reporter.errors(), 1);
    }
}
