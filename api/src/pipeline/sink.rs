//! Where rows go.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kafka::SecretRef;

/// Where rows go.
#[derive(Debug, Clone, PartialEq)]
pub enum Sink {
    /// PostgreSQL.
    Postgres(PostgresSink),
    /// A SQLite file.
    Sqlite(SqliteSink),
    /// Cassandra.
    Cassandra(CassandraSink),
    /// Parquet files in an object store.
    Lake(LakeSink),
    /// `BigQuery`.
    BigQuery(BigQuerySink),
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

/// A SQLite file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSink {
    /// The file; created if it is not there.
    pub path: PathBuf,
}

/// A Cassandra keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CassandraSink {
    /// `host:port`, at least one.
    pub contact_points: Vec<String>,
    /// The keyspace.
    pub keyspace: String,
    /// Data centre for `LOCAL_QUORUM`.
    pub local_datacenter: Option<String>,
    /// Secret with the keys `username` and `password`.
    pub secret: Option<SecretRef>,
}

/// Parquet files in an object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeSink {
    /// `gs://bucket/prefix` or `file:///directory`.
    pub url: String,
}

/// A `BigQuery` data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BigQuerySink {
    /// The project.
    pub project: String,
    /// The data set.
    pub dataset: String,
}
