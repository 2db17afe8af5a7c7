//! A cluster, the operator in it by Helm, and a pipeline to apply.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use testbed::{Cluster, Error, Kafka, Postgres, eventually};

/// Images start, groups form, and everything shares two cores.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

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

/// A cluster with the operator in it, and Kafka and PostgreSQL beside it.
pub(crate) struct Bed {
    pub(crate) cluster: Cluster,
    pub(crate) kafka: Kafka,
    pub(crate) postgres: Postgres,
}

impl Bed {
    /// Everything is there that `kubectl apply` of the manifest needs.
    pub(crate) async fn new(nodes: u32) -> Self {
        let cluster = Cluster::builder().nodes(nodes).start().await.unwrap();
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
        let bed = Self {
            cluster,
            kafka,
            postgres,
        };
        bed.postgres.create_database("music").await.unwrap();
        bed.install().await;
        let secret = format!(
            "create secret generic music-postgres --from-literal=username={} --from-literal=password={}",
            bed.postgres.user(),
            bed.postgres.password()
        );
        bed.kubectl(&secret).await.unwrap();
        bed
    }

    pub(crate) async fn kubectl(&self, command: &str) -> Result<String, Error> {
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

    /// Runs the chart's test, and gives what helm says and the test's pod.
    pub(crate) async fn helm_test(&self) -> Result<String, Error> {
        let arguments = [
            "test",
            "streampipeline",
            "--namespace=streampipeline",
            "--logs",
            "--timeout=3m",
        ];
        self.cluster.helm(&arguments).await
    }

    /// Applies the pipeline with two workers or more.
    pub(crate) async fn apply(&self, rate: u32) {
        self.apply_with(rate, "{min: 2, max: 4}", "").await;
    }

    /// `more` are further lines of the spec.
    pub(crate) async fn apply_with(&self, rate: u32, scaling: &str, more: &str) {
        let manifest = self.manifest(rate, scaling, more);
        self.cluster.apply(&manifest).await.unwrap();
    }

    pub(crate) fn manifest(&self, rate: u32, scaling: &str, more: &str) -> String {
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
{more}",
            kafka = self.kafka.bootstrap(),
            host = self.postgres.host(),
            port = self.postgres.port(),
        )
    }

    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        let mut connection = PgConnection::connect(&self.postgres.url_of("music"))
            .await
            .unwrap();
        sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap_or(0)
    }

    pub(crate) async fn rows(&self) -> i64 {
        self.number("SELECT count(*) FROM plays").await
    }

    /// Waits until there are so many rows.
    pub(crate) async fn stored(&self, count: i64) {
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
    pub(crate) async fn workers(&self) -> String {
        self.kubectl("get deployment music-worker -o jsonpath={.spec.replicas}")
            .await
            .unwrap()
    }

    /// A member of the pipeline's status.
    pub(crate) async fn status(&self, member: &str) -> String {
        let command = format!("get sp music -o jsonpath={{.status.{member}}}");
        self.kubectl(&command).await.unwrap()
    }

    /// What the scaler says.
    pub(crate) async fn decision(&self) -> String {
        self.status("scaling.text").await
    }

    /// Waits until the condition holds.
    pub(crate) async fn condition(&self, name: &str) {
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

    /// Waits until what the condition says holds these words.
    pub(crate) async fn told(&self, condition: &str, words: &[&str]) {
        let member = format!("conditions[?(@.type==\"{condition}\")].message");
        let is_told = async || {
            let message = self.status(&member).await;
            if words.iter().all(|word| message.contains(word)) {
                Ok(message)
            } else {
                Err(message)
            }
        };
        println!("{}", eventually(PATIENCE, is_told).await.unwrap());
    }

    /// Waits until so many more rows are stored.
    pub(crate) async fn more_rows(&self, count: i64) {
        let before = self.rows().await;
        self.stored(before + count).await;
    }

    /// The pods of the workers that run, with their nodes.
    pub(crate) async fn worker_pods(&self) -> Vec<(String, String)> {
        let command = "get pods -l app.kubernetes.io/instance=music,app.kubernetes.io/component=worker --no-headers \
                       --field-selector=status.phase=Running -o custom-columns=NAME:.metadata.name,NODE:.spec.nodeName";
        let pods = self.kubectl(command).await.unwrap();
        let pair = |line: &str| {
            let mut words = line.split_whitespace().map(str::to_owned);
            Some((words.next()?, words.next()?))
        };
        pods.lines().filter_map(pair).collect()
    }

    /// What was produced is stored, each record once, as far as the audit has come.
    pub(crate) async fn assert_audited(&self) {
        self.condition("Audited").await;
        assert_eq!(self.status("audit").await, "missing 0, doubled 0");
    }
}
