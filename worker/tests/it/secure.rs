//! Kafka with SASL over TLS and PostgreSQL with TLS: what a production cluster asks for.

use crate::support::{Bed, PATIENCE};
use testbed::{KAFKA_PASSWORD, KAFKA_USER, Kafka, Postgres};

/// Every mechanism, with the brokers' and the database's certificates checked.
#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_certificates_come_from_secrets() {
    let kafka = Kafka::shared().await.unwrap();
    let postgres = Postgres::builder().tls(true).start().await.unwrap();
    for mechanism in ["Plain", "ScramSha256", "ScramSha512"] {
        let security = format!(
            "{{protocol: SaslSsl, sasl: {{mechanism: {mechanism}, secretRef: {{name: kafka-user}}}}, tls: {{caSecretRef: {{name: kafka-ca}}}}}}"
        );
        let name = format!("secure-{}", mechanism.to_lowercase());
        let bed = Bed::new(&name, kafka, &postgres)
            .await
            .secured(kafka.sasl_tls_bootstrap(), &security)
            .tls("VerifyFull");
        bed.secret("kafka-user", "username", KAFKA_USER);
        bed.secret("kafka-user", "password", KAFKA_PASSWORD);
        bed.secret(
            "kafka-ca",
            "ca.crt",
            std::fs::read(kafka.certificates().ca()).unwrap(),
        );
        bed.secret(
            "database",
            "ca.crt",
            std::fs::read(postgres.certificates().ca()).unwrap(),
        );
        bed.prepare().await;
        bed.produce(2_000).await;
        let _worker = bed.worker("one");
        bed.assert_exact(2_000).await;
    }
}

/// A wrong password is one clear line, and rows flow as soon as the database takes it, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_and_tried_again() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("password", kafka, postgres).await;
    bed.prepare().await;
    postgres
        .execute("CREATE ROLE writer LOGIN SUPERUSER PASSWORD 'of yesterday'")
        .await
        .unwrap();
    bed.secret("database", "username", "writer");
    bed.secret("database", "password", "of today");
    let mut worker = bed.worker("one");
    bed.produce(2_000).await;
    let line = worker
        .wait_for_line("password authentication failed", PATIENCE)
        .await
        .unwrap();
    assert!(line.contains("retrying") && !line.contains("of today"), "{line}");
    postgres
        .execute("ALTER ROLE writer PASSWORD 'of today'")
        .await
        .unwrap();
    bed.stored(2_000).await;
    assert!(worker.is_running().unwrap());
}
