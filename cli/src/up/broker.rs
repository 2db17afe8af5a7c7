//! A broker in this process: librdkafka's MockCluster.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use api::Pipeline;
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;

use crate::error::CliError;

/// The broker, which ends when this is dropped. The cluster's handle may not leave its thread.
#[derive(Debug)]
pub(super) struct Broker {
    address: String,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker with the pipeline's topics.
    pub(super) fn start(pipeline: &Pipeline) -> Result<Self, CliError> {
        let topics: Vec<(String, i32)> = pipeline
            .topics
            .iter()
            .map(|topic| (topic.name.to_string(), topic.partitions))
            .collect();
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
            .map_err(CliError::io("cannot start the embedded broker's thread"))?;
        let address = address
            .recv()
            .map_err(|_| CliError::Failed("the embedded broker's thread ended unexpectedly".to_owned()))?
            .map_err(CliError::kafka("cannot start the embedded broker"))?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// `host:port`, on loopback.
    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

/// One broker keeps one replica, whatever the manifest asks for.
fn cluster(
    topics: &[(String, i32)],
) -> Result<MockCluster<'static, rdkafka::producer::DefaultProducerContext>, KafkaError> {
    let cluster = MockCluster::new(1)?;
    for (name, partitions) in topics {
        cluster.create_topic(name, *partitions, 1)?;
    }
    Ok(cluster)
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A broker that panicked is gone as well.
            let _ = thread.join();
        }
    }
}
