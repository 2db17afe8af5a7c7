//! What a user does: helm install and test, kubectl apply, rows in PostgreSQL, an edit, a killed worker, a deletion.

use std::time::Instant;

use testbed::eventually;

use crate::bed::{Bed, PATIENCE};

const WORKERS: &str = "{min: 2, max: 4}";
/// They run each minute, by Kubernetes' own controller.
const MODELS: &str = "  models:
    - {name: top_tracks, schedule: '* * * * *', sql: \"SELECT track_id, count(*) AS plays FROM plays GROUP BY track_id\"}
    - {name: recommended, schedule: '* * * * *', recommender: {interactions: plays, user: user_id, item: track_id, top: 3}}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_lives_on_a_cluster_from_helm_install_to_its_deletion() {
    let bed = Bed::new(1).await;
    let said = bed.helm_test().await.unwrap();
    assert!(
        said.contains("the operator has its rights, its definition is served, and one leads"),
        "{said}"
    );

    let applied = Instant::now();
    bed.apply_with(500, WORKERS, MODELS).await;
    bed.stored(1).await;
    println!(
        "first row {:.1} s after kubectl apply",
        applied.elapsed().as_secs_f64()
    );
    bed.condition("Ready").await;
    bed.stored(2_000).await;

    // An edit: the generator rolls, and its checkpoints go on where they were.
    bed.apply_with(1_000, WORKERS, MODELS).await;
    bed.more_rows(5_000).await;

    a_wrong_edit_leaves_the_workers_alone(&bed).await;

    // A worker is killed in the middle of its work.
    let (victim, _) = bed.worker_pods().await.remove(0);
    bed.kubectl(&format!(
        "delete pod/{victim} --force --grace-period=0 --wait=false"
    ))
    .await
    .unwrap();
    bed.more_rows(10_000).await;
    bed.condition("Ready").await;
    bed.assert_audited().await;
    println!("{}", bed.kubectl("get sp").await.unwrap());
    the_models_have_run(&bed).await;

    bed.kubectl("delete sp music --timeout=120s").await.unwrap();
    let gone = async || {
        let left = bed
            .kubectl("get deployments,jobs,cronjobs,configmaps,services,networkpolicies,poddisruptionbudgets,pods -l app.kubernetes.io/instance=music -o name")
            .await
            .unwrap();
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    };
    eventually(PATIENCE, gone).await.unwrap();
    let rows = bed.rows().await;
    let audited = bed
        .number("SELECT sum((state->>'records')::bigint)::bigint FROM streampipeline_offsets WHERE pipeline = 'music'")
        .await;
    assert!(rows > 17_000, "the data stays: {rows}");
    assert_eq!(rows, audited, "every record that was read is a row, once");
    a_broken_installation_fails_its_test(&bed).await;
}

/// Both have rows out of those that are stored, and the last run ended well. The first may have come too early to find much.
async fn the_models_have_run(bed: &Bed) {
    bed.condition("ModelsRun").await;
    let have_rows = async || {
        let plays = bed
            .number("SELECT coalesce(sum(plays), 0)::bigint FROM top_tracks")
            .await;
        let recommended = bed.number("SELECT count(*) FROM recommended").await;
        if plays > 0 && recommended > 0 {
            Ok(plays)
        } else {
            Err(format!("{plays} plays summed up, {recommended} recommendations"))
        }
    };
    let plays = eventually(PATIENCE, have_rows).await.unwrap();
    assert!(plays <= bed.rows().await, "{plays}");
}

/// A table that reads a topic which the pipeline has not: only who knows SQL can tell, before anything that runs is
/// touched.
async fn a_wrong_edit_leaves_the_workers_alone(bed: &Bed) {
    let workers = bed.worker_pods().await;
    let right = bed.manifest(1_000, WORKERS, MODELS);
    let wrong = right.replace("FROM music\"", "FROM likes\"");
    bed.cluster.apply(&wrong).await.unwrap();
    bed.told("Ready", &["spec.tables[0].sql", "likes"]).await;
    bed.more_rows(2_000).await;
    assert_eq!(bed.worker_pods().await, workers);
    bed.cluster.apply(&right).await.unwrap();
    bed.condition("Ready").await;
    assert_eq!(bed.worker_pods().await, workers, "they have what they had");
}

/// What is missing is told, each by a sentence; there is no pipeline any more that could miss it as well.
async fn a_broken_installation_fails_its_test(bed: &Bed) {
    bed.kubectl("delete crd streampipelines.streampipeline.dev")
        .await
        .unwrap();
    bed.kubectl("delete clusterrolebinding streampipeline:streampipeline-operator")
        .await
        .unwrap();
    // The API server takes a moment to notice either.
    let is_told = async || {
        let said = match bed.helm_test().await {
            Ok(said) => return Err(said),
            Err(error) => error.to_string(),
        };
        let told = [
            "no right to patch customresourcedefinitions of apiextensions.k8s.io in the cluster",
            "the cluster does not know StreamPipelines: apply their definition",
        ];
        if told.iter().all(|sentence| said.contains(sentence)) {
            Ok(())
        } else {
            Err(said)
        }
    };
    eventually(PATIENCE, is_told).await.unwrap();
}
