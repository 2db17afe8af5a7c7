//! Kubernetes without nodes, as its clients see it; any user may run this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::Path;
use std::time::Duration;

use testbed::{ControlPlane, Kubernetes, Part, Process, eventually};

const MOMENT: Duration = Duration::from_secs(30);

async fn namespace(kubernetes: &Kubernetes, name: &str) {
    kubernetes.kubectl(&["create", "namespace", name]).await.unwrap();
}

#[tokio::test]
async fn a_definition_is_enforced_with_its_rules() {
    let plane = ControlPlane::shared().await.unwrap();
    namespace(plane, "definitions").await;
    plane
        .apply(
            r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.testbed.local }
spec:
  group: testbed.local
  scope: Namespaced
  names: { kind: Widget, plural: widgets, singular: widget }
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties: { size: { type: integer }, topic: { type: string } }
              x-kubernetes-validations:
                - { rule: "self.size < 10", message: "a widget is smaller than 10" }
                - { rule: "self.topic == oldSelf.topic", message: "the topic stays" }
"#,
        )
        .await
        .unwrap();
    plane
        .kubectl(&["wait", "--for=condition=Established", "crd/widgets.testbed.local"])
        .await
        .unwrap();
    let widget = |size: u32, topic: &str| {
        format!(
            "{{apiVersion: testbed.local/v1, kind: Widget, metadata: {{name: one, namespace: definitions}}, \
             spec: {{size: {size}, topic: {topic}}}}}"
        )
    };
    plane.apply(&widget(9, "plays")).await.unwrap();
    let too_large = plane.apply(&widget(10, "plays")).await.unwrap_err().to_string();
    assert!(too_large.contains("a widget is smaller than 10"), "{too_large}");
    let moved = plane.apply(&widget(9, "users")).await.unwrap_err().to_string();
    assert!(moved.contains("the topic stays"), "{moved}");
}

#[tokio::test]
async fn a_service_account_may_do_what_its_role_says() {
    let plane = ControlPlane::shared().await.unwrap();
    namespace(plane, "accounts").await;
    for command in [
        "create serviceaccount reader",
        "create role reader --verb=get,list --resource=configmaps",
        "create rolebinding reader --role=reader --serviceaccount=accounts:reader",
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--namespace=accounts"]).collect();
        plane.kubectl(&words).await.unwrap();
    }
    let own = plane
        .service_account_kubeconfig("accounts", "reader")
        .await
        .unwrap();
    let own = format!("--kubeconfig={}", own.display());
    let list = async |kind: &str, namespace: &str| {
        plane
            .kubectl(&[own.as_str(), "--namespace", namespace, "get", kind])
            .await
    };
    list("configmaps", "accounts").await.unwrap();
    for (kind, namespace) in [("secrets", "accounts"), ("configmaps", "default")] {
        let error = list(kind, namespace).await.unwrap_err().to_string();
        assert!(error.contains("system:serviceaccount:accounts:reader"), "{error}");
        assert!(error.contains("cannot list resource"), "{error}");
    }
}

#[tokio::test]
async fn what_an_object_owned_goes_with_it() {
    let plane = ControlPlane::shared().await.unwrap();
    namespace(plane, "owners").await;
    let config_map = |name: &str, owners: &str| {
        format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: owners{owners}}}, data: {{}}}}"
        )
    };
    plane.apply(&config_map("owner", "")).await.unwrap();
    let uid = plane
        .kubectl(&[
            "-n",
            "owners",
            "get",
            "cm",
            "owner",
            "-o=jsonpath={.metadata.uid}",
        ])
        .await
        .unwrap();
    let owners = format!(", ownerReferences: [{{apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}}}]");
    plane.apply(&config_map("owned", &owners)).await.unwrap();
    plane
        .kubectl(&["-n", "owners", "delete", "cm", "owner"])
        .await
        .unwrap();
    plane
        .kubectl(&[
            "-n",
            "owners",
            "wait",
            "--for=delete",
            "cm/owned",
            "--timeout=30s",
        ])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_deployment_has_pods_that_nobody_runs() {
    let plane = ControlPlane::shared().await.unwrap();
    namespace(plane, "deployments").await;
    plane
        .kubectl(&[
            "-n",
            "deployments",
            "create",
            "deployment",
            "web",
            "--image=none:1",
            "--replicas=2",
        ])
        .await
        .unwrap();
    eventually(MOMENT, async || {
        let phases = plane
            .kubectl(&[
                "-n",
                "deployments",
                "get",
                "pods",
                "-o=jsonpath={.items[*].status.phase}",
            ])
            .await
            .map_err(|error| error.to_string())?;
        (phases == "Pending Pending").then_some(()).ok_or(phases)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn helm_installs_a_chart() {
    let plane = ControlPlane::shared().await.unwrap();
    let chart = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = chart.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("Chart.yaml", "{apiVersion: v2, name: greeting, version: 1.2.3}");
    write(
        "templates/greeting.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: greeting}, data: {text: {{ .Values.text | quote }}}}",
    );
    let directory = chart.path().to_str().unwrap();
    plane
        .helm(&[
            "install",
            "hello",
            directory,
            "-n=charts",
            "--create-namespace",
            "--set=text=hi",
        ])
        .await
        .unwrap();
    let text = plane
        .kubectl(&[
            "-n",
            "charts",
            "get",
            "cm",
            "greeting",
            "-o=jsonpath={.data.text}",
        ])
        .await
        .unwrap();
    assert_eq!(text, "hi");
    let version = plane.helm(&["version", "--short"]).await.unwrap();
    assert!(version.starts_with("v4."), "{version}");
    let releases = plane.helm(&["list", "-n=charts", "-o=json"]).await.unwrap();
    assert!(releases.contains("greeting-1.2.3"), "{releases}");
}

#[tokio::test]
async fn a_frozen_and_a_killed_api_server_are_outages() {
    let mut plane = ControlPlane::start().await.unwrap();
    let look = ["get", "--raw=/readyz", "--request-timeout=1s"];
    plane.kubectl(&look).await.unwrap();

    plane.freeze(Part::ApiServer).await.unwrap();
    let silent = plane.kubectl(&look).await.unwrap_err().to_string();
    assert!(
        silent.contains("Timeout") || silent.contains("timeout"),
        "{silent}"
    );
    plane.thaw(Part::ApiServer).await.unwrap();
    eventually(MOMENT, async || plane.kubectl(&look).await)
        .await
        .unwrap();

    plane.kill(Part::ApiServer).await.unwrap();
    let refused = plane.kubectl(&look).await.unwrap_err().to_string();
    assert!(refused.contains("refused"), "{refused}");
    let again = plane.kill(Part::ApiServer).await.unwrap_err().to_string();
    assert!(again.contains("kube-apiserver is down"), "{again}");
    plane.start_again(Part::ApiServer).await.unwrap();
    eventually(MOMENT, async || plane.kubectl(&look).await)
        .await
        .unwrap();

    namespace(&plane, "kept").await;
    plane.kill(Part::Etcd).await.unwrap();
    let kept = ["get", "namespace", "kept", "--request-timeout=2s"];
    plane.kubectl(&kept).await.unwrap_err();
    plane.start_again(Part::Etcd).await.unwrap();
    eventually(MOMENT, async || plane.kubectl(&kept).await)
        .await
        .unwrap();

    let absent = plane.kill(Part::Kubelet(1)).await.unwrap_err().to_string();
    assert!(absent.contains("the cluster has no kubelet-1"), "{absent}");
}

#[tokio::test]
async fn a_cluster_of_ones_own_is_used_as_it_is() {
    let own = tempfile::NamedTempFile::new().unwrap();
    let mut servers = Process::spawn(
        env!("CARGO_BIN_EXE_testbed"),
        ["cluster"],
        [
            ("STREAMPIPELINE_TESTBED_KUBECONFIG", own.path().as_os_str()),
            ("STREAMPIPELINE_TESTBED_HOST_ADDRESS", "127.0.0.1".as_ref()),
        ],
    )
    .unwrap();
    let kubeconfig = servers.wait_for_line("KUBECONFIG=", MOMENT * 10).await.unwrap();
    assert!(kubeconfig.ends_with(own.path().to_str().unwrap()), "{kubeconfig}");
    servers.interrupt().unwrap();
    assert!(servers.wait(MOMENT).await.unwrap().success());
}

/// What is left of a control plane whose kubeconfig this was.
fn what_is_left(kubeconfig: &Path) -> Vec<String> {
    let directory = kubeconfig.parent().unwrap();
    let output = std::process::Command::new("ps")
        .args(["-A", "-ww", "-o", "pid=,args="])
        .output()
        .unwrap();
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut left: Vec<String> = list
        .lines()
        .filter(|line| line.contains(directory.to_str().unwrap()))
        .map(str::to_owned)
        .collect();
    left.extend(directory.exists().then(|| directory.display().to_string()));
    left
}

#[tokio::test]
async fn nothing_is_left_of_a_control_plane_after_its_guard() {
    let plane = ControlPlane::start().await.unwrap();
    let kubeconfig = plane.kubeconfig().to_owned();
    // Supervisor, etcd, API server, controllers, scheduler, and the directory.
    assert!(what_is_left(&kubeconfig).len() >= 6);
    drop(plane);
    assert_eq!(what_is_left(&kubeconfig), [""; 0]);
}

#[tokio::test]
async fn nothing_is_left_of_a_control_plane_when_the_test_process_is_killed() {
    let home = tempfile::tempdir().unwrap();
    // PostgreSQL's user has to get through.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(home.path(), mode).unwrap();
    let mut servers = Process::spawn(
        env!("CARGO_BIN_EXE_testbed"),
        ["control-plane"],
        [("TMPDIR", home.path().as_os_str())],
    )
    .unwrap();
    let line = servers.wait_for_line("KUBECONFIG=", MOMENT * 10).await.unwrap();
    let kubeconfig = Path::new(line.split_once('=').unwrap().1).to_owned();
    assert!(what_is_left(&kubeconfig).len() >= 6);
    servers.kill().unwrap();
    eventually(MOMENT, async || {
        let mut left = what_is_left(&kubeconfig);
        left.extend(
            std::fs::read_dir(home.path())
                .unwrap()
                .map(|entry| format!("{entry:?}")),
        );
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await
    .unwrap();
}
