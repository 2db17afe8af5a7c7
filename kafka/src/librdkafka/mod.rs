//! What goes over librdkafka: topics and groups are changed, the worker is a member of its group, single records are sent
//! and read again, and a broker runs within a process. What is fetched, produced and looked at in bulk goes over
//! [connections of our own](crate::broker). rdkafka is known to this folder alone, so that it can go piece by piece.

pub mod admin;
mod admin_error;
mod classify;
pub mod client;
mod context;
mod embedded;
mod inspect;
mod metadata;
mod range;
mod sender;
mod subscriber;

pub use rdkafka::ClientConfig;
pub use rdkafka::error::KafkaError;

pub use self::context::ReportingContext;
pub use self::embedded::{EmbeddedBroker, EmbeddedBrokerError};
pub use self::range::read_ranges;
pub use self::sender::{RecordSender, SingleRecord};
pub use self::subscriber::{CommitMode, Rebalance, Subscriber, SubscriberError};
