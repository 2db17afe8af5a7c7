//! Every way of access that a manifest can ask for, through connections of our own.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use api::{Kafka as KafkaSpec, Sasl, SaslMechanism, SecretRef, Security, SecurityProtocol};
use kafka::broker::{Access, AccessError};
use kafka::issue::{Issue, IssueKind};
use runtime::secrets::Secrets;
use testbed::{KAFKA_PASSWORD, KAFKA_USER, Kafka};

use crate::authorizer::{allow, with_authorizer};
use crate::fetch_support::{Reader, expected, partition, produce, topic};
use crate::{config, shared};

use SaslMechanism::{Plain, ScramSha256, ScramSha512};
use SecurityProtocol::{Plaintext, SaslPlaintext, SaslSsl, Ssl};

const MIB: usize = 1024 * 1024;

fn secret(name: &str) -> SecretRef {
    SecretRef {
        name: name.to_owned(),
    }
}

/// Access over TLS trusts the authority of the secret `ca`.
fn spec(bootstrap: String, protocol: SecurityProtocol, mechanism: Option<SaslMechanism>) -> KafkaSpec {
    let sasl = mechanism.map(|mechanism| Sasl {
        mechanism,
        secret: secret("user"),
    });
    KafkaSpec {
        bootstrap_servers: vec![bootstrap],
        security: Security {
            protocol,
            sasl,
            ca: matches!(protocol, Ssl | SaslSsl).then(|| secret("ca")),
            certificate: None,
        },
    }
}

fn secrets(password: &str, ca: PathBuf, own: Option<(PathBuf, PathBuf)>) -> Secrets {
    let password = password.to_owned();
    Secrets::new(None, move |variable| {
        let (certificate, key) = own.clone().unzip();
        let file = match variable {
            "STREAMPIPELINE_SECRET_USER_USERNAME" => return Some(KAFKA_USER.to_owned()),
            "STREAMPIPELINE_SECRET_USER_PASSWORD" => return Some(password.clone()),
            "STREAMPIPELINE_SECRET_CA_CA_CRT" => Some(ca.clone()),
            "STREAMPIPELINE_SECRET_OWN_TLS_CRT" => certificate,
            "STREAMPIPELINE_SECRET_OWN_TLS_KEY" => key,
            _ => None,
        };
        std::fs::read_to_string(file?).ok()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_protocol_and_mechanism_reads() {
    let kafka = shared().await;
    let config = config(kafka.bootstrap());
    topic(&config, "fetch.access", &[]).await;
    let partition = partition("fetch.access", 0);
    produce(&config, &partition, 0..100);
    for (bootstrap, protocol, mechanism) in [
        (kafka.sasl_bootstrap(), SaslPlaintext, Some(Plain)),
        (kafka.sasl_bootstrap(), SaslPlaintext, Some(ScramSha256)),
        (kafka.sasl_bootstrap(), SaslPlaintext, Some(ScramSha512)),
        (kafka.tls_bootstrap(), Ssl, None),
        (kafka.sasl_tls_bootstrap(), SaslSsl, Some(Plain)),
        (kafka.sasl_tls_bootstrap(), SaslSsl, Some(ScramSha512)),
    ] {
        let secrets = secrets(KAFKA_PASSWORD, kafka.certificates().ca(), None);
        let mut reader = Reader::open(&spec(bootstrap, protocol, mechanism), &secrets, MIB);
        let got = reader.read(&partition, 0, 100).await;
        assert_eq!(got, expected(0..100, 0), "{protocol:?} {mechanism:?}");
        reader.works().await;
    }
}

/// What the reader's reporter says of this access.
async fn issue(spec: &KafkaSpec, secrets: &Secrets) -> Issue {
    let reader = Reader::open(spec, secrets, MIB);
    let _ = reader.fetcher.set(partition("fetch.nothing", 0), 0);
    reader.failure().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_named() {
    let kafka = shared().await;
    let (own, foreign) = (
        kafka.certificates().ca(),
        kafka.certificates().client_certificate(),
    );
    for (bootstrap, protocol, mechanism, password, ca, kind) in [
        (
            kafka.sasl_bootstrap(),
            SaslPlaintext,
            Some(Plain),
            "wrong",
            &own,
            IssueKind::Authentication,
        ),
        (
            kafka.sasl_bootstrap(),
            SaslPlaintext,
            Some(ScramSha256),
            "wrong",
            &own,
            IssueKind::Authentication,
        ),
        (
            kafka.sasl_tls_bootstrap(),
            SaslSsl,
            Some(ScramSha512),
            "wrong",
            &own,
            IssueKind::Authentication,
        ),
        (kafka.tls_bootstrap(), Ssl, None, "", &foreign, IssueKind::Tls),
        (
            kafka.tls_bootstrap(),
            Plaintext,
            None,
            "",
            &own,
            IssueKind::WrongProtocol,
        ),
        (kafka.bootstrap(), Ssl, None, "", &own, IssueKind::WrongProtocol),
        (
            kafka.sasl_bootstrap(),
            Plaintext,
            None,
            "",
            &own,
            IssueKind::WrongProtocol,
        ),
        (
            kafka.bootstrap(),
            SaslPlaintext,
            Some(Plain),
            KAFKA_PASSWORD,
            &own,
            IssueKind::WrongProtocol,
        ),
        (
            "127.0.0.1:1".to_owned(),
            Plaintext,
            None,
            "",
            &own,
            IssueKind::Unreachable,
        ),
        (
            "nosuchhost.invalid:9092".to_owned(),
            Plaintext,
            None,
            "",
            &own,
            IssueKind::UnknownHost,
        ),
    ] {
        let spec = spec(bootstrap, protocol, mechanism);
        let issue = issue(&spec, &secrets(password, ca.clone(), None)).await;
        assert_eq!(issue.kind, kind, "{spec:?}: {issue}");
        assert!(issue.to_string().contains(&spec.bootstrap_servers[0]), "{issue}");
    }
}

/// A client without a certificate is refused where one is asked for, and let in with one.

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_gets_in() {
    let kafka = Kafka::builder()
        .config("listener.name.ssl.ssl.client.auth", "required")
        .start()
        .await
        .unwrap();
    let config = config(kafka.bootstrap());
    topic(&config, "fetch.certificate", &[]).await;
    let partition = partition("fetch.certificate", 0);
    produce(&config, &partition, 0..10);
    let certificates = kafka.certificates();
    let own = (certificates.client_certificate(), certificates.client_key());
    let secrets = secrets("", certificates.ca(), Some(own));
    let mut spec = spec(kafka.tls_bootstrap(), Ssl, None);
    let refused = issue(&spec, &secrets).await;
    assert_eq!(refused.kind, IssueKind::Tls, "{refused}");

    spec.security.certificate = Some(secret("own"));
    let mut reader = Reader::open(&spec, &secrets, MIB);
    assert_eq!(reader.read(&partition, 0, 10).await, expected(0..10, 0));
}

/// Brokers may believe a password for a while only; then they close the connection, unless it is made anew before.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_grows_old_is_renewed() {
    let kafka = Kafka::builder()
        .config("connections.max.reauth.ms", "1500")
        .start()
        .await
        .unwrap();
    let config = config(kafka.bootstrap());
    topic(&config, "fetch.renewed", &[]).await;
    let partition = partition("fetch.renewed", 0);
    let secrets = secrets(KAFKA_PASSWORD, kafka.certificates().ca(), None);
    let spec = spec(kafka.sasl_bootstrap(), SaslPlaintext, Some(ScramSha512));
    let mut reader = Reader::open(&spec, &secrets, MIB);
    let generation = reader.fetcher.set(partition.clone(), 0);
    let begun = Instant::now();
    let mut written = 0;
    while begun.elapsed() < Duration::from_secs(5) {
        produce(&config, &partition, written..written + 10);
        let got = reader
            .read_on(&partition, generation, written as i64, written as i64 + 10)
            .await;
        assert_eq!(got, expected(written..written + 10, written as i64));
        written += 10;
    }
    assert_eq!(reader.reporter.errors(), 0);
}

/// A topic that the user may not read is named, and read once that is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_named_until_it_is() {
    let kafka = with_authorizer().await;
    let config = config(kafka.bootstrap());
    topic(&config, "fetch.forbidden", &[]).await;
    topic(&config, "fetch.allowed", &[]).await;
    let (forbidden, allowed) = (partition("fetch.forbidden", 0), partition("fetch.allowed", 0));
    produce(&config, &forbidden, 0..10);
    produce(&config, &allowed, 0..10);
    let allow = async |operation: &str, topic: &str| allow(&kafka, operation, "--topic", topic).await;
    allow("Read", "fetch.allowed").await;
    let secrets = secrets(KAFKA_PASSWORD, kafka.certificates().ca(), None);
    let spec = spec(kafka.sasl_bootstrap(), SaslPlaintext, Some(Plain));
    let mut reader = Reader::open(&spec, &secrets, MIB);
    let generation = reader.fetcher.set(forbidden.clone(), 0);
    // What is allowed is read, and does not hide what is not.
    assert_eq!(reader.read(&allowed, 0, 10).await, expected(0..10, 0));
    for step in ["neither", "to describe"] {
        let issue = reader.failure().await;
        assert_eq!(issue.kind, IssueKind::NotAuthorised, "{step}: {issue}");
        assert!(issue.to_string().contains("fetch.forbidden"), "{issue}");
        allow(
            if step == "neither" { "Describe" } else { "Read" },
            "fetch.forbidden",
        )
        .await;
    }
    let got = reader.read_on(&forbidden, generation, 0, 10).await;
    assert_eq!(got, expected(0..10, 0));
    reader.works().await;
}

#[test]
fn secrets_that_do_not_serve_are_named_by_their_place() {
    let with = |text: &'static str| Secrets::new(None, move |_| Some(text.to_owned()));
    let tls = spec("kafka:9093".to_owned(), Ssl, None);
    let missing = Access::new(&tls, &Secrets::new(None, |_| None), "test")
        .err()
        .unwrap();
    assert!(matches!(&missing, AccessError::Secret { .. }), "{missing:?}");
    let empty = Access::new(&tls, &with("no certificate"), "test").err().unwrap();
    assert_eq!(
        empty.to_string(),
        "no access to Kafka: ca.crt of the secret that spec.kafka.security.tls.caSecretRef names is not in PEM"
    );
}
