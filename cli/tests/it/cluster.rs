//! `plan --cluster` and `install` on a real API server with its real controllers. There is no node, and no operator
//! runs: the test plays both where it needs them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use testbed::ControlPlane;

use crate::support::{MUSIC, Outcome, POSTGRES, Place};

const PASSWORD: &str = "not-to-be-printed";
/// Longer than `install --wait` can take here.
const MOMENT: Duration = Duration::from_mins(2);

/// The pipeline music with a sink that pods can have.
fn manifest() -> String {
    MUSIC.replace("{sqlite: {path: music.db}}", POSTGRES)
}

struct Scene {
    place: Place,
    plane: ControlPlane,
}

impl Scene {
    async fn start() -> Self {
        Self {
            place: Place::with(&manifest()),
            plane: ControlPlane::start().await.unwrap(),
        }
    }

    fn run_as(&self, kubeconfig: &std::path::Path, command: &str) -> Outcome {
        let arguments: Vec<&str> = command.split(' ').collect();
        let mut command = self.place.command(&arguments);
        command.env("KUBECONFIG", kubeconfig).output().unwrap().into()
    }

    fn run(&self, command: &str) -> Outcome {
        let outcome = self.run_as(self.plane.kubeconfig(), command);
        let text = outcome.to_string();
        assert!(
            !text.contains(PASSWORD) && !text.contains("bm90LXRvLWJlLXByaW50ZWQ"),
            "{text}"
        );
        outcome
    }

    /// An operator whose pod is ready, and the secret.
    async fn install(&self) {
        self.run("install --apply --image registry.example/own:7");
        let ready = "get deployment streampipeline-operator --namespace=streampipeline --output=jsonpath={.status.readyReplicas}";
        while self.kubectl(ready).await != "1" {
            self.play_kubelet("streampipeline").await;
        }
        self.kubectl(&format!("create secret generic music-postgres --from-literal=username=music --from-literal=password={PASSWORD}"))
            .await;
    }

    /// Applies the manifest, as a user does.
    async fn apply(&self) {
        let file = self.place.path().join("music.yaml");
        self.kubectl(&format!("apply --server-side --filename={}", file.display()))
            .await;
    }

    fn plan(&self) -> Outcome {
        self.run("plan -f music.yaml --cluster")
    }

    fn write(&self, manifest: &str) {
        self.place.write("music.yaml", manifest);
    }

    async fn kubectl(&self, arguments: &str) -> String {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        self.plane.kubectl(&arguments).await.unwrap()
    }

    /// Does what the operator does with the objects of a plan.
    async fn play_operator(&self) {
        let objects = self.run("plan -f music.yaml --cluster --output yaml").stdout;
        let file = self.place.write("objects.yaml", &objects);
        self.kubectl(&format!(
            "apply --server-side --force-conflicts --field-manager=streampipeline-operator --filename={}",
            file.display()
        ))
        .await;
    }

    /// Does what a kubelet does with the pods of a namespace: they run, and are ready.
    async fn play_kubelet(&self, namespace: &str) {
        let pods = self
            .kubectl(&format!("get pods --namespace={namespace} --output=name"))
            .await;
        for pod in pods.lines() {
            let status = r#"{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}"#;
            let patch = [
                "patch",
                pod,
                "--namespace",
                namespace,
                "--subresource=status",
                "--type=merge",
                "--patch",
                status,
            ];
            // It may be gone by now.
            let _ = self.plane.kubectl(&patch).await;
        }
    }
}

impl Outcome {
    /// The line of an object of the plan, without the blanks between its columns.
    fn object(&self, kind: &str, name: &str) -> String {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let lines = self.stdout.lines().map(words);
        let mut found = lines
            .filter(|words| words.first().is_some_and(|word| word == kind) && words[1].starts_with(name));
        let line = found.next().unwrap_or_else(|| panic!("no {kind} {name}: {self}"));
        line[2..].join(" ")
    }

    fn has(&self, text: &str) -> &Self {
        assert!(self.stdout.contains(text), "no {text:?}: {self}");
        self
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_is_applied_once_and_waited_for() {
    let scene = Scene::start().await;
    let printed = scene.run("install --namespace ops --image registry.example/own:7");
    assert_eq!(printed.code, 0, "{printed}");
    printed.has("image: registry.example/own:7");
    assert!(
        !printed.stdout.contains("namespace: streampipeline\n"),
        "{printed}"
    );

    let first = scene.run("install --apply --namespace ops --image registry.example/own:7");
    assert_eq!(first.code, 0, "{first}");
    assert!(
        first.stdout.lines().all(|line| line.ends_with(" created")),
        "{first}"
    );
    first
        .has("Namespace ops")
        .has("CustomResourceDefinition streampipelines")
        .has("Deployment streampipeline-operator");
    let again = scene.run("install --apply --namespace ops --image registry.example/own:7");
    assert_eq!(again.code, 0, "{again}");
    assert_eq!(again.stdout, first.stdout.replace(" created", " unchanged"));
    // What is printed is what is applied.
    let file = scene.place.write("printed.yaml", &printed.stdout);
    let arguments = format!(
        "diff --server-side --force-conflicts --field-manager=streampipeline-install --filename={}",
        file.display()
    );
    assert_eq!(scene.kubectl(&arguments).await, "");

    // Another image is a change, and takes a pod that is ready.
    let mut upgrade = scene
        .place
        .command(&["install", "--apply", "--wait", "--namespace", "ops"]);
    upgrade
        .env("KUBECONFIG", scene.plane.kubeconfig())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut upgrade = upgrade.spawn().unwrap();
    let deadline = tokio::time::Instant::now() + MOMENT;
    while upgrade.try_wait().unwrap().is_none() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "install --wait does not end"
        );
        scene.play_kubelet("ops").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let upgrade: Outcome = upgrade.wait_with_output().unwrap().into();
    assert_eq!(upgrade.code, 0, "{upgrade}");
    upgrade
        .has("Namespace ops unchanged")
        .has("Deployment streampipeline-operator changed")
        .has("the operator is ready\n");

    // A second one would take the first one's rights.
    let second = scene.run("install --apply");
    assert_eq!(second.code, 1, "{second}");
    assert_eq!(
        second.stderr,
        "error: the operator ops/streampipeline-operator is there already; use --namespace ops, or remove it first\n"
    );
    scene
        .kubectl("label deployment streampipeline-operator --namespace=ops app.kubernetes.io/managed-by=Helm")
        .await;
    let second = scene.run("install --apply --namespace ops");
    assert_eq!(second.code, 1, "{second}");
    assert!(second.stderr.contains("use helm upgrade"), "{second}");

    // As the help says: the operator and its rights go, and nothing else.
    let help = scene.run("install --help").stdout;
    let (_, command) = help.split_once("  kubectl delete ").unwrap();
    let (command, _) = command.split_once("\n\n").unwrap();
    let command = command.replace('\\', " ");
    let words: Vec<&str> = command.split_whitespace().collect();
    let words: Vec<&str> = [["delete"].as_slice(), &words].concat();
    let words = words
        .iter()
        .map(|word| if *word == "streampipeline" { "ops" } else { word });
    let deleted = scene.plane.kubectl(&words.collect::<Vec<_>>()).await.unwrap();
    // Namespace and definition stay.
    assert_eq!(
        deleted.lines().count(),
        first.stdout.lines().count() - 2,
        "{deleted}"
    );
    scene.kubectl("get namespace ops").await;
    scene.kubectl("get crd streampipelines.streampipeline.dev").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_an_empty_cluster_creates_everything_and_keeps_nothing() {
    let scene = Scene::start().await;
    // An empty cluster: everything would be made, and what is missing is named.
    let empty = scene.plan();
    assert_eq!(empty.code, 1, "{empty}");
    empty
        .has("objects in the namespace default, where it is not yet")
        .has("to fix: the cluster does not know StreamPipelines; streampipeline install --apply")
        .has("to fix: no operator is installed")
        .has("to fix: spec.sink.postgres.secretRef: there is no secret music-postgres; create it in this namespace with the keys username and password");
    for (kind, name) in [
        ("StreamPipeline", "music"),
        ("NetworkPolicy", "music"),
        ("Job", "music-prepare-"),
        ("Deployment", "music-worker"),
        ("Deployment", "music-generator"),
    ] {
        assert_eq!(empty.object(kind, name), "created");
    }

    scene.install().await;
    let all = scene.plan();
    assert_eq!(all.code, 0, "{all}");
    all.has("by the operator streampipeline/streampipeline-operator")
        .has(" 0 changed, 0 unchanged, 0 deleted");
    assert!(!all.stdout.contains("to fix"), "{all}");
    let yaml = scene.run("plan -f music.yaml --cluster --output yaml");
    assert_eq!((yaml.code, yaml.stderr.as_str()), (0, ""), "{yaml}");
    yaml.has("image: registry.example/own:7")
        .has("uid: 00000000-0000-0000-0000-000000000000");

    // What was tried was not kept.
    assert_eq!(
        scene
            .kubectl("get streampipelines,deployments,jobs --output=name")
            .await,
        ""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_tells_what_an_edit_changes() {
    let scene = Scene::start().await;
    scene.run("install --apply");
    let unready = scene.plan();
    assert_eq!(unready.code, 1, "{unready}");
    unready.has("to fix: the operator streampipeline/streampipeline-operator has no pod that is ready");
    scene.install().await;
    scene.apply().await;
    scene.play_operator().await;
    let steady = scene.plan();
    assert_eq!(steady.code, 0, "{steady}");
    steady.has("0 created, 0 changed, ").has(" unchanged, 0 deleted");

    // An edit: the generator starts anew, and no worker.
    scene.write(&manifest().replace("rate: 1000", "rate: 50"));
    let edited = scene.plan();
    assert_eq!(edited.code, 0, "{edited}");
    edited
        .has("    spec.generator.rate: 1000 → 50\n")
        .has("    data[pipeline.yaml].spec.generator.rate: 1000 → 50\n")
        .has("    spec.template.metadata.annotations[streampipeline.dev/config-hash]: ");
    for (kind, name, change) in [
        ("StreamPipeline", "music", "changed"),
        ("Deployment", "music-generator", "changed"),
        ("Deployment", "music-worker", "unchanged"),
        ("Job", "music-prepare-", "unchanged"),
    ] {
        assert_eq!(edited.object(kind, name), change, "{kind} {name}");
    }

    // A hand edit is taken back; a number of workers that came by /scale stays.
    scene.write(&manifest());
    scene.kubectl("scale deployment music-worker --replicas=5").await;
    scene.plan().has("    spec.replicas: 5 → 1\n");
    scene.kubectl("scale streampipeline music --replicas=2").await;
    let scaled = scene.plan();
    scaled
        .has("    spec.replicas: 5 → 2\n")
        .has("note: spec.scaling.replicas was set by kubectl scale");
    assert_eq!(scaled.object("StreamPipeline", "music"), "unchanged");

    // Without a generator, what is its goes; what is somebody else's is left alone.
    let whole = manifest();
    let (before, rest) = whole.split_once("  generator:\n").unwrap();
    let (_, after) = rest.split_once("  references:\n").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    let without = format!("{before}{after}");
    let without = without
        .replace(
            "FROM events e JOIN tracks t ON t.track_id = e.track_id",
            "FROM events e",
        )
        .replace("t.genre", "e.event_type AS genre");
    scene.write(&without);
    scene.kubectl("create configmap other").await;
    let shrunk = scene.plan();
    assert_eq!(shrunk.code, 0, "{shrunk}");
    for (kind, name) in [
        ("Deployment", "music-generator"),
        ("ConfigMap", "music-generator"),
        ("PodDisruptionBudget", "music-generator"),
    ] {
        assert_eq!(shrunk.object(kind, name), "deleted");
    }
    assert!(!shrunk.stdout.contains(" other "), "{shrunk}");

    // Somebody else's object of a name that is needed.
    scene.write(&manifest());
    scene.kubectl("delete service music").await;
    scene.kubectl("create service clusterip music --tcp=80").await;
    let foreign = scene.plan();
    assert_eq!(
        (foreign.code, foreign.object("Service", "music").as_str()),
        (1, "in the way"),
        "{foreign}"
    );
    foreign.has("    it belongs to somebody else; delete it, or rename the pipeline\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_the_cluster_would_refuse_is_one_line() {
    let scene = Scene::start().await;
    scene.run("install --apply");
    scene.apply().await;

    // The API server's own rules: partitions do not become fewer.
    scene.write(&manifest().replace("partitions: 2", "partitions: 1"));
    let fewer = scene.plan();
    assert_eq!(
        (fewer.code, fewer.stdout.as_str(), fewer.stderr.lines().count()),
        (2, "", 1),
        "{fewer}"
    );
    assert!(
        fewer
            .stderr
            .starts_with("music.yaml: the API server refuses the manifest: "),
        "{fewer}"
    );
    // A sink that pods cannot have.
    scene.write(MUSIC);
    let sqlite = scene.plan();
    assert_eq!(sqlite.code, 2, "{sqlite}");
    assert!(
        sqlite
            .stderr
            .starts_with("music.yaml: spec.sink.sqlite: a SQLite file is on one machine"),
        "{sqlite}"
    );
    scene.write(&manifest());

    let nowhere = scene.run("plan -f music.yaml --cluster --namespace nowhere");
    assert_eq!(
        (nowhere.code, nowhere.stderr.as_str()),
        (
            1,
            "error: there is no namespace nowhere; create it with kubectl create namespace nowhere, or name another\n"
        ),
        "{nowhere}"
    );
    scene.write(&manifest().replace("{name: music}", "{name: music, namespace: default}"));
    let both = scene.run("plan -f music.yaml --cluster --namespace nowhere");
    assert_eq!(both.code, 2, "{both}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_and_clusters_are_one_line() {
    let scene = Scene::start().await;
    scene.run("install --apply");
    // Rights: nothing at all, and enough to look but not to apply.
    scene
        .kubectl("create serviceaccount nobody --namespace=default")
        .await;
    let nobody = scene
        .plane
        .service_account_kubeconfig("default", "nobody")
        .await
        .unwrap();
    let refused = scene.run_as(&nobody, "plan -f music.yaml --cluster");
    assert_eq!(
        (
            refused.code,
            refused.stdout.as_str(),
            refused.stderr.lines().count()
        ),
        (1, "", 1),
        "{refused}"
    );
    assert!(
        refused.stderr.contains("cannot get resource \"streampipelines\""),
        "{refused}"
    );
    scene
        .kubectl("create clusterrolebinding nobody --clusterrole=view --serviceaccount=default:nobody")
        .await;
    let looks = scene.run_as(&nobody, "plan -f music.yaml --cluster");
    assert_eq!(looks.code, 1, "{looks}");
    looks
        .has("cannot patch resource \"deployments\"")
        .has("to fix: hashes that depend on the secret music-postgres");
    assert_eq!(looks.object("Deployment", "music-worker"), "refused");
    let install = scene.run_as(&nobody, "install --apply");
    assert_eq!(
        (install.code, install.stderr.lines().count()),
        (1, 1),
        "{install}"
    );

    // Contexts, and a cluster that is away.
    let context = scene.run("plan -f music.yaml --cluster --context elsewhere");
    assert_eq!(
        (context.code, context.stderr.lines().count()),
        (1, 1),
        "{context}"
    );
    assert!(
        context
            .stderr
            .contains("with the context elsewhere; see kubectl config get-contexts"),
        "{context}"
    );
    let kubeconfig: PathBuf = scene.place.write("away.yaml", &away(&scene));
    let away = scene.run_as(&kubeconfig, "plan -f music.yaml --cluster");
    assert_eq!(
        (away.code, away.stdout.as_str(), away.stderr.lines().count()),
        (1, "", 1),
        "{away}"
    );
    assert!(
        away.stderr.starts_with(
            "error: the cluster at https://127.0.0.1:1 does not answer; check the context and the network"
        ),
        "{away}"
    );
    let none = scene.run_as(&scene.place.path().join("missing"), "install --apply");
    assert_eq!((none.code, none.stderr.lines().count()), (1, 1), "{none}");
    assert!(
        none.stderr
            .starts_with("error: no access to a cluster: set KUBECONFIG"),
        "{none}"
    );
}

/// The scene's kubeconfig with an address where nobody listens.
fn away(scene: &Scene) -> String {
    let kubeconfig = std::fs::read_to_string(scene.plane.kubeconfig()).unwrap();
    let lines = kubeconfig.lines().map(|line| match line.split_once("server: ") {
        Some((before, _)) => format!("{before}server: https://127.0.0.1:1"),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
