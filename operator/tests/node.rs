//! What a user does, on a real node: helm install, kubectl apply, rows in PostgreSQL, an edit, a killed worker, a deletion.
//! Needs root and `make test-node`, which builds the programs that the pods run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use testbed::{Cluster, Error, Kafka, Postgres, eventually};

/// Images start, groups form, and everything shares two cores.
const PATIENCE: Duration = Duration::from_mins(3);

const IMAGE: &str = "streampipeline:test";

/// The programs of the same build as the operator.
fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_streampipeline-operator")).with_file_name(name);
    assert!(
        path.exists(),
        "{} is not built: run `make test-node`",
        path.display()
    );
    path
}

struct Bed {
    cluster: Cluster,
    kafka: Kafka,
    postgres: Postgres,
}

impl Bed {
    async fn new() -> Self {
        let cluster = Cluster::start().await.unwrap();
        let address = cluster.host_address();
        let kafka = Kafka::builder().listen_on(address).start();
        let postgres = Postgres::builder().listen_on(address).start();
        let programs = [
            program("streampipeline-operator"),
            program("streampipeline-worker"),
            program("streampipeline-generator"),
        ];
        let image = cluster.load_image(IMAGE, &programs);
        let (kafka, postgres, ()) = tokio::try_join!(kafka, postgres, image).unwrap();
        Self {
            cluster,
            kafka,
            postgres,
        }
    }

    async fn kubectl(&self, command: &str) -> Result<String, Error> {
        let words: Vec<&str> = command.split(' ').collect();
        self.cluster.kubectl(&words).await
    }

    async fn install(&self) {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/streampipeline");
        let arguments = [
            "install",
            "streampipeline",
            chart.to_str().unwrap(),
            "--namespace=streampipeline",
            "--create-namespace",
            "--set=image.repository=docker.io/library/streampipeline,image.tag=test,image.pullPolicy=Never",
            "--set=operator.kafkaInterval=2s",
            "--wait",
            "--timeout=3m",
        ];
        self.cluster.helm(&arguments).await.unwrap();
    }

    fn manifest(&self, rate: u32) -> String {
        self.manifest_with(rate, "{min: 2, max: 4}")
    }

    fn manifest_with(&self, rate: u32, scaling: &str) -> String {
        format!(
            "
apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: music, namespace: default}}
spec:
  kafka: {{bootstrapServers: \"{kafka}\"}}
  topics:
    - name: music
      partitions: 4
      fields: {{user_id: int, track_id: int, event_timestamp: timestamp, event_type: string}}
  generator:
    music: {{users: 500, tracks: 2000}}
    rate: {rate}
    shards: 8
  tables:
    - {{name: plays, sql: \"SELECT user_id, track_id, event_timestamp FROM music\"}}
  scaling: {scaling}
  sink:
    postgres: {{host: \"{host}\", port: {port}, database: music, tls: Disable, secretRef: {{name: music-postgres}}}}
",
            kafka = self.kafka.bootstrap(),
            host = self.postgres.host(),
            port = self.postgres.port(),
        )
    }

    async fn number(&self, sql: &'static str) -> i64 {
        let mut connection = PgConnection::connect(&self.postgres.url_of("music"))
            .await
            .unwrap();
        sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap_or(0)
    }

    async fn rows(&self) -> i64 {
        self.number("SELECT count(*) FROM plays").await
    }

    /// Waits until there are so many rows.
    async fn stored(&self, count: i64) {
        let at_least = async || {
            let rows = self.rows().await;
            if rows >= count {
                Ok(())
            } else {
                Err(format!("{rows} of {count} rows are stored"))
            }
        };
        if let Err(error) = eventually(PATIENCE, at_least).await {
            let state = self.kubectl("get sp,pods,jobs,deployments -A -o wide").await;
            let status = self.kubectl("get sp music -o yaml").await;
            panic!(
                "{error}\n{}\n{}",
                state.unwrap_or_default(),
                status.unwrap_or_default()
            );
        }
    }

    /// Workers that the Deployment is to have.
    async fn workers(&self) -> String {
        self.kubectl("get deployment music-worker -o jsonpath={.spec.replicas}")
            .await
            .unwrap()
    }

    /// What the scaler says.
    async fn decision(&self) -> String {
        self.kubectl("get sp music -o jsonpath={.status.scaling.text}")
            .await
            .unwrap()
    }

    /// Waits until the condition holds.
    async fn condition(&self, name: &str) {
        let wait = format!("wait --for=condition={name} sp/music --timeout=180s");
        if let Err(error) = self.kubectl(&wait).await {
            let status = self.kubectl("get sp music -o yaml").await;
            let pods = self
                .kubectl("describe pods -l app.kubernetes.io/instance=music")
                .await;
            panic!(
                "{error:?}\n{}\n{}",
                status.unwrap_or_default(),
                pods.unwrap_or_default()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_lives_on_a_cluster_from_helm_install_to_its_deletion() {
    let bed = Bed::new().await;
    bed.postgres.create_database("music").await.unwrap();
    bed.install().await;
    let secret = format!(
        "create secret generic music-postgres --from-literal=username={} --from-literal=password={}",
        bed.postgres.user(),
        bed.postgres.password()
    );
    bed.kubectl(&secret).await.unwrap();

    let applied = Instant::now();
    bed.cluster.apply(&bed.manifest(500)).await.unwrap();
    bed.stored(1).await;
    println!(
        "first row {:.1} s after kubectl apply",
        applied.elapsed().as_secs_f64()
    );
    bed.condition("Ready").await;
    bed.stored(2_000).await;

    // An edit: the generator rolls, and its checkpoints go on where they were.
    bed.cluster.apply(&bed.manifest(1_000)).await.unwrap();
    let before = bed.rows().await;
    bed.stored(before + 5_000).await;

    // A worker is killed in the middle of its work.
    let pods = bed
        .kubectl("get pods -l app.kubernetes.io/instance=music,app.kubernetes.io/component=worker -o name")
        .await
        .unwrap();
    let victim = pods.lines().next().expect("a worker's pod");
    bed.kubectl(&format!("delete {victim} --force --grace-period=0 --wait=false"))
        .await
        .unwrap();
    let before = bed.rows().await;
    bed.stored(before + 10_000).await;
    bed.condition("Ready").await;
    bed.condition("Audited").await;
    let audit = bed
        .kubectl("get sp music -o jsonpath={.status.audit}")
        .await
        .unwrap();
    assert_eq!(audit, "missing 0, doubled 0");
    println!("{}", bed.kubectl("get sp").await.unwrap());

    bed.kubectl("delete sp music --timeout=120s").await.unwrap();
    let gone = async || {
        let left = bed
            .kubectl("get deployments,jobs,configmaps,services,networkpolicies,poddisruptionbudgets,pods -l app.kubernetes.io/instance=music -o name")
            .await
            .unwrap();
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    };
    eventually(PATIENCE, gone).await.unwrap();
    let rows = bed.rows().await;
    let audited = bed
        .number("SELECT sum((state->>'records')::bigint)::bigint FROM streampipeline_offsets WHERE pipeline = 'music'")
        .await;
    assert!(rows > 17_000, "the data stays: {rows}");
    assert_eq!(rows, audited, "every record that was read is a row, once");
}

/// Workers follow the lag: a backlog brings more of them, and when it is gone they go. The decision stands in the status,
/// with its reason, and as an event; nothing is lost or doubled on the way.
#[tokio::test(flavor = "multi_thread")]
async fn workers_follow_the_lag_and_the_status_says_why() {
    let bed = Bed::new().await;
    bed.postgres.create_database("music").await.unwrap();
    bed.install().await;
    let secret = format!(
        "create secret generic music-postgres --from-literal=username={} --from-literal=password={}",
        bed.postgres.user(),
        bed.postgres.password()
    );
    bed.kubectl(&secret).await.unwrap();
    let calm = "{min: 1, max: 4, drainWithin: 10s, patience: 20s}";
    bed.cluster.apply(&bed.manifest_with(200, calm)).await.unwrap();
    bed.stored(500).await;
    assert_eq!(bed.workers().await, "1");

    // More than one worker of this build can do for long: what a worker can do is measured.
    bed.cluster.apply(&bed.manifest_with(60_000, calm)).await.unwrap();
    let more = async || {
        let workers = bed.workers().await;
        if workers == "1" {
            Err(bed.decision().await)
        } else {
            Ok(workers)
        }
    };
    let workers = eventually(PATIENCE, more).await.unwrap();
    println!("{workers} workers: {}", bed.decision().await);

    bed.cluster.apply(&bed.manifest_with(200, calm)).await.unwrap();
    let fewer = async || {
        let workers = bed.workers().await;
        if workers == "1" {
            Ok(())
        } else {
            Err(bed.decision().await)
        }
    };
    eventually(PATIENCE * 2, fewer).await.unwrap();
    println!("{}", bed.decision().await);
    let events = bed
        .kubectl("get events --field-selector involvedObject.name=music")
        .await
        .unwrap();
    assert!(events.contains("workers"), "{events}");
    bed.condition("Audited").await;
    let audit = bed
        .kubectl("get sp music -o jsonpath={.status.audit}")
        .await
        .unwrap();
    assert_eq!(audit, "missing 0, doubled 0");
}
