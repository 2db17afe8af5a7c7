//! The definition and what is stored by it, while releases come, go back, and run side by side.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use testbed::{ControlPlane, Kubernetes, Process};

use crate::scene::{MOMENT, MUSIC, Scene, client};

const NAME: &str = "streampipelines.streampipeline.dev";

/// The definition of another release, applied as that release's operator does.
async fn apply_definition(plane: &Kubernetes, definition: &Value) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client(plane.kubeconfig()).await);
    let parameters = PatchParams::apply(operator::names::OPERATOR).force();
    definitions
        .patch(NAME, &parameters, &Patch::Apply(definition))
        .await
        .unwrap();
    let established = format!("crd/{NAME}");
    plane
        .kubectl(&["wait", "--for=condition=Established", &established])
        .await
        .unwrap();
}

/// As it was before there were rules, and before definitions told their release.
fn older() -> Value {
    let mut definition = serde_json::to_value(api::definition()).unwrap();
    definition["metadata"]["annotations"] = json!({});
    without_rules(&mut definition);
    definition
}

fn without_rules(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.remove("x-kubernetes-validations");
            members.values_mut().for_each(without_rules);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_rules),
        _ => {}
    }
}

/// With a field that this release does not know.
fn newer() -> Value {
    let mut definition = serde_json::to_value(api::definition()).unwrap();
    definition["metadata"]["annotations"][api::RELEASE] = json!("99.0.0");
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["newer"] =
        json!({"type": "string"});
    definition
}

async fn release(plane: &Kubernetes) -> String {
    let path = r"-o=jsonpath={.metadata.annotations.streampipeline\.dev/release}";
    plane.kubectl(&["get", "crd", NAME, path]).await.unwrap()
}

/// An operator as it runs in a cluster, with an administrator's rights.
fn program(plane: &Kubernetes, namespace: &str, name: &str) -> Process {
    let program = env!("CARGO_BIN_EXE_streampipeline-operator");
    let own = [
        "run",
        "--image=streampipeline:test",
        "--listen=127.0.0.1:0",
        "--lease-duration=6s",
    ];
    let places = [
        format!("--name={name}"),
        format!("--namespace={namespace}"),
        format!("--own-namespace={namespace}"),
    ];
    let arguments = own.into_iter().map(str::to_owned).chain(places);
    Process::spawn(program, arguments, [("KUBECONFIG", plane.kubeconfig())]).unwrap()
}

/// A field that a later release knows, set by somebody who knows it.
const NEWER: &str = r#"patch streampipeline music --type=merge --patch={"spec":{"newer":"kept"}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_definition_goes_up_and_never_back() {
    let plane = ControlPlane::start().await.unwrap();
    an_upgrade_takes_over_what_is_stored(&plane).await;
    apply_definition(&plane, &newer()).await;
    a_rollback_loses_nothing_of_the_later_release(&plane).await;
    apply_definition(&plane, &serde_json::to_value(api::definition()).unwrap()).await;
    two_releases_run_side_by_side(&plane).await;
}

/// What an earlier release has let in is there after an upgrade; it is told of if it is wrong by now, and can be mended
/// and deleted.
async fn an_upgrade_takes_over_what_is_stored(plane: &Kubernetes) {
    apply_definition(plane, &older()).await;
    plane.kubectl(&["create", "namespace", "upgrade"]).await.unwrap();
    let placed =
        |name: &str| MUSIC.replace("name: music\n", &format!("name: {name}\n  namespace: upgrade\n"));
    plane.apply(&placed("music")).await.unwrap();
    let wrong = placed("wrong")
        .replace("{min: 1, max: 12,", "{min: 5, max: 2,")
        .replace("deletionPolicy: Retain", "deletionPolicy: Delete");
    plane.apply(&wrong).await.unwrap();

    let scene = Scene::start_in(plane, "upgrade").await;
    assert_eq!(release(plane).await, env!("CARGO_PKG_VERSION"));
    scene.until("Ready", "False SecretMissing").await;
    scene.secret().await;
    scene.until("Ready", "True RowsFlow").await;
    scene.until_of("wrong", "Ready", "False InvalidManifest").await;
    assert_eq!(
        scene.message("wrong", "Ready").await,
        "spec.scaling.max: max is less than min; raise max or lower min"
    );
    scene.kubectl("label streampipeline wrong seen=true").await;
    let mended = wrong.replace("{min: 5,", "{min: 1,");
    plane.apply(&mended).await.unwrap();
    scene.until_of("wrong", "Ready", "True RowsFlow").await;
    scene.kubectl("delete streampipeline wrong --timeout=180s").await;
}

/// An earlier release, come back, leaves the definition alone. What it cannot read it tells of, and neither what is stored
/// nor what runs of it changes.
async fn a_rollback_loses_nothing_of_the_later_release(plane: &Kubernetes) {
    let scene = Scene::start_in(plane, "rollback").await;
    assert_eq!(release(plane).await, "99.0.0");
    scene.secret().await;
    let kept = MUSIC.replace("deletionPolicy: Retain", "deletionPolicy: Delete");
    scene.apply(&kept).await.unwrap();
    scene.until("Ready", "True RowsFlow").await;
    let workers = scene.object("deployment", "music-worker").await;

    scene.kubectl(NEWER).await;
    scene.until("Ready", "False InvalidManifest").await;
    let message = scene.message("music", "Ready").await;
    assert!(message.contains("Unknown field newer"), "{message}");
    scene.kubectl("scale streampipeline music --replicas=3").await;
    let stored = scene.object("streampipeline", "music").await;
    assert_eq!(stored["spec"]["newer"], "kept");
    let after = scene.object("deployment", "music-worker").await;
    assert_eq!(after["metadata"]["generation"], workers["metadata"]["generation"]);
    scene.kubectl("delete streampipeline music --timeout=180s").await;
}

/// While a release is rolled out, a process of the one before may lead after one of the next: here the next one has
/// already brought its definition.
async fn two_releases_run_side_by_side(plane: &Kubernetes) {
    plane.kubectl(&["create", "namespace", "beside"]).await.unwrap();
    let mut leads = program(plane, "beside", "leads");
    leads.wait_for_line("is up to date", MOMENT).await.unwrap();
    let mut waits = program(plane, "beside", "waits");
    waits.wait_for_line("waiting to lead", MOMENT).await.unwrap();

    apply_definition(plane, &newer()).await;
    let placed = MUSIC.replace("name: music\n", "name: music\n  namespace: beside\n");
    let newest = placed.replace("deletionPolicy: Retain", "deletionPolicy: Retain\n  newer: kept");
    plane.apply(&newest).await.unwrap();
    leads.kill().unwrap();
    waits.wait_for_line("stays as it is", MOMENT).await.unwrap();
    let kubectl = async |command: &str| {
        let words = command.split(' ').chain(["--namespace", "beside"]);
        plane.kubectl(&words.collect::<Vec<_>>()).await.unwrap()
    };
    kubectl(r#"patch streampipeline music --type=merge --patch={"spec":{"generator":{"rate":50}}}"#).await;
    kubectl("wait streampipeline music --for=jsonpath={.status.observedGeneration}=2 --timeout=180s").await;
    let field = kubectl("get streampipeline music --output=jsonpath={.spec.newer}").await;
    assert_eq!(
        (field.as_str(), release(plane).await.as_str()),
        ("kept", "99.0.0")
    );
}
