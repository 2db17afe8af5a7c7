//! `spec.sink`: where rows go.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::kafka::SecretRefSpec;
use super::rule::RuleText;
use crate::TlsMode;

pub(crate) const ONE_SINK: RuleText = RuleText {
    problem: "there has to be exactly one sink",
    remedy: "set one of postgres, sqlite, cassandra, lake, bigquery",
};
pub(crate) const SINK_NOT_AVAILABLE: RuleText = RuleText {
    problem: "this sink is not available in this version",
    remedy: "available: postgres, sqlite",
};

/// Where rows go, together with dead letters, offsets and the audit.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "[has(self.postgres), has(self.sqlite), has(self.cassandra), has(self.lake), has(self.bigquery)].filter(x, x).size() == 1"
).message(ONE_SINK))]
pub struct SinkSpec {
    /// A PostgreSQL database. One of the sinks has to be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresSpec>,
    /// A SQLite file; for one machine, not for a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlite: Option<SqliteSpec>,
    /// Reserved for a later version: a Cassandra keyspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("false").message(SINK_NOT_AVAILABLE))]
    pub cassandra: Option<CassandraSpec>,
    /// Reserved for a later version: Parquet files in an object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("false").message(SINK_NOT_AVAILABLE))]
    pub lake: Option<LakeSpec>,
    /// Reserved for a later version: a BigQuery data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("false").message(SINK_NOT_AVAILABLE))]
    pub bigquery: Option<BigQuerySpec>,
}

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

/// A SQLite file.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqliteSpec {
    /// Path of the file, relative to the manifest's directory; created if it is not there. Example: `music.db`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// A Cassandra keyspace.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CassandraSpec {
    /// Nodes to begin with, as `host:port`. Example: `[cassandra:9042]`.
    #[schemars(length(min = 1, max = 32), inner(length(max = 260)))]
    pub contact_points: Vec<String>,
    /// The keyspace, which has to exist.
    #[schemars(length(min = 1, max = 48))]
    pub keyspace: String,
    /// The data centre whose nodes have to acknowledge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub local_datacenter: Option<String>,
    /// Secret with the keys `username` and `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRefSpec>,
}

/// Parquet files in an object store.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LakeSpec {
    /// Where files go: `gs://bucket/prefix` or `file:///directory`.
    #[schemars(length(min = 1, max = 1024))]
    pub url: String,
}

/// A BigQuery data set.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BigQuerySpec {
    /// The project.
    #[schemars(length(min = 1, max = 63))]
    pub project: String,
    /// The data set, which has to exist.
    #[schemars(length(min = 1, max = 1024))]
    pub dataset: String,
}
