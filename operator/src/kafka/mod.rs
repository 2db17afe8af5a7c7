//! Kafka, as far as the operator needs it: topics made ready, lag and the workers' reports read, leftovers deleted.
//!
//! All of it happens off the reconcile path: a reconcile hands over what it desires and gets what was observed last
//! ([`Monitors::ensure`]).

mod broker;
mod client;
mod desired;
mod history;
mod monitor;
mod reading;

pub use broker::Brokers;
pub use client::{KafkaClient, KafkaError, KafkaErrorKind};
pub use desired::{BrokerAccess, DesiredTopics};
pub use monitor::MonitorConfig;
pub(crate) use monitor::{KafkaObservation, Monitors};
pub use reading::{KafkaReading, TopicReading, WorkerLoad, partition_reading};
