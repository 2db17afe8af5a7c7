//! Writing with every kind of access, and without.

use api::{Kafka as KafkaSpec, Sasl, SaslMechanism, SecretRef, Security, SecurityProtocol};
use kafka::ErrorCode;
use kafka::produce::ProduceError;
use runtime::secrets::Secrets;
use testbed::{KAFKA_PASSWORD, KAFKA_USER, Kafka};

use crate::authorizer::{allow, with_authorizer};
use crate::produce_support::{Writer, assert_holds, topic};
use crate::{config, shared};

fn spec(bootstrap: String, protocol: SecurityProtocol, mechanism: Option<SaslMechanism>) -> KafkaSpec {
    let secret = |name: &str| SecretRef {
        name: name.to_owned(),
    };
    let encrypted = matches!(protocol, SecurityProtocol::Ssl | SecurityProtocol::SaslSsl);
    KafkaSpec {
        bootstrap_servers: vec![bootstrap],
        security: Security {
            protocol,
            sasl: mechanism.map(|mechanism| Sasl {
                mechanism,
                secret: secret("user"),
            }),
            ca: encrypted.then(|| secret("ca")),
            certificate: None,
        },
    }
}

fn secrets(kafka: &Kafka) -> Secrets {
    let ca = kafka.certificates().ca();
    Secrets::new(None, move |variable| match variable {
        "STREAMPIPELINE_SECRET_USER_USERNAME" => Some(KAFKA_USER.to_owned()),
        "STREAMPIPELINE_SECRET_USER_PASSWORD" => Some(KAFKA_PASSWORD.to_owned()),
        "STREAMPIPELINE_SECRET_CA_CA_CRT" => std::fs::read_to_string(&ca).ok(),
        _ => None,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_and_authenticated_connections_carry_transactions() {
    let kafka = shared().await;
    for (name, bootstrap, protocol, mechanism) in [
        ("produce.tls", kafka.tls_bootstrap(), SecurityProtocol::Ssl, None),
        (
            "produce.sasl",
            kafka.sasl_bootstrap(),
            SecurityProtocol::SaslPlaintext,
            Some(SaslMechanism::Plain),
        ),
        (
            "produce.both",
            kafka.sasl_tls_bootstrap(),
            SecurityProtocol::SaslSsl,
            Some(SaslMechanism::ScramSha512),
        ),
    ] {
        topic(&config(kafka.bootstrap()), name, 2, 1).await;
        let mut writer = Writer::open(
            &spec(bootstrap, protocol, mechanism),
            &secrets(kafka),
            name,
            Some(name),
        );
        writer.start().unwrap();
        writer.write(0..5_000).unwrap();
        writer.commit_and_wait(5_000).unwrap();
        assert_holds(&kafka.bootstrap(), name, 0..5_000, 2);
    }
}

/// Each right that is missing is named in its turn, as something that does not pass by itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_named() {
    let kafka = with_authorizer().await;
    let name = "produce.forbidden";
    topic(&config(kafka.bootstrap()), name, 1, 1).await;
    let spec = spec(
        kafka.sasl_bootstrap(),
        SecurityProtocol::SaslPlaintext,
        Some(SaslMechanism::Plain),
    );
    let mut writer = Writer::open(&spec, &secrets(&kafka), name, Some(name));
    let mut attempt = || -> Result<(), ProduceError> {
        writer.start()?;
        writer.write(0..100)?;
        writer.commit_and_wait(100)
    };
    let group = format!("{name}.group");
    for (code, operation, what, which) in [
        (
            ErrorCode::TransactionalIdAuthorizationFailed,
            "Write",
            "--transactional-id",
            name,
        ),
        (ErrorCode::TopicAuthorizationFailed, "Write", "--topic", name),
        (
            ErrorCode::GroupAuthorizationFailed,
            "Read",
            "--group",
            group.as_str(),
        ),
        // Whose offsets are committed has to be readable.
        (ErrorCode::TopicAuthorizationFailed, "Read", "--topic", name),
    ] {
        // The topic may be looked at before the name is.
        let error = loop {
            let error = attempt().unwrap_err();
            if error.code() == Some(code) {
                break error;
            }
            assert_eq!(error.code(), Some(ErrorCode::TopicAuthorizationFailed), "{error}");
            allow(&kafka, "Describe", "--topic", name).await;
        };
        assert!(error.is_lasting(), "{error}");
        allow(&kafka, operation, what, which).await;
    }
    attempt().unwrap();
    assert_holds(&kafka.bootstrap(), name, 0..100, 1);
}
