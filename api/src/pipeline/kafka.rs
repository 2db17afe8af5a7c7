//! Brokers, access to them, and topics.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Field, TopicName};

/// Kafka brokers and access to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Kafka {
    /// `host:port`, at least one.
    pub bootstrap_servers: Vec<String>,
    /// How connections are secured.
    pub security: Security,
}

/// Transport and authentication of Kafka connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// Which of the four protocols of Kafka.
    pub protocol: SecurityProtocol,
    /// Present exactly when the protocol is one of the two SASL ones.
    pub sasl: Option<Sasl>,
    /// Secret with the key `ca.crt`: authorities that the brokers' certificates are checked against; absent
    /// means the system's.
    pub ca: Option<SecretRef>,
    /// Secret with the keys `tls.crt` and `tls.key`: the client's own certificate (mutual TLS).
    pub certificate: Option<SecretRef>,
}

/// Kafka's `security.protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL over an unencrypted connection.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

/// SASL authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sasl {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// Secret with the keys `username` and `password`.
    pub secret: SecretRef,
}

/// Kafka's `sasl.mechanism`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// `PLAIN`.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
}

/// A secret by name. Its keys are files `<name>/<key>` below the secrets directory, or environment variables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretRef {
    /// The secret's name.
    pub name: String,
}

/// A Kafka topic and the shape of its records.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// The topic's name, also the table's name in SQL.
    pub name: TopicName,
    /// Partitions to create; more are added when it is raised.
    pub partitions: i32,
    /// Replicas to create each partition with.
    pub replication_factor: i16,
    /// Kafka topic configuration to create it with.
    pub config: BTreeMap<String, String>,
    /// Fields that are decoded, sorted by name.
    pub fields: Vec<Field>,
    /// The timestamp field that says when a record's event happened; absent means Kafka's record timestamp.
    pub event_time: Option<String>,
    /// Where a partition that has never been read is begun.
    pub start_from: StartFrom,
}

/// Where reading begins when no position is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StartFrom {
    /// The oldest record that is there.
    Earliest,
    /// Records that come after the pipeline.
    Latest,
}

/// A partition of a topic, as everything downstream names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic.
    pub topic: std::sync::Arc<str>,
    /// The number within it, from 0.
    pub number: i32,
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}
