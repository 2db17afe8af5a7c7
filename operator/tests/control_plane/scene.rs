//! A namespace of a control plane with the operator in it, and what tests ask about it.

use std::sync::Arc;
use std::time::Duration;

use api::crd::PullPolicy;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use operator::controller::{self, ControllerSettings};
use operator::installation::access::KubernetesCluster;
use operator::installation::rbac::{self, RuleScope};
use operator::kafka::MonitorConfig;
use operator::metrics::Metrics;
use operator::objects::Defaults;
use operator::plan::{self, Change, Planned};
use runtime::health::Health;
use serde_json::{Value, json};
use testbed::{ControlPlane, Kubernetes, eventually};
use tokio_util::sync::CancellationToken;

use crate::kafka::FakeKafka;

pub(crate) const MOMENT: Duration = Duration::from_mins(3);
/// The operator that this test is, as it would be seen in a cluster.
const OPERATOR: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata:
  name: operator
  namespace: NAMESPACE
  labels: {app.kubernetes.io/part-of: streampipeline, app.kubernetes.io/component: operator}
spec:
  selector: {matchLabels: {app: operator}}
  template:
    metadata: {labels: {app: operator}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 1, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: operator
          image: streampipeline:test
          args: [run, --image=streampipeline:test, --image-pull-policy=Never, --namespace=NAMESPACE]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
";
pub(crate) const MUSIC: &str = include_str!("../../../deploy/pipelines/music.yaml");

/// A namespace that only takes restricted pods, and an operator in it with the rights of the table and no others.
pub(crate) struct Scene<'a> {
    plane: &'a Kubernetes,
    namespace: String,
    client: Client,
    pub(crate) kafka: FakeKafka,
    pub(crate) metrics: Metrics,
    stop: CancellationToken,
}

pub(crate) async fn client(kubeconfig: &std::path::Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

/// A namespace that only takes restricted pods, with the operator's service account and its rights.
async fn found(plane: &Kubernetes, namespace: &str) {
    let account = format!("[{{kind: ServiceAccount, name: operator, namespace: {namespace}}}]");
    plane
        .apply(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n  labels: {{pod-security.kubernetes.io/enforce: restricted}}\n\
             ---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: operator, namespace: {namespace}}}\n\
             ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {namespace}-cluster}}\n{}\
             ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: {namespace}-cluster}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {namespace}-cluster}}\n\
             subjects: {account}\n\
             ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: operator, namespace: {namespace}}}\n{}\
             ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: operator, namespace: {namespace}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: operator}}\n\
             subjects: {account}\n",
            rbac::yaml(RuleScope::Cluster),
            rbac::yaml(RuleScope::Watched),
        ))
        .await
        .unwrap();
}

impl Scene<'static> {
    /// In a control plane that others use as well.
    pub(crate) async fn start(namespace: &str) -> Self {
        Scene::start_in(ControlPlane::shared().await.unwrap(), namespace).await
    }
}

impl<'a> Scene<'a> {
    /// The definition is applied, and the controller runs.
    pub(crate) async fn start_in(plane: &'a Kubernetes, namespace: &str) -> Self {
        found(plane, namespace).await;
        let kubeconfig = plane
            .service_account_kubeconfig(namespace, "operator")
            .await
            .unwrap();
        let operator = client(&kubeconfig).await;
        operator::installation::definition::apply(&operator)
            .await
            .unwrap();
        let scene = Self {
            plane,
            namespace: namespace.to_owned(),
            client: client(plane.kubeconfig()).await,
            kafka: FakeKafka::default(),
            metrics: Metrics::default(),
            stop: CancellationToken::new(),
        };
        let settings = scene.settings(operator);
        tokio::spawn(controller::run(settings, scene.stop.clone()));
        let played = play(scene.client.clone(), namespace.to_owned(), scene.stop.clone());
        tokio::spawn(played);
        scene
    }

    fn settings(&self, client: Client) -> ControllerSettings {
        ControllerSettings {
            client,
            kafka: Arc::new(self.kafka.clone()),
            monitors: MonitorConfig {
                interval: Duration::from_secs(1),
                ..MonitorConfig::default()
            },
            defaults: Defaults {
                image: "streampipeline:test".to_owned(),
                pull_policy: PullPolicy::Never,
                network_policies: true,
            },
            namespace: Some(self.namespace.clone()),
            concurrency: 4,
            instance: "operator".to_owned(),
            metrics: self.metrics.clone(),
            health: Health::new(),
            clock: Arc::new(Timestamp::now),
        }
    }

    pub(crate) async fn kubectl(&self, arguments: &str) -> String {
        let arguments: Vec<&str> = arguments
            .split(' ')
            .chain(["--namespace", &self.namespace])
            .collect();
        self.plane.kubectl(&arguments).await.unwrap()
    }

    pub(crate) async fn apply(&self, manifest: &str) -> Result<String, String> {
        let placed = manifest.replace(
            "metadata:\n  name: music\n",
            &format!("metadata:\n  name: music\n  namespace: {}\n", self.namespace),
        );
        self.plane.apply(&placed).await.map_err(|error| error.to_string())
    }

    pub(crate) async fn secret(&self) {
        self.kubectl("create secret generic music-postgres --from-literal=username=music --from-literal=password=music").await;
    }

    pub(crate) async fn object(&self, kind: &str, name: &str) -> Value {
        let text = self
            .kubectl(&format!("get {kind} {name} --ignore-not-found --output=json"))
            .await;
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A condition of a pipeline.
    async fn said(&self, pipeline: &str, kind: &str) -> Value {
        let object = self.object("streampipelines", pipeline).await;
        let conditions = object["status"]["conditions"].as_array().cloned();
        let mut conditions = conditions.unwrap_or_default().into_iter();
        conditions
            .find(|condition| condition["type"] == kind)
            .unwrap_or_default()
    }

    /// A condition's sentence.
    pub(crate) async fn message(&self, pipeline: &str, kind: &str) -> String {
        let said = self.said(pipeline, kind).await;
        said["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Makes the operator's Deployment, by which a plan knows its settings. Nothing runs in its pod.
    pub(crate) async fn show_operator(&self) {
        let deployment = OPERATOR.replace("NAMESPACE", &self.namespace);
        self.plane.apply(&deployment).await.unwrap();
        self.kubectl("wait deployment/operator --for=condition=Available --timeout=180s")
            .await;
    }

    /// What `plan --cluster` would have changed about a manifest.
    pub(crate) async fn planned(&self, manifest: &str) -> Vec<Planned> {
        let cluster = KubernetesCluster {
            client: self.client.clone(),
            url: String::new(),
            namespace: self.namespace.clone(),
        };
        let resource = api::parse(manifest).unwrap();
        let plan = Box::pin(plan::plan(&cluster, resource, &self.namespace));
        let plan = plan.await.unwrap();
        assert_eq!(plan.problems, Vec::<String>::new());
        assert_eq!(plan.operator, Some(format!("{}/operator", self.namespace)));
        for topic in &plan.topics {
            assert_eq!(topic.seen, Some(topic.partitions), "{}", topic.name);
        }
        let changes = plan.objects.into_iter();
        changes
            .filter(|object| object.change != Change::Unchanged)
            .collect()
    }

    /// Waits until a condition of the pipeline `music` has this status and reason.
    pub(crate) async fn until(&self, kind: &str, expected: &str) {
        self.until_of("music", kind, expected).await;
    }

    pub(crate) async fn until_of(&self, pipeline: &str, kind: &str, expected: &str) {
        let is_said = async || {
            let said = self.said(pipeline, kind).await;
            let text = |member: &str| said[member].as_str().unwrap_or("-").to_owned();
            let found = format!("{} {}", text("status"), text("reason"));
            if found == expected {
                Ok(())
            } else {
                Err(format!("{kind} is {found}: {}", text("message")))
            }
        };
        eventually(MOMENT, is_said)
            .await
            .unwrap_or_else(|error| panic!("{kind} of {pipeline} is not {expected}: {error}"));
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The kubelet: pods run and are ready, and those of Jobs are done.
async fn play(client: Client, namespace: String, stop: CancellationToken) {
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    while !stop.is_cancelled() {
        for pod in pods
            .list(&ListParams::default())
            .await
            .map(|list| list.items)
            .unwrap_or_default()
        {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref())
                .unwrap_or_default();
            let name = pod.name_any();
            if pod.metadata.deletion_timestamp.is_some() {
                let now = kube::api::DeleteParams::default().grace_period(0);
                let _ = pods.delete(&name, &now).await;
            } else if phase == "Pending" {
                let job = pod
                    .labels()
                    .get("app.kubernetes.io/component")
                    .is_some_and(|role| role == "prepare");
                let now = Timestamp::now();
                let ready = if job { "False" } else { "True" };
                let status = json!({"status": {
                    "phase": if job { "Succeeded" } else { "Running" },
                    "conditions": [
                        {"type": "Ready", "status": ready, "lastTransitionTime": now},
                        {"type": "ContainersReady", "status": ready, "lastTransitionTime": now},
                    ],
                }});
                let _ = pods
                    .patch_status(&name, &PatchParams::default(), &Patch::Merge(&status))
                    .await;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
