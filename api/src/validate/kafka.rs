//! `spec.kafka`.

use super::names::secret;
use super::problem::Report;
use crate::crd::{BROKERS, KafkaSpec, SASL_MISSING, SASL_UNUSED, SecuritySpec, TLS_UNUSED};
use crate::{Kafka, Sasl, Security, SecurityProtocol};

pub(super) fn kafka(spec: &KafkaSpec, report: &mut Report) -> Kafka {
    let brokers: Vec<&str> = spec
        .bootstrap_servers
        .split(',')
        .map(|broker| broker.strip_prefix(' ').unwrap_or(broker))
        .collect();
    if spec.bootstrap_servers.starts_with(' ') || !brokers.iter().all(|broker| is_broker(broker)) {
        report.broken("spec.kafka.bootstrapServers", BROKERS);
    }
    let security = match &spec.security {
        Some(security) => self::security(security, report),
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

fn security(spec: &SecuritySpec, report: &mut Report) -> Security {
    let path = "spec.kafka.security";
    let (sasl, tls) = match spec.protocol {
        SecurityProtocol::Plaintext => (false, false),
        SecurityProtocol::Ssl => (false, true),
        SecurityProtocol::SaslPlaintext => (true, false),
        SecurityProtocol::SaslSsl => (true, true),
    };
    match (&spec.sasl, sasl) {
        (None, true) => report.broken(format!("{path}.sasl"), SASL_MISSING),
        (Some(_), false) => report.broken(format!("{path}.sasl"), SASL_UNUSED),
        _ => {}
    }
    if spec.tls.is_some() && !tls {
        report.broken(format!("{path}.tls"), TLS_UNUSED);
    }
    let tls = spec.tls.clone().unwrap_or_default();
    Security {
        protocol: spec.protocol,
        sasl: spec.sasl.as_ref().map(|sasl| Sasl {
            mechanism: sasl.mechanism,
            secret: secret(&sasl.secret_ref, &format!("{path}.sasl.secretRef"), report),
        }),
        ca: tls
            .ca_secret_ref
            .map(|ca| secret(&ca, &format!("{path}.tls.caSecretRef"), report)),
        certificate: tls
            .certificate_secret_ref
            .map(|certificate| secret(&certificate, &format!("{path}.tls.certificateSecretRef"), report)),
    }
}
