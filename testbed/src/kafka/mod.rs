//! Apache Kafka as a guard: brokers that can be stopped, killed and frozen one by one.

mod builder;
mod install;
mod jvm;
mod node;
mod properties;

use std::path::Path;
use std::time::Duration;

use tokio::sync::OnceCell;

pub use self::builder::KafkaBuilder;
use self::jvm::Jvm;
use self::node::Node;
pub use self::properties::{KAFKA_PASSWORD, KAFKA_USER};
use crate::certificates::Certificates;
use crate::error::Error;
use crate::proxy::Proxy;
use crate::scratch::Scratch;

/// A stopping broker hands over its partitions, and waits for the controllers' word that it may go.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Without a majority of controllers that word never comes.
const STOP_TIMEOUT_WITHOUT_QUORUM: Duration = Duration::from_secs(1);

/// A cluster of real Apache Kafka brokers, each its own controller as well, on loopback.
///
/// Brokers are named by Kafka's own ids, 1 to the number of brokers: what a client's metadata calls the leader
/// is what [`Kafka::kill_broker`] takes. Methods that hurt take `&mut self`, so the shared cluster is safe.
#[derive(Debug)]
pub struct Kafka {
    nodes: Vec<Node>,
    proxies: Vec<Proxy>,
    jvm: Jvm,
    certificates: Certificates,
    // After the brokers: they end before their files go.
    scratch: Scratch,
}

impl Kafka {
    /// One broker with Kafka's defaults, except for what makes small clusters start fast.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// A cluster of another shape.
    pub fn builder() -> KafkaBuilder {
        KafkaBuilder::default()
    }

    /// One broker for all tests of this test process; they use topics and groups of their own names.
    pub async fn shared() -> Result<&'static Self, Error> {
        // Never dropped: the watchers end it when the test process is gone.
        static SHARED: OnceCell<Kafka> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// `bootstrap.servers` without encryption or password; through the proxies where there are any.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        join(self.nodes.iter().map(Node::advertised))
    }

    /// The same brokers around the proxies and apart from clients' listeners: for a test's own looks.
    #[must_use]
    pub fn direct_bootstrap(&self) -> String {
        join(self.nodes.iter().map(|node| node.ports.internal.address()))
    }

    /// `SASL_PLAINTEXT`: [`KAFKA_USER`] with [`KAFKA_PASSWORD`] by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    #[must_use]
    pub fn sasl_bootstrap(&self) -> String {
        join(self.nodes.iter().map(|node| node.ports.sasl.address()))
    }

    /// `SSL`: [`Kafka::certificates`] has the authority to trust, and a client certificate, which may be shown.
    #[must_use]
    pub fn tls_bootstrap(&self) -> String {
        join(self.nodes.iter().map(|node| node.ports.tls.address()))
    }

    /// `SASL_SSL`: both.
    #[must_use]
    pub fn sasl_tls_bootstrap(&self) -> String {
        join(self.nodes.iter().map(|node| node.ports.sasl_tls.address()))
    }

    /// The certificates of the TLS listeners.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// The proxy in front of broker `id`'s plaintext listener, if built with [`KafkaBuilder::proxied`].
    pub fn proxy(&self, id: u32) -> Result<&Proxy, Error> {
        let proxy = index(id).and_then(|index| self.proxies.get(index));
        proxy.ok_or_else(|| {
            Error::Misuse(format!(
                "there is no proxy in front of broker {id}: build with proxied()"
            ))
        })
    }

    /// Where the brokers keep their files: `broker-<id>/data` and `broker-<id>/server.properties`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// Shuts broker `id` down in order: its partitions are handed over first. A broker that cannot, because most
    /// others are down already, is killed after a moment, as an impatient operator would.
    pub async fn stop_broker(&mut self, id: u32) -> Result<(), Error> {
        let mut running = 0;
        for node in &mut self.nodes {
            running += usize::from(node.process()?.is_running()?);
        }
        let timeout = if running * 2 > self.nodes.len() {
            STOP_TIMEOUT
        } else {
            STOP_TIMEOUT_WITHOUT_QUORUM
        };
        let process = self.node(id)?.process()?;
        process.terminate()?;
        match process.wait(timeout).await {
            Ok(_) => Ok(()),
            Err(Error::TooLate { .. }) => process.kill().map(drop),
            Err(error) => Err(error),
        }
    }

    /// Kills broker `id` (SIGKILL): its clients see their connections reset.
    pub fn kill_broker(&mut self, id: u32) -> Result<(), Error> {
        self.node(id)?.process()?.kill().map(drop)
    }

    /// Starts broker `id` again after a stop or kill, with the data and addresses that it had, and waits until
    /// it serves. With several brokers down a quorum is needed for that: use [`Kafka::start_brokers`].
    pub async fn start_broker(&mut self, id: u32) -> Result<(), Error> {
        self.start_brokers(&[id]).await
    }

    /// Starts several brokers at once, and waits until all serve.
    pub async fn start_brokers(&mut self, ids: &[u32]) -> Result<(), Error> {
        let jvm = self.jvm.clone();
        for id in ids {
            self.node(*id)?.launch(&jvm)?;
        }
        for id in ids {
            self.node(*id)?.started().await?;
        }
        Ok(())
    }

    /// Stops every broker in order and starts all again.
    pub async fn restart(&mut self) -> Result<(), Error> {
        let ids: Vec<u32> = self.nodes.iter().map(|node| node.id).collect();
        for id in &ids {
            self.stop_broker(*id).await?;
        }
        self.start_brokers(&ids).await
    }

    /// Freezes broker `id` (SIGSTOP): connections stay, answers do not come.
    pub fn freeze_broker(&mut self, id: u32) -> Result<(), Error> {
        self.node(id)?.process()?.freeze()
    }

    /// Lets a frozen broker go on.
    pub fn thaw_broker(&mut self, id: u32) -> Result<(), Error> {
        self.node(id)?.process()?.thaw()
    }

    /// Runs one of Kafka's command-line classes and gives its standard output, for instance
    /// `["org.apache.kafka.tools.TopicCommand", "--bootstrap-server", …, "--list"]`.
    pub async fn tool(&self, class_and_arguments: &[&str]) -> Result<String, Error> {
        self.jvm.tool(class_and_arguments).await
    }

    fn node(&mut self, id: u32) -> Result<&mut Node, Error> {
        let brokers = self.nodes.len();
        let node = index(id).and_then(|index| self.nodes.get_mut(index));
        node.ok_or_else(|| Error::Misuse(format!("there is no broker {id}: the cluster has 1 to {brokers}")))
    }
}

/// Broker ids count from 1.
fn index(id: u32) -> Option<usize> {
    (id as usize).checked_sub(1)
}

fn join(addresses: impl Iterator<Item = String>) -> String {
    addresses.collect::<Vec<_>>().join(",")
}
