//! `spec.kafka`: brokers and access to them.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rule::RuleText;
use crate::{SaslMechanism, SecurityProtocol};

pub(crate) const BROKERS: RuleText = RuleText {
    problem: "this is not a list of brokers",
    remedy: "write host:port, several of them separated by commas",
};
pub(crate) const SASL_MISSING: RuleText = RuleText {
    problem: "the protocol asks for SASL, but sasl is not set",
    remedy: "add sasl with a mechanism and a secretRef, or use the protocol Plaintext or Ssl",
};
pub(crate) const SASL_UNUSED: RuleText = RuleText {
    problem: "sasl is set, but the protocol does not use it",
    remedy: "use the protocol SaslPlaintext or SaslSsl, or remove sasl",
};
pub(crate) const TLS_UNUSED: RuleText = RuleText {
    problem: "tls is set, but the protocol does not use it",
    remedy: "use the protocol Ssl or SaslSsl, or remove tls",
};

/// Kafka brokers and how to reach them.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSpec {
    /// Brokers to begin with, as `host:port` separated by commas; the others are learned from them.
    /// Example: `kafka-0.kafka:9092,kafka-1.kafka:9092`.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new(
        r"self.matches('^([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5}(, ?([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5})*$')"
    ).message(BROKERS))]
    pub bootstrap_servers: String,
    /// How connections are secured. Absent: `protocol: Plaintext`, neither encrypted nor authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<SecuritySpec>,
}

/// Transport and authentication of Kafka connections.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.sasl) || !self.protocol.startsWith('Sasl')").message(SASL_MISSING))]
#[x_kube(validation = Rule::new("!has(self.sasl) || self.protocol.startsWith('Sasl')").message(SASL_UNUSED))]
#[x_kube(validation = Rule::new("!has(self.tls) || self.protocol.endsWith('Ssl')").message(TLS_UNUSED))]
pub struct SecuritySpec {
    /// Kafka's `security.protocol`: `Plaintext` (neither encrypted nor authenticated), `Ssl` (TLS),
    /// `SaslPlaintext` (SASL over an unencrypted connection), or `SaslSsl` (SASL over TLS).
    pub protocol: SecurityProtocol,
    /// Authentication by user name and password; belongs to the two SASL protocols.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<SaslSpec>,
    /// Certificates; belongs to the protocols `Ssl` and `SaslSsl`. Absent: the brokers' certificates are checked
    /// against the system's authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
}

/// Authentication by user name and password.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SaslSpec {
    /// How the password is proved: `Plain`, `ScramSha256` or `ScramSha512`.
    pub mechanism: SaslMechanism,
    /// Secret with the keys `username` and `password`.
    pub secret_ref: SecretRefSpec,
}

/// Certificates of TLS connections.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsSpec {
    /// Secret with the key `ca.crt`: the authorities, in PEM, that the brokers' certificates are checked against
    /// instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretRefSpec>,
    /// Secret with the keys `tls.crt` and `tls.key`: the client's own certificate, for brokers that ask for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_secret_ref: Option<SecretRefSpec>,
}

pub(crate) const SECRET_NAME: RuleText = RuleText {
    problem: "this is not the name of a secret",
    remedy: "use lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
};

/// A secret in the pipeline's namespace. Without a cluster its keys are files `NAME/KEY` below the directory that
/// `--secrets` names, or environment variables.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRefSpec {
    /// The secret's name. Example: `music-postgres`.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')").message(SECRET_NAME))]
    pub name: String,
}
