//! Which workers the cluster is to stop first when there are to be fewer: those that have the least to hand over.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::kafka::WorkerLoad;
use crate::names::{OPERATOR, Role, selector_text};

/// What a `ReplicaSet` orders its pods by, the lowest number first, when it has to delete some.
const ANNOTATION: &str = "controller.kubernetes.io/pod-deletion-cost";

/// What it costs to stop a worker: partitions change hands, and what waits in them waits for longer. Partitions count
/// first; among workers with as many, thousandths of all that waits.
#[must_use]
fn cost(load: &WorkerLoad, waiting: u64) -> u32 {
    let share = load.lag.saturating_mul(999) / waiting.max(1);
    load.partitions
        .saturating_mul(1_000)
        .saturating_add(u32::try_from(share).unwrap_or(999))
}

/// Marks the pods of a pipeline's workers. `loads` are those of the workers, named as their pods, as reported last.
pub(super) async fn mark(
    client: &Client,
    namespace: &str,
    pipeline: &str,
    loads: &BTreeMap<String, WorkerLoad>,
) -> Result<(), kube::Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let workers = ListParams::default().labels(&selector_text(pipeline, Some(Role::Worker)));
    let waiting = loads.values().map(|load| load.lag).sum();
    for pod in pods.list_metadata(&workers).await? {
        let name = pod.name_any();
        let cost = loads.get(&name).map_or(0, |load| cost(load, waiting)).to_string();
        if pod.annotations().get(ANNOTATION) == Some(&cost) {
            continue;
        }
        let patch = json!({ "metadata": { "annotations": { ANNOTATION: cost } } });
        let parameters = PatchParams {
            field_manager: Some(OPERATOR.to_owned()),
            ..PatchParams::default()
        };
        match pods
            .patch_metadata(&name, &parameters, &Patch::Merge(&patch))
            .await
        {
            // It is gone already.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            outcome => drop(outcome?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_count_before_what_waits_in_them() {
        let cost = |partitions, lag| cost(&WorkerLoad { partitions, lag }, 10_000);
        assert!(cost(0, 0) < cost(1, 0));
        assert!(cost(1, 9_000) < cost(2, 0));
        assert!(cost(2, 10) < cost(2, 4_000));
        assert!(cost(2, u64::MAX) < cost(3, 0));
        assert_eq!(
            super::cost(
                &WorkerLoad {
                    partitions: 1,
                    lag: 0
                },
                0
            ),
            1_000
        );
    }
}
