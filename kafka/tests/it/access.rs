//! Every way of access that a manifest can ask for, and what is said when it does not fit.

use std::path::PathBuf;

use api::{Kafka as KafkaSpec, Sasl, SaslMechanism, SecretRef, Security, SecurityProtocol};
use kafka::admin::{AdminError, partition_counts};
use kafka::client::client_config;
use kafka::issue::IssueKind;
use runtime::secrets::Secrets;
use testbed::{KAFKA_PASSWORD, KAFKA_USER, Kafka};

use crate::{TIMEOUT, shared};

use SaslMechanism::{Plain, ScramSha256, ScramSha512};
use SecurityProtocol::{Plaintext, SaslPlaintext, SaslSsl, Ssl};

const WITH_CA: bool = true;
const NO_CA: bool = false;

fn secret(name: &str) -> SecretRef {
    SecretRef {
        name: name.to_owned(),
    }
}

fn spec(
    bootstrap: String,
    protocol: SecurityProtocol,
    mechanism: Option<SaslMechanism>,
    ca: bool,
) -> KafkaSpec {
    let sasl = mechanism.map(|mechanism| Sasl {
        mechanism,
        secret: secret("user"),
    });
    let security = Security {
        protocol,
        sasl,
        ca: ca.then(|| secret("ca")),
        certificate: None,
    };
    KafkaSpec {
        bootstrap_servers: vec![bootstrap],
        security,
    }
}

/// Asks for a topic with this access: the shortest conversation that proves it.
async fn converse(spec: &KafkaSpec, password: &str, ca: PathBuf) -> Result<(), AdminError> {
    let password = password.to_owned();
    let secrets = Secrets::new(None, move |variable| match variable {
        "STREAMPIPELINE_SECRET_USER_USERNAME" => Some(KAFKA_USER.to_owned()),
        "STREAMPIPELINE_SECRET_USER_PASSWORD" => Some(password.clone()),
        "STREAMPIPELINE_SECRET_CA_CA_CRT" => Some(std::fs::read_to_string(&ca).unwrap()),
        _ => None,
    });
    let config = client_config(spec, &secrets, "access-test").unwrap();
    partition_counts(&config, &["access.missing"], TIMEOUT)
        .await
        .map(drop)
}

#[tokio::test]
async fn every_protocol_and_mechanism_gets_in() {
    let kafka = shared().await;
    for (bootstrap, protocol, mechanism, ca) in [
        (kafka.bootstrap(), Plaintext, None, NO_CA),
        (kafka.sasl_bootstrap(), SaslPlaintext, Some(Plain), NO_CA),
        (kafka.sasl_bootstrap(), SaslPlaintext, Some(ScramSha256), NO_CA),
        (kafka.sasl_bootstrap(), SaslPlaintext, Some(ScramSha512), NO_CA),
        (kafka.tls_bootstrap(), Ssl, None, WITH_CA),
        (kafka.sasl_tls_bootstrap(), SaslSsl, Some(ScramSha512), WITH_CA),
    ] {
        let spec = spec(bootstrap, protocol, mechanism, ca);
        let result = converse(&spec, KAFKA_PASSWORD, kafka.certificates().ca()).await;
        assert!(result.is_ok(), "{protocol:?} {mechanism:?}: {result:?}");
    }
}

/// A client without a certificate is refused where one is asked for, and let in with one.
#[tokio::test]
async fn a_client_certificate_gets_in() {
    let kafka = Kafka::builder()
        .config("listener.name.ssl.ssl.client.auth", "required")
        .start()
        .await
        .unwrap();
    let certificates = kafka.certificates();
    let files = [
        ("STREAMPIPELINE_SECRET_CA_CA_CRT", certificates.ca()),
        (
            "STREAMPIPELINE_SECRET_OWN_TLS_CRT",
            certificates.client_certificate(),
        ),
        ("STREAMPIPELINE_SECRET_OWN_TLS_KEY", certificates.client_key()),
    ];
    let secrets = Secrets::new(None, move |variable| {
        let (_, file) = files.iter().find(|(name, _)| *name == variable)?;
        std::fs::read_to_string(file).ok()
    });
    let mut spec = spec(kafka.tls_bootstrap(), Ssl, None, WITH_CA);
    let config = client_config(&spec, &secrets, "access-test").unwrap();
    let refused = partition_counts(&config, &["access.missing"], TIMEOUT).await;
    assert!(
        matches!(&refused, Err(AdminError::Connection(issue)) if issue.kind == IssueKind::Tls),
        "{refused:?}"
    );

    spec.security.certificate = Some(secret("own"));
    let config = client_config(&spec, &secrets, "access-test").unwrap();
    assert_eq!(
        partition_counts(&config, &["access.missing"], TIMEOUT)
            .await
            .unwrap(),
        [None]
    );
}

#[tokio::test]
async fn what_does_not_fit_is_named_at_once() {
    let kafka = shared().await;
    let foreign = kafka.certificates().client_certificate();
    let own = kafka.certificates().ca();
    for (spec, password, ca, kind) in [
        (
            spec(kafka.sasl_bootstrap(), SaslPlaintext, Some(Plain), NO_CA),
            "wrong",
            &own,
            IssueKind::Authentication,
        ),
        (
            spec(kafka.sasl_tls_bootstrap(), SaslSsl, Some(ScramSha512), WITH_CA),
            "wrong",
            &own,
            IssueKind::Authentication,
        ),
        (
            spec(kafka.tls_bootstrap(), Ssl, None, WITH_CA),
            "",
            &foreign,
            IssueKind::Tls,
        ),
        (
            spec(kafka.tls_bootstrap(), Plaintext, None, NO_CA),
            "",
            &own,
            IssueKind::WrongProtocol,
        ),
        (
            spec(kafka.bootstrap(), Ssl, None, WITH_CA),
            "",
            &own,
            IssueKind::WrongProtocol,
        ),
        (
            spec(kafka.sasl_bootstrap(), Plaintext, None, NO_CA),
            "",
            &own,
            IssueKind::WrongProtocol,
        ),
    ] {
        let begun = std::time::Instant::now();
        let result = converse(&spec, password, ca.clone()).await;
        let Err(AdminError::Connection(issue)) = &result else {
            panic!("{spec:?}: {result:?}")
        };
        assert_eq!(issue.kind, kind, "{issue}");
        assert!(issue.to_string().contains(&spec.bootstrap_servers[0]), "{issue}");
        assert!(
            begun.elapsed() < TIMEOUT / 2,
            "{issue} took {:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn a_missing_secret_names_its_place_in_the_manifest() {
    let spec = spec("kafka:9092".to_owned(), SaslPlaintext, Some(Plain), NO_CA);
    let error = client_config(&spec, &Secrets::new(None, |_| None), "access-test").unwrap_err();
    assert!(
        error.to_string().contains("spec.kafka.security.sasl.secretRef"),
        "{error}"
    );
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("STREAMPIPELINE_SECRET_USER_USERNAME")
    );
}
