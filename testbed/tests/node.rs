//! Kubernetes whose nodes run pods. Needs root, and what `install-node` installs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use testbed::{Cluster, Error, Kafka, Part, Postgres, eventually};
use tokio::sync::OnceCell;

const MOMENT: Duration = Duration::from_mins(1);
const IMAGE: &str = "pod:1";
const POD: &str = env!("CARGO_BIN_EXE_pod");

/// A cluster of one node for the tests that do not hurt it.
async fn cluster() -> &'static Cluster {
    static LOADED: OnceCell<()> = OnceCell::const_new();
    let cluster = Cluster::shared().await.unwrap();
    LOADED
        .get_or_init(async || cluster.load_image(IMAGE, &[POD]).await.unwrap())
        .await;
    cluster
}

async fn namespace(cluster: &Cluster, name: &str) {
    cluster.kubectl(&["create", "namespace", name]).await.unwrap();
}

/// Runs `kubectl -n <namespace> <words of the command>`.
async fn kubectl(cluster: &Cluster, namespace: &str, command: &str) -> Result<String, Error> {
    let words: Vec<&str> = ["-n", namespace].into_iter().chain(command.split(' ')).collect();
    cluster.kubectl(&words).await
}

/// A pod that the restricted Pod Security Standard lets in.
fn restricted_pod(name: &str, labels: &str, arguments: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{ name: {name}, labels: {{ {labels} }} }}
spec:
  terminationGracePeriodSeconds: 5
  securityContext: {{ runAsNonRoot: true, seccompProfile: {{ type: RuntimeDefault }} }}
  containers:
    - name: pod
      image: {IMAGE}
      args: {arguments}
      ports: [{{ name: http, containerPort: 8080 }}]
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {{ drop: [ALL] }}
"
    )
}

async fn create(cluster: &Cluster, namespace: &str, manifest: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    kubectl(
        cluster,
        namespace,
        &format!("create -f {}", file.path().display()),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_restricted_pod_runs_and_its_log_is_read() {
    let cluster = cluster().await;
    namespace(cluster, "restricted").await;
    cluster
        .kubectl(&[
            "label",
            "namespace",
            "restricted",
            "pod-security.kubernetes.io/enforce=restricted",
        ])
        .await
        .unwrap();
    let refused = kubectl(cluster, "restricted", &format!("run free --image={IMAGE}")).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("violates PodSecurity"), "{refused}");

    let pod = restricted_pod("describe", "", "[describe]") + "  restartPolicy: Never\n";
    create(cluster, "restricted", &pod).await;
    kubectl(
        cluster,
        "restricted",
        "wait --for=jsonpath={.status.phase}=Succeeded pod/describe --timeout=60s",
    )
    .await
    .unwrap();
    let log = kubectl(cluster, "restricted", "logs describe").await.unwrap();
    assert_eq!(
        log,
        "user 65532\nroot read-only\nCapEff: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2"
    );
}

#[tokio::test]
async fn a_deployment_becomes_ready_and_is_found_by_name() {
    let cluster = cluster().await;
    namespace(cluster, "web").await;
    create(
        cluster,
        "web",
        &format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web }}
spec:
  replicas: 2
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: web
          image: {IMAGE}
          args: [serve, '8080']
          readinessProbe: {{ httpGet: {{ path: /, port: 8080 }}, periodSeconds: 1 }}
---
apiVersion: v1
kind: Service
metadata: {{ name: web }}
spec: {{ selector: {{ app: web }}, ports: [{{ port: 80, targetPort: 8080 }}] }}
"
        ),
    )
    .await;
    kubectl(cluster, "web", "rollout status deployment/web --timeout=60s")
        .await
        .unwrap();
    for name in ["web", "web.web.svc.cluster.local"] {
        let command = format!("exec deployment/web -- /usr/local/bin/pod connect {name}:80");
        assert_eq!(kubectl(cluster, "web", &command).await.unwrap(), "connected");
    }
    // Nowhere else: a test does not depend on the world, nor reach it.
    let command = "exec deployment/web -- /usr/local/bin/pod connect 192.0.2.1:80";
    let elsewhere = kubectl(cluster, "web", command).await.unwrap();
    assert!(elsewhere.starts_with("failed"), "{elsewhere}");
    kubectl(cluster, "web", "run missing --image=missing:1")
        .await
        .unwrap();
    eventually(MOMENT, async || {
        let reason = "get pod missing -o=jsonpath={.status.containerStatuses[0].state.waiting.reason}";
        let reason = kubectl(cluster, "web", reason).await.unwrap();
        ["ErrImagePull", "ImagePullBackOff"]
            .contains(&reason.as_str())
            .then_some(())
            .ok_or(reason)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_container_that_takes_too_much_memory_is_killed_and_restarted() {
    let cluster = cluster().await;
    namespace(cluster, "memory").await;
    let pod =
        restricted_pod("hungry", "", "[allocate, '200']") + "      resources: { limits: { memory: 50Mi } }\n";
    create(cluster, "memory", &pod).await;
    eventually(MOMENT, async || {
        let path = "{.status.containerStatuses[0].lastState.terminated.reason} {.status.containerStatuses[0].restartCount}";
        let path = format!("-o=jsonpath={path}");
        let words = ["-n", "memory", "get", "pod", "hungry", &path];
        let state = cluster.kubectl(&words).await.unwrap();
        (state == "OOMKilled 1").then_some(()).ok_or(state)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn network_policies_are_enforced() {
    let cluster = cluster().await;
    namespace(cluster, "policies").await;
    for (name, role) in [
        ("server", "server"),
        ("friend", "friend"),
        ("stranger", "stranger"),
    ] {
        create(
            cluster,
            "policies",
            &restricted_pod(name, &format!("role: {role}"), "[serve, '8080']"),
        )
        .await;
    }
    kubectl(
        cluster,
        "policies",
        "wait --for=condition=Ready pod --all --timeout=60s",
    )
    .await
    .unwrap();
    let server = kubectl(cluster, "policies", "get pod server -o=jsonpath={.status.podIP}")
        .await
        .unwrap();
    let connects = async |from: &str, to: &str| {
        let command = format!("exec {from} -- /usr/local/bin/pod connect {to}");
        kubectl(cluster, "policies", &command).await.unwrap()
    };
    let becomes = async |from: &str, to: &str, expected: &str| {
        eventually(MOMENT, async || {
            let found = connects(from, to).await;
            (found == expected).then_some(()).ok_or(found)
        })
        .await
        .unwrap();
    };
    let server = format!("{server}:8080");
    assert_eq!(connects("stranger", &server).await, "connected");

    cluster
        .apply(
            "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: server, namespace: policies }
spec:
  podSelector: { matchLabels: { role: server } }
  policyTypes: [Ingress]
  ingress:
    - from: [{ podSelector: { matchLabels: { role: friend } } }]
      ports: [{ port: http }]
",
        )
        .await
        .unwrap();
    becomes("stranger", &server, "failed: TimedOut").await;
    assert_eq!(connects("friend", &server).await, "connected");

    // Default deny for what leaves the friend, with DNS and the host's one port as the exceptions.
    let listener = tokio::net::TcpListener::bind((cluster.host_address(), 0))
        .await
        .unwrap();
    let other = tokio::net::TcpListener::bind((cluster.host_address(), 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    cluster
        .apply(&format!(
            "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{ name: friend, namespace: policies }}
spec:
  podSelector: {{ matchLabels: {{ role: friend }} }}
  policyTypes: [Egress]
  egress:
    - to: [{{ namespaceSelector: {{ matchLabels: {{ kubernetes.io/metadata.name: kube-system }} }} }}]
      ports: [{{ port: 53, protocol: UDP }}]
    - to: [{{ ipBlock: {{ cidr: {}/32 }} }}]
      ports: [{{ port: {} }}]
",
            address.ip(),
            address.port()
        ))
        .await
        .unwrap();
    becomes("friend", &server, "failed: TimedOut").await;
    assert_eq!(connects("friend", &address.to_string()).await, "connected");
    assert_eq!(
        connects("friend", &other.local_addr().unwrap().to_string()).await,
        "failed: TimedOut"
    );
    // The name is found, and its address not reached.
    assert_eq!(
        connects("friend", "kubernetes.default.svc.cluster.local:443").await,
        "failed: TimedOut"
    );
}

#[tokio::test]
async fn pods_and_the_test_reach_the_same_servers() {
    let cluster = cluster().await;
    let address = cluster.host_address();
    let (kafka, postgres) = tokio::try_join!(
        Kafka::builder().listen_on(address).start(),
        Postgres::builder().listen_on(address).start()
    )
    .unwrap();
    postgres.execute("SELECT 1").await.unwrap();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap())
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(None, MOMENT).unwrap();
    let broker = &metadata.brokers()[0];
    assert_eq!(format!("{}:{}", broker.host(), broker.port()), kafka.bootstrap());

    namespace(cluster, "servers").await;
    create(
        cluster,
        "servers",
        &restricted_pod("client", "", "[serve, '8080']"),
    )
    .await;
    kubectl(
        cluster,
        "servers",
        "wait --for=condition=Ready pod/client --timeout=60s",
    )
    .await
    .unwrap();
    for server in [
        kafka.bootstrap(),
        kafka.sasl_bootstrap(),
        format!("{}:{}", postgres.host(), postgres.port()),
    ] {
        let command = format!("exec client -- /usr/local/bin/pod connect {server}");
        assert_eq!(
            kubectl(cluster, "servers", &command).await.unwrap(),
            "connected",
            "{server}"
        );
    }
}

#[tokio::test]
async fn a_drain_respects_budgets_and_a_lost_node_is_replaced() {
    let mut cluster = Cluster::builder().nodes(2).start().await.unwrap();
    cluster.load_image(IMAGE, &[POD]).await.unwrap();
    namespace(&cluster, "web").await;
    create(
        &cluster,
        "web",
        &format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web }}
spec:
  replicas: 2
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec:
      terminationGracePeriodSeconds: 5
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {{ matchLabels: {{ app: web }} }}
      containers:
        - name: web
          image: {IMAGE}
          args: [serve, '8080']
          readinessProbe: {{ httpGet: {{ path: /, port: 8080 }}, periodSeconds: 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{ name: web }}
spec: {{ minAvailable: 2, selector: {{ matchLabels: {{ app: web }} }} }}
"
        ),
    )
    .await;
    let nodes_of_ready_pods = async |cluster: &Cluster| {
        let path = "get pods -l app=web -o=jsonpath={range .items[?(@.status.containerStatuses[0].ready==true)]}{.spec.nodeName}{\"\\n\"}{end}";
        let words: Vec<&str> = ["-n", "web"].into_iter().chain(path.splitn(5, ' ')).collect();
        let nodes = cluster.kubectl(&words).await.unwrap();
        let mut nodes: Vec<String> = nodes.lines().map(str::to_owned).collect();
        nodes.sort();
        nodes
    };
    let rolled_out = "rollout status deployment/web --timeout=60s";
    kubectl(&cluster, "web", rolled_out).await.unwrap();
    assert_eq!(nodes_of_ready_pods(&cluster).await, ["node-1", "node-2"]);

    // Both pods are needed: the drain waits, in vain.
    let drain = ["drain", "node-1", "--ignore-daemonsets", "--delete-emptydir-data"];
    let refused = cluster
        .kubectl(&[drain.as_slice(), &["--timeout=3s"]].concat())
        .await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("disruption budget"), "{refused}");
    // One may go.
    kubectl(
        &cluster,
        "web",
        "patch pdb web --type=merge -p {\"spec\":{\"minAvailable\":1}}",
    )
    .await
    .unwrap();
    cluster.kubectl(&drain).await.unwrap();
    kubectl(&cluster, "web", rolled_out).await.unwrap();
    assert_eq!(nodes_of_ready_pods(&cluster).await, ["node-2", "node-2"]);
    cluster.kubectl(&["uncordon", "node-1"]).await.unwrap();

    // Without its kubelet, node 2 is lost: its pods are made anew on node 1.
    let killed = Instant::now();
    cluster.kill(Part::Kubelet(2)).await.unwrap();
    let lost = [
        "wait",
        "--for=condition=Ready=Unknown",
        "node/node-2",
        "--timeout=90s",
    ];
    cluster.kubectl(&lost).await.unwrap();
    eprintln!("the node counted as lost after {:?}", killed.elapsed());
    eventually(MOMENT * 2, async || {
        let nodes = nodes_of_ready_pods(&cluster).await;
        let on_1 = nodes.iter().filter(|node| *node == "node-1").count();
        (on_1 == 2).then_some(()).ok_or(format!("{nodes:?}"))
    })
    .await
    .unwrap();
    eprintln!("its pods were replaced after {:?}", killed.elapsed());
    cluster.start_again(Part::Kubelet(2)).await.unwrap();
    let back = ["wait", "--for=condition=Ready", "node/node-2", "--timeout=60s"];
    cluster.kubectl(&back).await.unwrap();
}
