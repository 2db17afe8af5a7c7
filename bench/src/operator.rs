//! The operator with a thousand pipelines: the release program, against an API server in memory that plays Kubernetes'
//! controllers, and a real broker with the pipelines' topics.

use std::process::Command;
use std::time::Duration;

use memory_apiserver::{ApiServer, Key, play};
use serde_json::{Value, json};
use testbed::Process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::error::{BenchError, io};
use crate::measure::Row;
use crate::scrape::Scrape;
use crate::servers::{Servers, usage};

const PROGRAM: &str = "streampipeline-operator";
const PIPELINES: usize = 1000;
/// Namespaces over which they are spread.
const NAMESPACES: usize = 20;
/// Longest that anything may take.
const PATIENCE: Duration = Duration::from_mins(15);
const LOOK: Duration = Duration::from_millis(100);
/// Nothing written for so long: it is steady.
const QUIET: Duration = Duration::from_secs(20);

/// A running operator and the cluster that it looks after.
struct Scene {
    api: ApiServer,
    operator: Process,
    metrics: std::net::SocketAddr,
}

/// Convergence from nothing, then a sweep over pipelines of which each is as it should be.
pub(crate) async fn thousand(servers: &Servers) -> Result<Vec<Row>, BenchError> {
    let api = ApiServer::new(play::well);
    for number in 0..PIPELINES {
        fill(&api, number, &servers.kafka.bootstrap());
    }
    let began = Instant::now();
    let mut scene = Scene::start(servers, api).await?;
    scene
        .until("every pipeline has its objects", Scene::converged)
        .await?;
    let converged = began.elapsed();
    scene.quiet().await?;
    let (first, writes) = (scene.scrape().await?, scene.writes());

    // Every watch is begun anew, so that each pipeline is looked at once more.
    scene.api.break_watches(true);
    scene.reconciled(first.count + PIPELINES as u64).await?;
    tokio::time::sleep(QUIET).await;
    let (last, again) = (scene.scrape().await?, scene.writes() - writes);
    let memory = usage(&scene.operator)?.memory;

    let row = |what: &str, figure: String, goal: &str| Row {
        what: format!("operator, {PIPELINES} pipelines: {what}"),
        figure,
        baseline: String::new(),
        ratio: None,
        goal: goal.to_owned(),
    };
    let quantile = |scrape: &Scrape| {
        let milliseconds = scrape.quantile(0.99) * 1e3;
        format!("{milliseconds:.1} ms ({} reconciles)", scrape.count)
    };
    let sweep = last.since(&first);
    Ok(vec![
        row(
            "from its start to all objects",
            format!("{:.1} s", converged.as_secs_f64()),
            "≤ 180 s",
        ),
        row("largest resident memory", format!("{memory:.0} MB"), "≤ 150 MB"),
        // Two dozen calls, one after the other, sixteen pipelines at a time: as fast as both ends' processors are.
        row("p99 of a reconcile while it converges", quantile(&first), ""),
        row(
            "p99 of a reconcile in a steady sweep",
            quantile(&sweep),
            "≤ 50 ms",
        ),
        row("writes in a steady sweep", again.to_string(), "0"),
    ])
}

fn key(group: &str, plural: &str, namespace: &str, name: &str) -> Key {
    [group, plural, namespace, name].map(str::to_owned).into()
}

/// A pipeline and the secret that it names.
fn fill(api: &ApiServer, number: usize, bootstrap: &str) {
    let (name, namespace) = (
        format!("pipeline-{number}"),
        format!("team-{}", number % NAMESPACES),
    );
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {},
        // "YmVuY2g=" is bench.
        "data": { "username": "YmVuY2g=", "password": "YmVuY2g=" },
    });
    let topic = format!("operator_{number}");
    let pipeline = json!({
        "apiVersion": "streampipeline.dev/v1alpha1", "kind": "StreamPipeline", "metadata": {},
        "spec": {
            "kafka": { "bootstrapServers": bootstrap },
            "topics": [{
                "name": topic, "partitions": 1,
                "fields": { "user_id": "int", "track_id": "int", "event_timestamp": "timestamp", "event_type": "string" },
            }],
            "generator": { "music": {}, "rate": 100.0 },
            "tables": [{ "name": "stored", "sql": format!("SELECT user_id FROM {topic}") }],
            "sink": { "postgres": { "host": "db", "database": "bench", "secretRef": { "name": "database" } } },
        },
    });
    api.change(|store| {
        // One secret a namespace: it is there already for all but the first.
        let _ = store.create(key("", "secrets", &namespace, "database"), secret);
        let _ = store.create(
            key("streampipeline.dev", "streampipelines", &namespace, &name),
            pipeline,
        );
    });
}

impl Scene {
    async fn start(servers: &Servers, api: ApiServer) -> Result<Self, BenchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(io("listening"))?;
        let address = listener.local_addr().map_err(io("listening"))?;
        let server = api.clone();
        tokio::spawn(server.serve(listener));
        let kubeconfig = servers.folder().join("kubeconfig.yaml");
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "memory", "preferences": {},
            "clusters": [{ "name": "memory", "cluster": { "server": format!("http://{address}") } }],
            "contexts": [{ "name": "memory", "context": { "cluster": "memory", "user": "nobody" } }],
            "users": [{ "name": "nobody", "user": {} }],
        });
        std::fs::write(&kubeconfig, text.to_string()).map_err(io("writing a kubeconfig"))?;

        // A port that was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").await.map_err(io("listening"))?;
        let metrics = free.local_addr().map_err(io("listening"))?;
        drop(free);
        let own = std::env::current_exe().map_err(io("finding the programs"))?;
        let mut command = Command::new(own.with_file_name(PROGRAM));
        command
            .args([
                "run",
                "--image=streampipeline:bench",
                "--no-crd",
                "--log=warn",
                "--own-namespace=operators",
            ])
            .arg(format!("--listen={metrics}"))
            .env("KUBECONFIG", &kubeconfig);
        Ok(Self {
            api,
            operator: Process::from_command(command)?,
            metrics,
        })
    }

    /// Workers and generator of each are there, and something is said about it.
    fn converged(&self) -> bool {
        let server = self.api.lock();
        let count = |plural: &str, wanted: fn(&Value) -> bool| {
            let objects = server.store.objects.iter();
            objects
                .filter(|(key, object)| key.1 == plural && wanted(object))
                .count()
        };
        let told = |object: &Value| object.pointer("/status/conditions").is_some();
        count("streampipelines", told) == PIPELINES && count("deployments", |_| true) == 2 * PIPELINES
    }

    /// Writes so far, without those of events and leases.
    fn writes(&self) -> usize {
        self.api.lock().calls.iter().filter(|call| call.writes()).count()
    }

    async fn until(&mut self, what: &str, there: impl Fn(&Self) -> bool) -> Result<(), BenchError> {
        let deadline = Instant::now() + PATIENCE;
        while !there(self) {
            self.check(what, deadline)?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn quiet(&mut self) -> Result<(), BenchError> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = (self.writes(), Instant::now());
        while last.1.elapsed() < QUIET {
            self.check("nothing is written any more", deadline)?;
            tokio::time::sleep(LOOK).await;
            let writes = self.writes();
            if writes != last.0 {
                last = (writes, Instant::now());
            }
        }
        Ok(())
    }

    async fn reconciled(&mut self, reconciles: u64) -> Result<(), BenchError> {
        let deadline = Instant::now() + PATIENCE;
        while self.scrape().await?.count < reconciles {
            self.check("every pipeline is looked at again", deadline)?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    fn check(&mut self, what: &str, deadline: Instant) -> Result<(), BenchError> {
        if Instant::now() < deadline && self.operator.is_running()? {
            return Ok(());
        }
        let server = self.api.lock();
        let mut objects = server.store.objects.iter();
        let first = objects.find(|(key, _)| key.1 == "streampipelines");
        Err(BenchError::NoFigure(format!(
            "not within {PATIENCE:?}: {what}; the status of the first pipeline is {}",
            first
                .and_then(|(_, object)| object.get("status"))
                .unwrap_or(&Value::Null)
        )))
    }

    async fn scrape(&self) -> Result<Scrape, BenchError> {
        let what = "asking the operator for its metrics";
        let mut stream = TcpStream::connect(self.metrics).await.map_err(io(what))?;
        stream
            .write_all(b"GET /metrics HTTP/1.0\r\n\r\n")
            .await
            .map_err(io(what))?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.map_err(io(what))?;
        Scrape::parse(&text, "streampipeline_operator_reconcile_duration_seconds")
            .ok_or(BenchError::NoFigure(text))
    }
}
