//! What a client's connection to Kafka is like: a state to watch, and few, clear log lines.

mod monitor;
mod reporter;

pub(crate) use self::monitor::Event;
pub use self::monitor::KafkaHealth;
pub use self::reporter::ErrorReporter;
