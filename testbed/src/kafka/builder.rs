//! Which cluster is wanted, and how it comes up.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Kafka;
use super::install::install;
use super::node::{Node, Ports};
use super::properties::{self, Place};
use crate::certificates::Certificates;
use crate::error::Error;
use crate::ports::LOOPBACK;
use crate::proxy::Proxy;
use crate::scratch::Scratch;

/// A port can be lost between its reservation and the broker's start to a program that reserves nothing.
const TRIES: u32 = 3;

/// A cluster that is to be started.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before start()"]
pub struct KafkaBuilder {
    brokers: u32,
    proxied: bool,
    address: IpAddr,
    heap: String,
    jvm_options: Vec<String>,
    config: BTreeMap<String, String>,
}

impl Default for KafkaBuilder {
    fn default() -> Self {
        Self {
            brokers: 1,
            proxied: false,
            address: LOOPBACK,
            heap: "256m".to_owned(),
            jvm_options: Vec::new(),
            config: BTreeMap::new(),
        }
    }
}

impl KafkaBuilder {
    /// How many brokers, 1 to 9. New topics and Kafka's own have as many replicas, at most 3; with 3 replicas,
    /// writes with `acks=all` need 2 of them.
    pub fn brokers(mut self, brokers: u32) -> Self {
        self.brokers = brokers;
        self
    }

    /// Puts a [`Proxy`] in front of each broker's plaintext listener; clients are told the proxies' addresses.
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Listens, and sends clients, to this address of the machine instead of 127.0.0.1: to
    /// [`crate::Cluster::host_address`], where pods and the test alike reach it.
    pub fn listen_on(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// A setting of `server.properties` on every broker.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.insert(key.into(), value.into());
        self
    }

    /// The most heap that each broker may use, as Java writes it; `256m` if not set.
    pub fn heap(mut self, heap: impl Into<String>) -> Self {
        self.heap = heap.into();
        self
    }

    /// An option for each broker's Java. Brokers start fast and run at half speed (`-XX:TieredStopAtLevel=1`): a
    /// benchmark sets `-XX:TieredStopAtLevel=4`.
    pub fn jvm_option(mut self, option: impl Into<String>) -> Self {
        self.jvm_options.push(option.into());
        self
    }

    /// Starts the cluster and waits until every broker serves.
    pub async fn start(self) -> Result<Kafka, Error> {
        if !(1..=9).contains(&self.brokers) {
            return Err(Error::Misuse(format!(
                "a test cluster has 1 to 9 brokers, not {}",
                self.brokers
            )));
        }
        let mut tries = 1;
        loop {
            match self.try_start().await {
                Err(Error::Ended { output, .. })
                    if tries < TRIES && output.contains("Address already in use") =>
                {
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    async fn try_start(&self) -> Result<Kafka, Error> {
        let installed = install().await?;
        let scratch = Scratch::new("kafka")?;
        let certificates = Certificates::generate(scratch.path().join("certificates"), self.address)?;
        let options = [vec![format!("-Xmx{}", self.heap)], self.jvm_options.clone()].concat();
        let jvm = installed.jvm.clone().with_options(options);

        let ports = (0..self.brokers)
            .map(|_| Ports::reserve(self.address))
            .collect::<Result<Vec<_>, _>>()?;
        let voters = properties::voters(&ports);
        let mut proxies = Vec::new();
        let mut nodes = Vec::new();
        for (id, ports) in (1..).zip(ports) {
            if self.proxied {
                proxies.push(Proxy::start_on(self.address, ports.plaintext.address()).await?);
            }
            let advertised = proxies.last().map(|proxy| proxy.addr().to_string());
            let place = Place {
                id,
                brokers: self.brokers,
                voters: &voters,
                ports: &ports,
                advertised: advertised.as_deref(),
                directory: &scratch.path().join(format!("broker-{id}")),
                certificates: &certificates,
            };
            let mut properties = properties::server_properties(&place);
            properties.extend(self.config.clone());
            let mut node = Node::create(&place, &properties, ports.clone())?;
            installed.copy_formatted_disk(&node)?;
            node.launch(&jvm)?;
            nodes.push(node);
        }
        for node in &mut nodes {
            node.started().await?;
        }
        Ok(Kafka {
            nodes,
            proxies,
            jvm,
            certificates,
            scratch,
        })
    }
}
