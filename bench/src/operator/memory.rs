//! An API server in memory, in which Kubernetes' controllers are played.

use std::path::{Path, PathBuf};

use memory_apiserver::{ApiServer, Key, play};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Cluster;
use super::pipelines::{PIPELINES, namespaces, pipelines, secret};
use crate::error::{BenchError, io};
use crate::servers::Servers;

pub(super) struct Memory {
    api: ApiServer,
    kubeconfig: PathBuf,
    // Served until it is dropped.
    _server: JoinSet<std::io::Result<()>>,
}

impl Memory {
    pub(super) async fn start(servers: &Servers) -> Result<Self, BenchError> {
        let api = ApiServer::new(play::well);
        let bootstrap = servers.kafka.bootstrap();
        for namespace in namespaces() {
            create(&api, "", "secrets", secret(&namespace))?;
        }
        for pipeline in pipelines("memory", &bootstrap) {
            create(&api, "streampipeline.dev", "streampipelines", pipeline)?;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(io("listening"))?;
        let address = listener.local_addr().map_err(io("listening"))?;
        let mut server = JoinSet::new();
        server.spawn(api.clone().serve(listener));
        let kubeconfig = servers.folder().join("kubeconfig.yaml");
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "memory", "preferences": {},
            "clusters": [{ "name": "memory", "cluster": { "server": format!("http://{address}") } }],
            "contexts": [{ "name": "memory", "context": { "cluster": "memory", "user": "nobody" } }],
            "users": [{ "name": "nobody", "user": {} }],
        });
        std::fs::write(&kubeconfig, text.to_string()).map_err(io("writing a kubeconfig"))?;
        Ok(Self {
            api,
            kubeconfig,
            _server: server,
        })
    }
}

fn create(api: &ApiServer, group: &str, plural: &str, object: Value) -> Result<(), BenchError> {
    let metadata = object.get("metadata");
    let member = |name: &str| {
        let value = metadata.and_then(|metadata| metadata.get(name)?.as_str());
        value.unwrap_or_default().to_owned()
    };
    let key: Key = (
        group.to_owned(),
        plural.to_owned(),
        member("namespace"),
        member("name"),
    );
    let created = api.change(|store| store.create(key, object));
    created
        .map(drop)
        .map_err(|refused| BenchError::Kubernetes(format!("{refused:?}")))
}

impl Cluster for Memory {
    const NAME: &'static str = "API server in memory";

    fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    fn converged(&mut self) -> Result<bool, BenchError> {
        let server = self.api.lock();
        let count = |plural: &str, wanted: fn(&Value) -> bool| {
            let objects = server.store.objects.iter();
            objects
                .filter(|(key, object)| key.1 == plural && wanted(object))
                .count()
        };
        let reported = |object: &Value| object.pointer("/status/conditions").is_some();
        Ok(
            count("streampipelines", reported) == PIPELINES
                && count("deployments", |_| true) == 2 * PIPELINES,
        )
    }

    async fn writes(&mut self) -> Result<u64, BenchError> {
        Ok(self.api.lock().calls.iter().filter(|call| call.writes()).count() as u64)
    }

    async fn begin_watches_anew(&mut self) -> Result<(), BenchError> {
        self.api.break_watches(true);
        Ok(())
    }

    fn status(&self) -> Value {
        let server = self.api.lock();
        let mut objects = server.store.objects.iter();
        let some = objects.find(|(key, _)| key.1 == "streampipelines");
        some.and_then(|(_, object)| object.get("status").cloned())
            .unwrap_or_default()
    }
}
