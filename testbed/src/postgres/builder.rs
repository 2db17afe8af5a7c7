//! Which server is wanted, and how it comes up.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Postgres;
use super::account::Account;
use super::install::{full_disk_library, install};
use super::server::Server;
use crate::certificates::Certificates;
use crate::error::Error;
use crate::ports::{LOOPBACK, Port};
use crate::scratch::Scratch;

/// A port can be lost between its reservation and the server's start to a program that reserves nothing.
const TRIES: u32 = 3;

/// A server that is to be started.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before start()"]
pub struct PostgresBuilder {
    tls: bool,
    fillable_disk: bool,
    address: IpAddr,
    config: BTreeMap<String, String>,
}

impl Default for PostgresBuilder {
    fn default() -> Self {
        Self {
            tls: false,
            fillable_disk: false,
            address: LOOPBACK,
            config: BTreeMap::new(),
        }
    }
}

impl PostgresBuilder {
    /// Offers TLS; connections without it are served as well. Off if not set, because most clients use it unasked
    /// where it is offered, and a [`crate::Proxy`] cannot look into it.
    pub fn tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// Listens on this address of the machine instead of 127.0.0.1: on [`crate::Cluster::host_address`], where pods
    /// and the test alike reach it.
    pub fn listen_on(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// A setting of `postgresql.conf`.
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.insert(name.into(), value.into());
        self
    }

    /// Prepares the server for [`Postgres::fill_disk`]. Linux only; needs a C compiler.
    pub fn fillable_disk(mut self) -> Self {
        self.fillable_disk = true;
        self
    }

    /// Starts the server and waits until it serves.
    pub async fn start(self) -> Result<Postgres, Error> {
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

    async fn try_start(&self) -> Result<Postgres, Error> {
        let account = Account::choose()?;
        let installed = install(&account).await?;
        let preload = if self.fillable_disk {
            Some(full_disk_library().await?)
        } else {
            None
        };
        let scratch = Scratch::new("postgres")?;
        account.own(scratch.path())?;
        let certificates = Certificates::generate(scratch.path().join("certificates"), self.address)?;
        account.own(certificates.directory())?;
        for file in [certificates.server_certificate(), certificates.server_key()] {
            account.own(&file)?;
        }

        let mut settings = BTreeMap::from([
            ("fsync".to_owned(), "off".to_owned()),
            // In files of the data directory: a killed server leaves nothing in /dev/shm.
            ("dynamic_shared_memory_type".to_owned(), "mmap".to_owned()),
            ("unix_socket_directories".to_owned(), String::new()),
        ]);
        if self.tls {
            settings.insert("ssl".to_owned(), "on".to_owned());
            settings.insert(
                "ssl_cert_file".to_owned(),
                certificates.server_certificate().display().to_string(),
            );
            settings.insert(
                "ssl_key_file".to_owned(),
                certificates.server_key().display().to_string(),
            );
        }
        settings.extend(self.config.clone());

        let port = Port::reserve(self.address)?;
        settings.insert("listen_addresses".to_owned(), self.address.to_string());
        let mut server = Server::create(scratch, &installed, account, preload, port, settings)?;
        server.launch()?;
        server.ready().await?;
        Ok(Postgres {
            server,
            host: self.address.to_string(),
            password: installed.password,
            certificates,
        })
    }
}
