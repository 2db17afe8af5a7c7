//! One broker: its ports, its disk, its process.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::jvm::Jvm;
use super::properties::{Place, render};
use crate::error::{Error, create_dir, write_file};
use crate::ports::{LOOPBACK, Port};
use crate::process::Process;

/// Two busy cores with several clusters at once take a while.
const START_TIMEOUT: Duration = Duration::from_mins(2);

/// One port for each listener, reserved as long as the broker's guard lives.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    pub(crate) plaintext: Arc<Port>,
    pub(crate) internal: Arc<Port>,
    pub(crate) sasl: Arc<Port>,
    pub(crate) tls: Arc<Port>,
    pub(crate) sasl_tls: Arc<Port>,
    pub(crate) controller: Arc<Port>,
}

impl Ports {
    /// The controllers', who only talk to each other, are on loopback wherever the brokers are.
    pub(crate) fn reserve(clients: IpAddr) -> Result<Self, Error> {
        let port = || Port::reserve(clients).map(Arc::new);
        Ok(Self {
            plaintext: port()?,
            internal: port()?,
            sasl: port()?,
            tls: port()?,
            sasl_tls: port()?,
            controller: Port::reserve(LOOPBACK).map(Arc::new)?,
        })
    }
}

/// A broker that runs, or is down and can run again.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: u32,
    pub(crate) ports: Ports,
    advertised: String,
    directory: PathBuf,
    process: Option<Process>,
}

impl Node {
    /// Prepares the broker's directory; its disk is not formatted yet.
    pub(crate) fn create(
        place: &Place<'_>,
        properties: &BTreeMap<String, String>,
        ports: Ports,
    ) -> Result<Self, Error> {
        let directory = create_dir(place.directory.to_owned())?;
        create_dir(directory.join("data"))?;
        create_dir(directory.join("tmp"))?;
        let node = Self {
            id: place.id,
            ports,
            advertised: place.advertised(),
            directory,
            process: None,
        };
        write_file(&node.properties(), render(properties))?;
        Ok(node)
    }

    /// Where the broker keeps its topics.
    pub(crate) fn disk(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Its `server.properties`.
    pub(crate) fn properties(&self) -> PathBuf {
        self.directory.join("server.properties")
    }

    /// For Java and native libraries that unpack themselves.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.directory.join("tmp")
    }

    /// What clients of the plaintext listener are told.
    pub(crate) fn advertised(&self) -> String {
        self.advertised.clone()
    }

    /// Starts the process and does not wait for it.
    pub(crate) fn launch(&mut self, jvm: &Jvm) -> Result<(), Error> {
        if let Some(process) = &mut self.process
            && process.is_running()?
        {
            return Err(Error::Misuse(format!("broker {} is running already", self.id)));
        }
        let command = jvm.command(&self.temporary(), &[Path::new("kafka.Kafka"), &self.properties()]);
        self.process = Some(Process::server(
            format!("kafka broker {}", self.id),
            command,
            "KILL",
        )?);
        Ok(())
    }

    /// Waits until the broker serves: it says so after the controllers have let it in.
    pub(crate) async fn started(&mut self) -> Result<(), Error> {
        self.process()?
            .wait_for_line("Kafka Server started", START_TIMEOUT)
            .await
            .map(drop)
    }

    /// The process, running or ended.
    pub(crate) fn process(&mut self) -> Result<&mut Process, Error> {
        let id = self.id;
        self.process
            .as_mut()
            .ok_or_else(|| Error::Misuse(format!("broker {id} was never started")))
    }
}
