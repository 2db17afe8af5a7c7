//! Nodes and kubelets go, memory runs out: the pipeline goes on, and nothing is lost or doubled.

use std::time::Instant;

use testbed::{Part, eventually};

use crate::bed::{Bed, PATIENCE};

/// A node is drained, with budgets for what may be away; another loses its kubelet, so that its pods are replaced while
/// they still run: whoever is replaced is fenced.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_drained_or_lost_cost_no_row() {
    let mut bed = Bed::new(2).await;
    bed.apply(1_000).await;
    bed.stored(2_000).await;
    let is_spread = async || {
        let pods = bed.worker_pods().await;
        let mut nodes: Vec<&str> = pods.iter().map(|(_, node)| node.as_str()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        if nodes.len() == 2 {
            Ok(())
        } else {
            Err(format!("{pods:?}"))
        }
    };
    eventually(PATIENCE, is_spread).await.unwrap();

    bed.kubectl("drain node-1 --ignore-daemonsets --delete-emptydir-data --timeout=150s")
        .await
        .unwrap();
    bed.more_rows(5_000).await;
    let pods = bed.worker_pods().await;
    assert!(pods.iter().all(|(_, node)| node == "node-2"), "{pods:?}");
    bed.kubectl("uncordon node-1").await.unwrap();

    bed.cluster.kill(Part::Kubelet(2)).await.unwrap();
    bed.kubectl("wait --for=condition=Ready=Unknown node/node-2 --timeout=90s")
        .await
        .unwrap();
    let has_moved = async || {
        let pods = bed.kubectl(
            "get deployment music-worker music-generator -o jsonpath={.items[*].status.readyReplicas}",
        );
        let pods = pods.await.unwrap();
        if pods == "2 1" { Ok(()) } else { Err(pods) }
    };
    eventually(PATIENCE, has_moved).await.unwrap();
    bed.more_rows(5_000).await;
    bed.cluster.start_again(Part::Kubelet(2)).await.unwrap();
    bed.kubectl("wait --for=condition=Ready node/node-2 --timeout=90s")
        .await
        .unwrap();
    bed.more_rows(5_000).await;
    bed.condition("Ready").await;
    bed.assert_audited().await;
}

/// A node that its provider takes back: its pods are told to end and have 25 seconds, no budget is asked, nothing new is
/// started there, and then it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_taken_back_costs_no_row() {
    let mut bed = Bed::new(2).await;
    bed.apply(1_000).await;
    bed.stored(2_000).await;
    bed.condition("Ready").await;
    let node = bed
        .kubectl("get pods -l app.kubernetes.io/component=generator -o jsonpath={.items[0].spec.nodeName}")
        .await
        .unwrap();
    let number: u32 = node.strip_prefix("node-").unwrap().parse().unwrap();
    let told = Instant::now();
    bed.kubectl(&format!("cordon {node}")).await.unwrap();
    let ended = format!(
        "delete pods --all-namespaces --field-selector=spec.nodeName={node} --grace-period=25 --timeout=120s"
    );
    bed.kubectl(&ended).await.unwrap();
    println!(
        "pods ended {:.1} s after the notice",
        told.elapsed().as_secs_f64()
    );
    bed.cluster.kill(Part::Kubelet(number)).await.unwrap();
    bed.cluster.kill(Part::Containerd(number)).await.unwrap();
    bed.kubectl(&format!("delete node {node}")).await.unwrap();

    bed.more_rows(10_000).await;
    println!(
        "10000 more rows {:.1} s after the notice",
        told.elapsed().as_secs_f64()
    );
    let pods = bed.worker_pods().await;
    assert!(
        pods.len() >= 2 && pods.iter().all(|(_, other)| *other != node),
        "{pods:?}"
    );
    bed.condition("Ready").await;
    bed.assert_audited().await;
}

/// A worker with too little memory for a backlog is killed as it reads it, again and again; with more of it the
/// work goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_runs_out_of_memory_costs_no_row() {
    const ONE: &str = "{min: 1, max: 1}";
    let bed = Bed::new(1).await;
    bed.apply_with(30_000, ONE, "  paused: {workers: true}\n").await;
    let has_backlog = async || {
        let lag = bed.status("lag").await;
        if lag.parse().is_ok_and(|lag: u64| lag > 500_000) {
            Ok(())
        } else {
            Err(lag)
        }
    };
    eventually(PATIENCE, has_backlog).await.unwrap();

    let narrow = "  pods: {worker: {resources: {requests: {memory: 64Mi}, limits: {memory: 64Mi}}}}\n";
    bed.apply_with(1_000, ONE, narrow).await;
    let was_killed = async || {
        let ends = bed.kubectl("get pods -l app.kubernetes.io/component=worker -o jsonpath={.items[*].status.containerStatuses[*].lastState.terminated.reason}");
        let ends = ends.await.unwrap();
        if ends.contains("OOMKilled") {
            Ok(())
        } else {
            Err(ends)
        }
    };
    eventually(PATIENCE, was_killed).await.unwrap();
    println!(
        "{} rows are stored when a worker was killed for its memory",
        bed.rows().await
    );

    bed.apply_with(1_000, ONE, "").await;
    bed.stored(500_000).await;
    bed.condition("Ready").await;
    bed.assert_audited().await;
}
