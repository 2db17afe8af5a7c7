//! The controller against a real API server with its real controllers. There is no node: the test plays the kubelet,
//! and says that pods run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "support/kafka.rs"]
mod kafka;

use std::sync::Arc;
use std::time::Duration;

use api::crd::PullPolicy;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use operator::access::Cluster;
use operator::build::Defaults;
use operator::controller::{self, Settings};
use operator::kafka::LinksConfig;
use operator::metrics::Metrics;
use operator::plan::{self, Change, Planned};
use operator::rbac::{self, RuleScope};
use runtime::health::Health;
use serde_json::{Value, json};
use testbed::{ControlPlane, eventually};
use tokio_util::sync::CancellationToken;

use kafka::FakeKafka;

const MOMENT: Duration = Duration::from_mins(3);
const POD_MONITORS: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: podmonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: PodMonitor, plural: podmonitors, singular: podmonitor}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";
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
const MUSIC: &str = include_str!("../../deploy/pipelines/music.yaml");

/// A namespace that only takes restricted pods, and an operator in it with the rights of the table and no others.
struct Scene {
    plane: &'static ControlPlane,
    namespace: String,
    client: Client,
    kafka: FakeKafka,
    metrics: Metrics,
    stop: CancellationToken,
}

async fn client(kubeconfig: &std::path::Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

impl Scene {
    async fn start(namespace: &str) -> Self {
        let plane = ControlPlane::shared().await.unwrap();
        plane
            .apply(&format!(
                "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n  labels: {{pod-security.kubernetes.io/enforce: restricted}}\n\
                 ---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: operator, namespace: {namespace}}}\n\
                 ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {namespace}-cluster}}\n{}\
                 ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: {namespace}-cluster}}\n\
                 roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {namespace}-cluster}}\n\
                 subjects: [{{kind: ServiceAccount, name: operator, namespace: {namespace}}}]\n\
                 ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: operator, namespace: {namespace}}}\n{}\
                 ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: operator, namespace: {namespace}}}\n\
                 roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: operator}}\n\
                 subjects: [{{kind: ServiceAccount, name: operator, namespace: {namespace}}}]\n",
                rbac::yaml(RuleScope::Cluster),
                rbac::yaml(RuleScope::Watched),
            ))
            .await
            .unwrap();
        let kubeconfig = plane
            .service_account_kubeconfig(namespace, "operator")
            .await
            .unwrap();
        let operator = client(&kubeconfig).await;
        operator::definition::apply(&operator).await.unwrap();
        let scene = Self {
            plane,
            namespace: namespace.to_owned(),
            client: client(plane.kubeconfig()).await,
            kafka: FakeKafka::default(),
            metrics: Metrics::default(),
            stop: CancellationToken::new(),
        };
        let settings = Settings {
            client: operator,
            kafka: Arc::new(scene.kafka.clone()),
            links: LinksConfig {
                interval: Duration::from_secs(1),
                ..LinksConfig::default()
            },
            defaults: Defaults {
                image: "streampipeline:test".to_owned(),
                pull_policy: PullPolicy::Never,
                network_policies: true,
            },
            namespace: Some(namespace.to_owned()),
            concurrency: 4,
            instance: "operator".to_owned(),
            metrics: scene.metrics.clone(),
            health: Health::new(),
            clock: Arc::new(Timestamp::now),
        };
        tokio::spawn(controller::run(settings, scene.stop.clone()));
        tokio::spawn(play(
            scene.client.clone(),
            namespace.to_owned(),
            scene.stop.clone(),
        ));
        scene
    }

    async fn kubectl(&self, arguments: &str) -> String {
        let arguments: Vec<&str> = arguments
            .split(' ')
            .chain(["--namespace", &self.namespace])
            .collect();
        self.plane.kubectl(&arguments).await.unwrap()
    }

    async fn apply(&self, manifest: &str) -> Result<String, String> {
        let placed = manifest.replace(
            "metadata:\n  name: music\n",
            &format!("metadata:\n  name: music\n  namespace: {}\n", self.namespace),
        );
        self.plane.apply(&placed).await.map_err(|error| error.to_string())
    }

    async fn secret(&self) {
        self.kubectl("create secret generic music-postgres --from-literal=username=music --from-literal=password=music").await;
    }

    async fn object(&self, kind: &str, name: &str) -> Value {
        let text = self
            .kubectl(&format!("get {kind} {name} --ignore-not-found --output=json"))
            .await;
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn condition(&self, kind: &str) -> String {
        let music = self.object("streampipelines", "music").await;
        let conditions = music["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = conditions
            .iter()
            .find(|condition| condition["type"] == kind)
            .cloned()
            .unwrap_or_default();
        format!(
            "{} {}",
            found["status"].as_str().unwrap_or("-"),
            found["reason"].as_str().unwrap_or("-")
        )
    }

    /// Makes the operator's Deployment, by which a plan knows its settings. Nothing runs in its pod.
    async fn show_operator(&self) {
        let deployment = OPERATOR.replace("NAMESPACE", &self.namespace);
        self.plane.apply(&deployment).await.unwrap();
        self.kubectl("wait deployment/operator --for=condition=Available --timeout=60s")
            .await;
    }

    /// What `plan --cluster` would have changed about a manifest.
    async fn planned(&self, manifest: &str) -> Vec<Planned> {
        let cluster = Cluster {
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

    async fn until(&self, kind: &str, expected: &str) {
        eventually(MOMENT, async || {
            (self.condition(kind).await == expected).then_some(())
        })
        .await
        .unwrap_or_else(|error| panic!("{kind} is not {expected}: {error}"));
    }
}

impl Drop for Scene {
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

/// What a user does: apply, edit, look, break by hand, pause, delete.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_lives_on_a_real_api_server() {
    // What the Prometheus operator brings along.
    let plane = ControlPlane::shared().await.unwrap();
    plane.apply(POD_MONITORS).await.unwrap();
    let established = [
        "wait",
        "--for=condition=Established",
        "crd/podmonitors.monitoring.coreos.com",
    ];
    plane.kubectl(&established).await.unwrap();
    let scene = Scene::start("lives").await;
    scene.apply(MUSIC).await.unwrap();
    scene.until("Ready", "False SecretMissing").await;
    scene.secret().await;
    scene.until("Ready", "True RowsFlow").await;
    let table = scene.kubectl("get streampipelines").await;
    assert!(
        table.starts_with(
            "NAME    PHASE     RATE   LAG   WORKERS   AUDIT   AGE\nmusic   Running   0      0     1"
        ),
        "{table}"
    );

    // What the API server fills in is no reason to write again.
    let settled = eventually(MOMENT, async || {
        let before = scene.metrics.writes();
        tokio::time::sleep(Duration::from_secs(5)).await;
        (scene.metrics.writes() == before).then_some(before)
    });
    let writes = settled.await.unwrap();
    let reads = scene.kafka.0.lock().unwrap().reads;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(scene.metrics.writes(), writes);
    assert!(
        scene.kafka.0.lock().unwrap().reads > reads + 5,
        "it was looked at"
    );

    // What it has done is what a plan says that it would do.
    scene.show_operator().await;
    assert_eq!(scene.planned(MUSIC).await, []);

    let monitor = scene.object("podmonitor", "music").await;
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], "http");
    let events = scene
        .kubectl("get events --field-selector=involvedObject.kind=StreamPipeline")
        .await;
    assert!(
        events.contains("SecretMissing") && events.contains("RowsFlow"),
        "{events}"
    );

    // By hand.
    scene.kubectl("scale deployment music-worker --replicas=5").await;
    scene.kubectl("delete configmap music-generator").await;
    scene
        .kubectl("label networkpolicy music app.kubernetes.io/part-of=x --overwrite")
        .await;
    eventually(MOMENT, async || {
        let replicas = scene.object("deployment", "music-worker").await["spec"]["replicas"] == 1;
        let config = scene.object("configmap", "music-generator").await["data"].is_object();
        let policy = scene.object("networkpolicy", "music").await;
        (replicas && config && policy["metadata"]["labels"]["app.kubernetes.io/part-of"] == "music")
            .then_some(())
    })
    .await
    .unwrap();

    // Pinned by kubectl scale, as an autoscaler would.
    scene.kubectl("scale streampipeline music --replicas=3").await;
    eventually(MOMENT, async || {
        (scene.object("streampipelines", "music").await["status"]["workers"] == 3).then_some(())
    })
    .await
    .unwrap();
    scene.until("Ready", "True RowsFlow").await;

    // An edit of the rate starts the generator anew, and no worker.
    let generation = |object: &Value| object["metadata"]["generation"].clone();
    let worker = generation(&scene.object("deployment", "music-worker").await);
    let generator = generation(&scene.object("deployment", "music-generator").await);
    scene
        .kubectl(r#"patch streampipeline music --type=merge --patch={"spec":{"generator":{"rate":50}}}"#)
        .await;
    eventually(MOMENT, async || {
        (generation(&scene.object("deployment", "music-generator").await) != generator).then_some(())
    })
    .await
    .unwrap();
    scene.until("Ready", "True RowsFlow").await;
    assert_eq!(
        generation(&scene.object("deployment", "music-worker").await),
        worker
    );
    // The number of workers came by /scale, and stays.
    assert_eq!(scene.planned(&MUSIC.replace("rate: 1000", "rate: 50")).await, []);

    // Deleted: everything that it owns goes, by the API server's own collector.
    scene.kubectl("delete streampipeline music --wait=true").await;
    eventually(MOMENT, async || {
        let kinds =
            "deployments,jobs,configmaps,services,networkpolicies,poddisruptionbudgets,serviceaccounts,pods";
        let left = scene
            .kubectl(&format!(
                "get {kinds} --selector=app.kubernetes.io/instance=music --output=name"
            ))
            .await;
        left.is_empty().then_some(())
    })
    .await
    .unwrap();
}

/// What CEL sees is refused by the API server, in the words of the command line.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_manifests_are_refused_at_admission() {
    let scene = Scene::start("admission").await;
    for (right, wrong, message) in [
        ("rate: 1000", "rate: 0", "a rate has to be more than 0"),
        (
            "name: music-postgres",
            "name: Music_Postgres",
            "this is not the name of a secret",
        ),
        (
            "kafka-bootstrap.kafka:9092",
            "kafka-bootstrap",
            "this is not a list of brokers",
        ),
        (
            "deletionPolicy: Retain",
            "deletionPolicy: Retain\n  image: 'a b'",
            "this is not the name of an image",
        ),
        (
            "spec:\n  kafka:",
            "spec:\n  pods: {worker: {resources: {limits: {memory: '0'}}}}\n  kafka:",
            "so little memory",
        ),
        (
            "spec:\n  kafka:",
            "spec:\n  pods: {worker: {labels: {app.kubernetes.io/name: x}}}\n  kafka:",
            "belong to the operator",
        ),
        (
            "spec:\n  kafka:",
            "spec:\n  pods: {serviceAccount: {name: a, annotations: {a: b}}}\n  kafka:",
            "has its own annotations",
        ),
    ] {
        let manifest = MUSIC.replacen(right, wrong, 1);
        if manifest == MUSIC {
            continue;
        }
        let refused = scene.apply(&manifest).await.unwrap_err();
        assert!(refused.contains(message), "{wrong}: {refused}");
    }
    // What CEL cannot see is told by a condition.
    let manifest = MUSIC.replacen(
        "spec:\n  kafka:",
        "spec:\n  pods: {worker: {affinity: {nodeAffinty: {}}}}\n  kafka:",
        1,
    );
    scene.apply(&manifest).await.unwrap();
    scene.until("Ready", "False InvalidManifest").await;
    let explained = scene.kubectl("explain streampipeline.spec.pods.worker").await;
    assert!(explained.contains("Processor time and memory"), "{explained}");
}

/// Two pipelines do not take each other's objects, nor anybody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_deployment_stays_foreign() {
    let scene = Scene::start("foreign").await;
    scene.secret().await;
    scene.kubectl("create service clusterip music --tcp=80").await;
    scene.apply(MUSIC).await.unwrap();
    scene.until("Ready", "False NameConflict").await;
    assert!(scene.object("service", "music").await["metadata"]["ownerReferences"].is_null());
    scene.kubectl("delete service music").await;
    scene.until("Ready", "True RowsFlow").await;
}
