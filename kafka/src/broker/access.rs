//! Where the brokers are and how to get in, from the manifest's `spec.kafka`: the rules of
//! [`client_config`](crate::librdkafka::client::client_config), for connections of our own.

use std::sync::Arc;

use api::{Kafka, SaslMechanism, SecretRef, SecurityProtocol};
use runtime::secrets::{SecretError, SecretText, Secrets};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, crypto::ring};

const CA_PATH: &str = "spec.kafka.security.tls.caSecretRef";
const CERTIFICATE_PATH: &str = "spec.kafka.security.tls.certificateSecretRef";
const SASL_PATH: &str = "spec.kafka.security.sasl.secretRef";

/// Where the brokers are and how to get in. Holds secrets, so it has no `Debug`.
pub struct Access {
    /// Brokers to begin with.
    pub(crate) bootstrap: Vec<Address>,
    pub(crate) client_id: String,
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) sasl: Option<Credentials>,
    /// Held by each connection that stands, besides here.
    pub(crate) connections: Arc<()>,
}

/// A broker's listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// What a broker is to be convinced with.
pub(crate) struct Credentials {
    pub(crate) mechanism: SaslMechanism,
    pub(crate) username: SecretText,
    pub(crate) password: SecretText,
}

/// Why there is no access.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum AccessError {
    /// A secret that the manifest names is not there.
    #[error("no access to Kafka: {path} names a secret that cannot be read")]
    Secret {
        /// Where the manifest names it.
        path: &'static str,
        /// Why it cannot be read.
        #[source]
        source: SecretError,
    },
    /// A secret holds no certificate or key in PEM.
    #[error("no access to Kafka: {key} of the secret that {path} names is not in PEM")]
    Pem {
        /// Where the manifest names the secret.
        path: &'static str,
        key: &'static str,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// A certificate or key cannot be used.
    #[error("no access to Kafka: the certificates that {path} names cannot be used")]
    Certificate {
        /// Where the manifest names them.
        path: &'static str,
        #[source]
        source: rustls::Error,
    },
    /// The system has no authorities that a broker's certificate could be checked against.
    #[error("no access to Kafka: this system has no certificate authorities; name your own in {CA_PATH}")]
    NoAuthorities {
        /// What was in the way.
        #[source]
        source: Option<rustls_native_certs::Error>,
    },
    /// An address is not one.
    #[error("no access to Kafka: {text:?} in spec.kafka.bootstrapServers is not host:port")]
    Address { text: String },
}

impl Access {
    /// Reads the secrets that `kafka` names. `client_id` is what brokers know the connections by.
    pub fn new(kafka: &Kafka, secrets: &Secrets, client_id: &str) -> Result<Self, AccessError> {
        let bootstrap = kafka
            .bootstrap_servers
            .iter()
            .map(|text| Address::parse(text).ok_or_else(|| AccessError::Address { text: text.clone() }))
            .collect::<Result<_, _>>()?;
        let security = &kafka.security;
        let tls = match security.protocol {
            SecurityProtocol::Plaintext | SecurityProtocol::SaslPlaintext => None,
            SecurityProtocol::Ssl | SecurityProtocol::SaslSsl => {
                let config = tls_config(security.ca.as_ref(), security.certificate.as_ref(), secrets)?;
                Some(TlsConnector::from(Arc::new(config)))
            }
        };
        let sasl = match &security.sasl {
            None => None,
            Some(sasl) => Some(Credentials {
                mechanism: sasl.mechanism,
                username: read(secrets, SASL_PATH, &sasl.secret, "username")?,
                password: read(secrets, SASL_PATH, &sasl.secret, "password")?,
            }),
        };
        Ok(Self {
            bootstrap,
            client_id: client_id.to_owned(),
            tls,
            sasl,
            connections: Arc::new(()),
        })
    }
}

impl Address {
    /// As brokers tell it; `None` where the port is none.
    pub(crate) fn told(host: &str, port: i32) -> Option<Self> {
        Some(Self {
            host: host.to_owned(),
            port: port.try_into().ok()?,
        })
    }

    /// `host:port`, an IPv6 address in brackets.
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.trim().rsplit_once(':')?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        Some(Self {
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn read(
    secrets: &Secrets,
    path: &'static str,
    secret: &SecretRef,
    key: &str,
) -> Result<SecretText, AccessError> {
    secrets
        .read(secret, key)
        .map_err(|source| AccessError::Secret { path, source })
}

fn tls_config(
    ca: Option<&SecretRef>,
    certificate: Option<&SecretRef>,
    secrets: &Secrets,
) -> Result<ClientConfig, AccessError> {
    let roots = match ca {
        Some(secret) => own_authorities(secret, secrets)?,
        None => system_authorities()?,
    };
    let unusable = |path| move |source| AccessError::Certificate { path, source };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable(CA_PATH))?
        .with_root_certificates(roots);
    let Some(secret) = certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(secret, secrets, CERTIFICATE_PATH, "tls.crt")?;
    let key = read(secrets, CERTIFICATE_PATH, secret, "tls.key")?;
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|source| AccessError::Pem {
        path: CERTIFICATE_PATH,
        key: "tls.key",
        source,
    })?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(unusable(CERTIFICATE_PATH))
}

fn own_authorities(secret: &SecretRef, secrets: &Secrets) -> Result<RootCertStore, AccessError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(secret, secrets, CA_PATH, "ca.crt")? {
        roots
            .add(certificate)
            .map_err(|source| AccessError::Certificate {
                path: CA_PATH,
                source,
            })?;
    }
    Ok(roots)
}

/// What the system trusts. Some of its certificates may be too old to be understood: the others count.
fn system_authorities() -> Result<RootCertStore, AccessError> {
    let mut found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(AccessError::NoAuthorities {
            source: found.errors.pop(),
        });
    }
    Ok(roots)
}

/// At least one certificate.
fn certificates(
    secret: &SecretRef,
    secrets: &Secrets,
    path: &'static str,
    key: &'static str,
) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let text = read(secrets, path, secret, key)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.expose().as_bytes()).collect();
    let found = found.and_then(|found| {
        if found.is_empty() {
            Err(pem::Error::NoItemsFound)
        } else {
            Ok(found)
        }
    });
    found.map_err(|source| AccessError::Pem { path, key, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_put_together() {
        for (text, host, port) in [
            ("kafka-0.kafka:9092", "kafka-0.kafka", 9092),
            ("[::1]:9093", "::1", 9093),
            ("127.0.0.1:1", "127.0.0.1", 1),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(address.to_string(), text);
        }
        for text in ["kafka", "kafka:", "kafka:70000"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
