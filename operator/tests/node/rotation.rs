//! Passwords change under a running pipeline.

use sqlx::{Connection, Executor, PgConnection};
use testbed::{KAFKA_PASSWORD, KAFKA_USER, eventually};

use crate::bed::{Bed, PATIENCE};

impl Bed {
    async fn sql(&self, statement: &'static str) {
        let mut connection = PgConnection::connect(&self.postgres.url_of("music"))
            .await
            .unwrap();
        connection.execute(statement).await.unwrap();
    }

    async fn patch_password(&self, secret: &str, password: &str) {
        let patch = format!(r#"patch secret {secret} --patch={{"stringData":{{"password":"{password}"}}}}"#);
        self.kubectl(&patch).await.unwrap();
    }

    /// Waits until none of these workers is left, and all new ones work.
    async fn replaced(&self, workers: &[(String, String)]) {
        let are_others = async || {
            let now = self.worker_pods().await;
            if !now.is_empty() && now.iter().all(|worker| !workers.contains(worker)) {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        };
        eventually(PATIENCE, are_others).await.unwrap();
        self.condition("Ready").await;
    }

    async fn generator_pod(&self) -> String {
        self.kubectl("get pods -l app.kubernetes.io/component=generator -o jsonpath={.items[*].metadata.uid}")
            .await
            .unwrap()
    }
}

/// The database's password, told to the cluster before the database knows it; then Kafka's, the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn changed_passwords_cost_no_row() {
    let bed = Bed::new(1).await;
    bed.sql("CREATE ROLE music LOGIN PASSWORD 'first'").await;
    bed.sql("ALTER DATABASE music OWNER TO music").await;
    bed.kubectl(
        r#"patch secret music-postgres --patch={"stringData":{"username":"music","password":"first"}}"#,
    )
    .await
    .unwrap();
    let login = format!(
        "create secret generic kafka-user --from-literal=username={KAFKA_USER} --from-literal=password={KAFKA_PASSWORD}"
    );
    bed.kubectl(&login).await.unwrap();
    let plain = format!("bootstrapServers: \"{}\"", bed.kafka.bootstrap());
    let secured = format!(
        "bootstrapServers: \"{}\", security: {{protocol: SaslPlaintext, sasl: {{mechanism: ScramSha512, secretRef: {{name: kafka-user}}}}}}",
        bed.kafka.sasl_bootstrap()
    );
    let manifest = bed
        .manifest(1_000, "{min: 1, max: 1}", "")
        .replace(&plain, &secured);
    assert!(manifest.contains("ScramSha512"), "{manifest}");
    bed.cluster.apply(&manifest).await.unwrap();
    bed.stored(2_000).await;
    bed.condition("Ready").await;

    // Nothing new can begin, and what runs goes on.
    let (workers, generator) = (bed.worker_pods().await, bed.generator_pod().await);
    bed.patch_password("music-postgres", "second").await;
    bed.kubectl("wait --for=condition=Prepared=False sp/music --timeout=120s")
        .await
        .unwrap();
    bed.told("Prepared", &["password"]).await;
    bed.more_rows(2_000).await;
    assert_eq!(bed.worker_pods().await, workers);

    bed.sql("ALTER ROLE music PASSWORD 'second'").await;
    bed.replaced(&workers).await;
    assert_eq!(
        bed.generator_pod().await,
        generator,
        "it has no business with the database"
    );
    bed.more_rows(2_000).await;

    let workers = bed.worker_pods().await;
    let change = [
        "kafka.admin.ConfigCommand",
        "--bootstrap-server",
        &bed.kafka.bootstrap(),
        "--alter",
        "--entity-type=users",
        "--entity-name",
        KAFKA_USER,
        "--add-config=SCRAM-SHA-512=[password=third]",
    ];
    bed.kafka.tool(&change).await.unwrap();
    bed.patch_password("kafka-user", "third").await;
    bed.replaced(&workers).await;
    assert_ne!(bed.generator_pod().await, generator);
    bed.more_rows(2_000).await;
    bed.condition("Ready").await;
    bed.assert_audited().await;
}
