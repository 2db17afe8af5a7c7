//! The real API server with etcd behind it, without Kubernetes' other programs.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use testbed::{ControlPlane, Part, eventually};

use super::pipelines::{namespaces, pipelines, secret};
use super::player::Player;
use super::{Cluster, PATIENCE, PROGRAM};
use crate::error::{BenchError, kubernetes};
use crate::programs::{Programs, output_of};
use crate::scrape;
use crate::servers::Servers;

pub(super) struct Real {
    /// None once nothing is left to play. It goes before the server that it talks to.
    player: Option<Player>,
    plane: ControlPlane,
    /// Writes before the API server was last started, which forgets them.
    forgotten: u64,
}

impl Real {
    pub(super) async fn start(servers: &Servers, programs: &Programs) -> Result<Self, BenchError> {
        let mut plane = ControlPlane::start().await?;
        for played in [Part::ControllerManager, Part::Scheduler] {
            plane.kill(played).await?;
        }
        let definition = output_of(programs.command(PROGRAM).arg("crd"))?;
        plane.apply(&String::from_utf8_lossy(&definition.stdout)).await?;
        let established = [
            "wait",
            "--for=condition=Established",
            "crd/streampipelines.streampipeline.dev",
        ];
        plane.kubectl(&established).await?;
        let namespace =
            |name: String| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let objects: Vec<Value> = namespaces()
            .map(namespace)
            .chain(namespaces().map(|name| secret(&name)))
            .chain(pipelines("real", &servers.kafka.bootstrap()))
            .collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        plane.apply(&list.to_string()).await?;
        let player = Player::start(&client(plane.kubeconfig()).await?);
        Ok(Self {
            player: Some(player),
            plane,
            forgotten: 0,
        })
    }

    /// Requests that wrote since the API server was started, by its own account.
    async fn remembered(&self) -> Result<u64, BenchError> {
        let metrics = self.plane.kubectl(&["get", "--raw", "/metrics"]).await?;
        let writes = |labels: &str| {
            let has = |name: &str, values: &[&str]| {
                values
                    .iter()
                    .any(|value| labels.contains(&format!("{name}=\"{value}\"")))
            };
            has("verb", &["APPLY", "DELETE", "PATCH", "POST", "PUT"])
                && !has("resource", &["events", "leases"])
        };
        scrape::total(&metrics, "apiserver_request_total", writes).ok_or(BenchError::NoFigure(metrics))
    }
}

async fn client(kubeconfig: &Path) -> Result<Client, BenchError> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).map_err(kubernetes)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(kubernetes)?;
    Client::try_from(config).map_err(kubernetes)
}

impl Cluster for Real {
    const NAME: &'static str = "kube-apiserver";

    fn kubeconfig(&self) -> &Path {
        self.plane.kubeconfig()
    }

    fn converged(&mut self) -> Result<bool, BenchError> {
        let Some(player) = &mut self.player else {
            return Ok(true);
        };
        player.check()?;
        Ok(player.converged())
    }

    async fn writes(&mut self) -> Result<u64, BenchError> {
        if let Some(player) = &mut self.player {
            player.check()?;
        }
        Ok(self.forgotten + self.remembered().await?)
    }

    /// Starts the API server anew, whose watches know nothing of what was before.
    async fn begin_watches_anew(&mut self) -> Result<(), BenchError> {
        self.forgotten += self.remembered().await?;
        self.player = None;
        self.plane.kill(Part::ApiServer).await?;
        self.plane.start_again(Part::ApiServer).await?;
        let plane = &self.plane;
        eventually(PATIENCE, async || {
            plane.kubectl(&["get", "--raw", "/readyz"]).await
        })
        .await?;
        Ok(())
    }

    fn status(&self) -> Value {
        self.player.as_ref().map_or(Value::Null, Player::status)
    }
}
