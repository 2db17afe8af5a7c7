//! A broker in this process: librdkafka's `MockCluster`. It drops the oldest message sets of a partition above 5 MiB or
//! 100,000 of them, silently.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// The broker, which ends when this is dropped. The cluster's handle may not leave its thread.
#[derive(Debug)]
pub struct EmbeddedBroker {
    address: String,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedBrokerError {
    /// The operating system gave no thread.
    #[error("cannot start the embedded broker's thread")]
    Thread(#[source] io::Error),
    /// librdkafka made none.
    #[error("cannot start the embedded broker")]
    Cluster(#[source] KafkaError),
    /// A defect: the thread panicked.
    #[error("the embedded broker's thread ended unexpectedly")]
    Ended,
}

impl EmbeddedBroker {
    /// Starts a broker with `topics`: names, and numbers of partitions.
    pub fn start(topics: Vec<(String, i32)>) -> Result<Self, EmbeddedBrokerError> {
        let (started, address) = channel();
        let (stop, stopped) = channel::<()>();
        let run = move || match cluster(&topics) {
            Ok(cluster) => {
                if started.send(Ok(cluster.bootstrap_servers())).is_ok() {
                    // Ends with the sender.
                    let _ = stopped.recv();
                }
            }
            Err(error) => drop(started.send(Err(error))),
        };
        let thread = std::thread::Builder::new()
            .name("broker".to_owned())
            .spawn(run)
            .map_err(EmbeddedBrokerError::Thread)?;
        let address = address
            .recv()
            .map_err(|_| EmbeddedBrokerError::Ended)?
            .map_err(EmbeddedBrokerError::Cluster)?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// `host:port`, on loopback.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// One broker keeps one replica, whatever a manifest asks for.
fn cluster(topics: &[(String, i32)]) -> Result<MockCluster<'static, DefaultProducerContext>, KafkaError> {
    let cluster = MockCluster::new(1)?;
    for (name, partitions) in topics {
        cluster.create_topic(name, *partitions, 1)?;
    }
    Ok(cluster)
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A broker that panicked is gone as well.
            let _ = thread.join();
        }
    }
}
