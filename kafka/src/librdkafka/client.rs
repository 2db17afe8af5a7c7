//! librdkafka's settings from the manifest's `spec.kafka`.

use api::{Kafka, SaslMechanism, SecretRef, SecurityProtocol};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use runtime::secrets::{SecretError, Secrets};

/// Why no client can be configured.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A secret that the manifest names is not there.
    #[error("no access to Kafka: {path} names a secret that cannot be read")]
    Secret {
        /// Where the manifest names it.
        path: &'static str,
        /// Why it cannot be read.
        #[source]
        source: SecretError,
    },
}

/// The settings that every client shares: where the brokers are, access, and patience. Producers, consumers and
/// admin clients add their own.
///
/// The result holds secrets in clear; its `Debug` hides passwords but not everything, so never log it.
pub fn client_config(kafka: &Kafka, secrets: &Secrets, client_id: &str) -> Result<ClientConfig, ClientError> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", kafka.bootstrap_servers.join(","))
        .set("client.id", client_id)
        // A broker that is away is tried again soon, and at least once a second.
        .set("reconnect.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.connection.setup.timeout.ms", "10000")
        .set("socket.keepalive.enable", "true")
        // The default would try a dead cluster's addresses 20 times a second, whatever the back-off says.
        .set("metadata.recovery.strategy", "none")
        // Leaders move and partitions are added; the default of 5 min is long for both.
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set_log_level(RDKafkaLogLevel::Warning);
    let security = &kafka.security;
    config.set(
        "security.protocol",
        match security.protocol {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        },
    );
    let read = |path: &'static str, secret: &SecretRef, key: &str| {
        secrets
            .read(secret, key)
            .map_err(|source| ClientError::Secret { path, source })
    };
    if let Some(sasl) = &security.sasl {
        const PATH: &str = "spec.kafka.security.sasl.secretRef";
        config
            .set(
                "sasl.mechanism",
                match sasl.mechanism {
                    SaslMechanism::Plain => "PLAIN",
                    SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
                    SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
                },
            )
            .set("sasl.username", read(PATH, &sasl.secret, "username")?.expose())
            .set("sasl.password", read(PATH, &sasl.secret, "password")?.expose());
    }
    if let Some(secret) = &security.ca {
        config.set(
            "ssl.ca.pem",
            read("spec.kafka.security.tls.caSecretRef", secret, "ca.crt")?.expose(),
        );
    }
    if let Some(secret) = &security.certificate {
        const PATH: &str = "spec.kafka.security.tls.certificateSecretRef";
        config
            .set("ssl.certificate.pem", read(PATH, secret, "tls.crt")?.expose())
            .set("ssl.key.pem", read(PATH, secret, "tls.key")?.expose());
    }
    Ok(config)
}
