//! Access for connections of our own, by the settings that librdkafka's clients have.

use ::kafka::broker::{Access, AccessError};
use api::Kafka;
use rdkafka::ClientConfig;
use runtime::secrets::{Secrets, variable_name};

/// What [`kafka::client::client_config`](::kafka::client::client_config) made of `kafka` and its secrets, for
/// connections that librdkafka has no part in.
pub(super) fn access(kafka: &Kafka, client: &ClientConfig) -> Result<Access, AccessError> {
    let security = &kafka.security;
    let sasl = security.sasl.as_ref().map(|sasl| &sasl.secret);
    let certificate = security.certificate.as_ref();
    let known: Vec<(String, String)> = [
        (sasl, "username", "sasl.username"),
        (sasl, "password", "sasl.password"),
        (security.ca.as_ref(), "ca.crt", "ssl.ca.pem"),
        (certificate, "tls.crt", "ssl.certificate.pem"),
        (certificate, "tls.key", "ssl.key.pem"),
    ]
    .into_iter()
    .filter_map(|(secret, key, setting)| {
        let value = client.get(setting)?.to_owned();
        Some((variable_name(&secret?.name, key), value))
    })
    .collect();
    let secrets = Secrets::new(None, move |variable| {
        let (_, value) = known.iter().find(|(name, _)| name == variable)?;
        Some(value.clone())
    });
    let client_id = client.get("client.id").unwrap_or("streampipeline-generator");
    Access::new(kafka, &secrets, client_id)
}
