//! What a user does to a pipeline, and what others have that it must not take.

use std::time::Duration;

use serde_json::Value;
use testbed::{ControlPlane, eventually};

use crate::scene::{MOMENT, MUSIC, Scene};

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

    // The API server takes the model's CronJob as it is; its controller has no pods to run here.
    let cron_job = scene.object("cronjob", "music-model-recommendations").await;
    assert_eq!(cron_job["spec"]["schedule"], "*/15 * * * *");
    assert_eq!(cron_job["metadata"]["ownerReferences"][0]["name"], "music");

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
            "deployments,jobs,cronjobs,configmaps,services,networkpolicies,poddisruptionbudgets,serviceaccounts,pods";
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
