//! What Kubernetes' own controllers would say if each pod ran at once. They are not asked: there is no node, and they
//! would take minutes for the pods of a thousand pipelines, which is their speed and not the operator's.

use futures::TryStreamExt;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{Store, reflector};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::pipelines::PIPELINES;
use crate::error::{BenchError, kubernetes};

/// Statuses of a kind that are written at the same time.
const AT_A_TIME: usize = 4;

/// Watches what there is, and plays until it is dropped.
pub(super) struct Player {
    pipelines: Store<DynamicObject>,
    deployments: Store<DynamicObject>,
    tasks: JoinSet<Result<(), BenchError>>,
}

/// The status of an object that does not have it yet.
type NextStatus = fn(&DynamicObject) -> Option<Value>;

impl Player {
    pub(super) fn start(client: &Client) -> Self {
        let mut tasks = JoinSet::new();
        let mut follow = |group: &str, version: &str, kind: &str, next_status: NextStatus| {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let writer = Writer::new(resource.clone());
            let store = writer.as_reader();
            tasks.spawn(play(client.clone(), resource, writer, next_status));
            store
        };
        let pipelines = follow("streampipeline.dev", "v1alpha1", "StreamPipeline", |_| None);
        let deployments = follow("apps", "v1", "Deployment", deployment);
        follow("batch", "v1", "Job", job);
        Self {
            pipelines,
            deployments,
            tasks,
        }
    }

    /// Workers and generator of each are there, and something is said about it.
    pub(super) fn converged(&self) -> bool {
        let reported = |object: &DynamicObject| object.data.pointer("/status/conditions").is_some();
        let pipelines = self.pipelines.state();
        pipelines.iter().filter(|pipeline| reported(pipeline)).count() == PIPELINES
            && self.deployments.len() == 2 * PIPELINES
    }

    /// Why it plays no more, if it does not.
    pub(super) fn check(&mut self) -> Result<(), BenchError> {
        match self.tasks.try_join_next() {
            None => Ok(()),
            Some(Ok(Err(error))) => Err(error),
            Some(Ok(Ok(()))) => Err(BenchError::Kubernetes("a watch ended".to_owned())),
            Some(Err(error)) => Err(kubernetes(error)),
        }
    }

    /// What is said of some pipeline.
    pub(super) fn status(&self) -> Value {
        let some = self.pipelines.find(|_| true);
        some.and_then(|pipeline| pipeline.data.get("status").cloned())
            .unwrap_or_default()
    }
}

async fn play(
    client: Client,
    resource: ApiResource,
    writer: Writer<DynamicObject>,
    next_status: NextStatus,
) -> Result<(), BenchError> {
    let all = Api::<DynamicObject>::all_with(client.clone(), &resource);
    reflector(writer, watcher(all, watcher::Config::default()))
        .applied_objects()
        .map_err(kubernetes)
        .try_for_each_concurrent(AT_A_TIME, |object| {
            let namespace = object.namespace().unwrap_or_default();
            let api = Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &resource);
            async move {
                if let Some(status) = next_status(&object) {
                    let patch = Patch::Merge(json!({ "status": status }));
                    api.patch_status(&object.name_any(), &PatchParams::default(), &patch)
                        .await
                        .map_err(kubernetes)?;
                }
                Ok(())
            }
        })
        .await
}

fn deployment(object: &DynamicObject) -> Option<Value> {
    let (generation, replicas) = (
        json!(object.metadata.generation),
        object.data.pointer("/spec/replicas"),
    );
    let observed = object.data.pointer("/status/observedGeneration");
    (observed != Some(&generation)).then(|| {
        json!({
            "observedGeneration": generation,
            "replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas, "readyReplicas": replicas,
            "conditions": [{ "type": "Available", "status": "True" }],
        })
    })
}

fn job(object: &DynamicObject) -> Option<Value> {
    let at_once = &object.metadata.creation_timestamp;
    let reported = object.data.pointer("/status/conditions").is_some();
    (!reported).then(|| {
        json!({
            "startTime": at_once, "completionTime": at_once, "succeeded": 1,
            "conditions": [
                { "type": "SuccessCriteriaMet", "status": "True" },
                { "type": "Complete", "status": "True" },
            ],
        })
    })
}
