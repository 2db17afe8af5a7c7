//! `spec.sink.postgres`: a PostgreSQL database.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::questions::{Abilities, Endpoint, Questions};
use crate::problem::Collector;
use crate::secret::{LOGIN, SecretPurpose, SecretRef, SecretRefSpec, SecretUse, secret};
use crate::values::narrow;

const SECRET: &str = "spec.sink.postgres.secretRef";

/// A PostgreSQL database.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PostgresSpec {
    /// Host name or address. Example: `postgres.db`.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// TCP port. Default 5432.
    #[serde(default = "postgres_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i64,
    /// The database, which has to exist. Example: `music_db`.
    #[schemars(length(min = 1, max = 63))]
    pub database: String,
    /// The schema that tables are created in, which has to exist. Default `public`.
    #[serde(default = "public")]
    #[schemars(length(min = 1, max = 63))]
    pub schema: String,
    /// Secret with the keys `username` and `password`, and `ca.crt` where the server's certificate comes from an
    /// authority of your own.
    pub secret_ref: SecretRefSpec,
    /// How the connection is secured: `VerifyFull` (TLS, the server's certificate and host name checked; the
    /// default), `Require` (TLS, unchecked) or `Disable` (no TLS).
    #[serde(default = "verify_full")]
    pub tls: TlsMode,
    /// Most connections of one worker; so many partitions are written at the same time. All workers together have
    /// to stay below the server's `max_connections`. Default 4.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 100))]
    pub max_connections: i64,
}

fn postgres_port() -> i64 {
    5432
}

fn public() -> String {
    "public".to_owned()
}

fn verify_full() -> TlsMode {
    TlsMode::VerifyFull
}

fn four() -> i64 {
    4
}

/// A PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSink {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The database, which must exist.
    pub database: String,
    /// The schema that tables are created in, which must exist.
    pub schema: String,
    /// Secret with the keys `username` and `password`, and `ca.crt` when TLS verifies against an own authority.
    pub secret: SecretRef,
    /// How the connection is secured.
    pub tls: TlsMode,
    /// Most connections of one worker; as many partitions are written at the same time.
    pub max_connections: u32,
}

/// PostgreSQL's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS, the server's certificate unchecked.
    Require,
    /// TLS, the certificate's authority and host name checked.
    VerifyFull,
}

pub(super) fn postgres(spec: &PostgresSpec, problems: &mut Collector) -> PostgresSink {
    PostgresSink {
        host: spec.host.clone(),
        port: narrow(spec.port),
        database: spec.database.clone(),
        schema: spec.schema.clone(),
        secret: secret(&spec.secret_ref, SECRET, problems),
        tls: spec.tls,
        max_connections: narrow(spec.max_connections),
    }
}

impl Questions for PostgresSink {
    fn place(&self) -> String {
        format!("PostgreSQL {}:{}/{}", self.host, self.port, self.database)
    }

    fn describe(&self) -> String {
        let connections = match self.max_connections {
            1 => "1 connection".to_owned(),
            most => format!("{most} connections"),
        };
        format!(
            "{}, schema {}, TLS {:?}, secret {}, at most {connections} a worker",
            self.place(),
            self.schema,
            self.tls,
            self.secret.name,
        )
    }

    fn secrets(&self) -> Vec<SecretUse> {
        vec![SecretUse {
            path: SECRET,
            secret: self.secret.clone(),
            keys: LOGIN,
            purpose: SecretPurpose::Sink,
        }]
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        vec![Endpoint {
            host: self.host.clone(),
            port: self.port,
        }]
    }

    /// A batch is written over a connection of its own.
    fn parallel_batches(&self) -> usize {
        self.max_connections as usize
    }

    fn abilities(&self) -> Abilities {
        Abilities::ALL
    }
}
