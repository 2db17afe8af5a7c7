//! `spec.kafka`: brokers and access to them.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::problem::Collector;
use crate::rule::RuleText;
use crate::secret::{LOGIN, SecretPurpose, SecretRef, SecretRefSpec, SecretUse, secret};

const BROKERS: RuleText = RuleText {
    problem: "this is not a list of brokers",
    remedy: "write host:port, several of them separated by commas",
};
const SASL_MISSING: RuleText = RuleText {
    problem: "the protocol asks for SASL, but sasl is not set",
    remedy: "add sasl with a mechanism and a secretRef, or use the protocol Plaintext or Ssl",
};
const SASL_UNUSED: RuleText = RuleText {
    problem: "sasl is set, but the protocol does not use it",
    remedy: "use the protocol SaslPlaintext or SaslSsl, or remove sasl",
};
const TLS_UNUSED: RuleText = RuleText {
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

impl Kafka {
    /// The secrets that its clients need.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = SecretUse> {
        let Security {
            protocol: _,
            sasl,
            ca,
            certificate,
        } = &self.security;
        let named = [
            (SASL_SECRET, sasl.as_ref().map(|sasl| &sasl.secret), LOGIN),
            (CA_SECRET, ca.as_ref(), &["ca.crt"]),
            (CERTIFICATE_SECRET, certificate.as_ref(), &["tls.crt", "tls.key"]),
        ];
        named.into_iter().filter_map(|(path, secret, keys)| {
            Some(SecretUse {
                path,
                secret: secret?.clone(),
                keys,
                purpose: SecretPurpose::Kafka,
            })
        })
    }
}

const SASL_SECRET: &str = "spec.kafka.security.sasl.secretRef";
const CA_SECRET: &str = "spec.kafka.security.tls.caSecretRef";
const CERTIFICATE_SECRET: &str = "spec.kafka.security.tls.certificateSecretRef";

pub(crate) fn kafka(spec: &KafkaSpec, problems: &mut Collector) -> Kafka {
    let brokers: Vec<&str> = spec
        .bootstrap_servers
        .split(',')
        .map(|broker| broker.strip_prefix(' ').unwrap_or(broker))
        .collect();
    if spec.bootstrap_servers.starts_with(' ') || !brokers.iter().all(|broker| is_broker(broker)) {
        problems.broken("spec.kafka.bootstrapServers", BROKERS);
    }
    let security = match &spec.security {
        Some(security) => self::security(security, problems),
        None => Security {
            protocol: SecurityProtocol::Plaintext,
            sasl: None,
            ca: None,
            certificate: None,
        },
    };
    Kafka {
        bootstrap_servers: brokers.into_iter().map(str::to_owned).collect(),
        security,
    }
}

/// `host:port`, the host a name, an IPv4 address or an IPv6 address in brackets.
fn is_broker(broker: &str) -> bool {
    let Some((host, port)) = broker.rsplit_once(':') else {
        return false;
    };
    let host_fits = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => {
            !address.is_empty()
                && address
                    .chars()
                    .all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.')
        }
        None => {
            !host.is_empty()
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        }
    };
    host_fits && (1..=5).contains(&port.len()) && port.bytes().all(|digit| digit.is_ascii_digit())
}

fn security(spec: &SecuritySpec, problems: &mut Collector) -> Security {
    let path = "spec.kafka.security";
    let (sasl, tls) = match spec.protocol {
        SecurityProtocol::Plaintext => (false, false),
        SecurityProtocol::Ssl => (false, true),
        SecurityProtocol::SaslPlaintext => (true, false),
        SecurityProtocol::SaslSsl => (true, true),
    };
    match (&spec.sasl, sasl) {
        (None, true) => problems.broken(format!("{path}.sasl"), SASL_MISSING),
        (Some(_), false) => problems.broken(format!("{path}.sasl"), SASL_UNUSED),
        _ => {}
    }
    if spec.tls.is_some() && !tls {
        problems.broken(format!("{path}.tls"), TLS_UNUSED);
    }
    let tls = spec.tls.clone().unwrap_or_default();
    Security {
        protocol: spec.protocol,
        sasl: spec.sasl.as_ref().map(|sasl| Sasl {
            mechanism: sasl.mechanism,
            secret: secret(&sasl.secret_ref, SASL_SECRET, problems),
        }),
        ca: tls.ca_secret_ref.map(|ca| secret(&ca, CA_SECRET, problems)),
        certificate: tls
            .certificate_secret_ref
            .map(|certificate| secret(&certificate, CERTIFICATE_SECRET, problems)),
    }
}
