//! The pipeline's own object: what the API server would make of the manifest, by a dry run.

use api::StreamPipeline;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::Api;
use kube::api::PostParams;
use serde_json::Value;

use super::model::{Change, ClusterPlanError, sentence};
use super::planner::Planner;
use crate::names::API_VERSION;

/// The pipeline's own object.
pub(super) struct Own {
    /// As it is.
    pub(super) live: Option<StreamPipeline>,
    /// As it would be.
    pub(super) after: StreamPipeline,
    pub(super) change: Change,
}

impl Planner<'_> {
    /// The pipeline's own object, and what the API server would make of it.
    pub(super) async fn own(&mut self, resource: &StreamPipeline) -> Result<Own, ClusterPlanError> {
        let what = || format!("the StreamPipeline {}", self.name);
        let version = API_VERSION;
        match self.client.list_api_group_resources(version).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.problems.push(
                    "the cluster does not know StreamPipelines; streampipeline install --apply, or helm install, \
                     brings their definition"
                        .to_owned(),
                );
                return Ok(Own {
                    live: None,
                    after: resource.clone(),
                    change: Change::Created,
                });
            }
            Err(error) => {
                return Err(ClusterPlanError::asking("the definition of StreamPipelines")(
                    error,
                ));
            }
        }
        let pipelines: Api<StreamPipeline> = Api::namespaced(self.client.clone(), self.namespace);
        let live = pipelines
            .get_opt(&self.name)
            .await
            .map_err(ClusterPlanError::asking(what()))?;
        let parameters = PostParams {
            dry_run: true,
            field_manager: None,
        };
        let tried = match &live {
            None => pipelines.create(&parameters, resource).await,
            Some(live) => {
                let changed = in_place_of(live, resource);
                if changed.spec.scaling.replicas != resource.spec.scaling.replicas {
                    self.notes.push(
                        "spec.scaling.replicas was set by kubectl scale or an autoscaler, and stays"
                            .to_owned(),
                    );
                }
                pipelines.replace(&self.name, &parameters, &changed).await
            }
        };
        let after = match tried {
            Ok(after) => after,
            Err(kube::Error::Api(status)) => match status.code {
                400 | 422 => return Err(ClusterPlanError::Rejected(sentence(&status))),
                404 => return Err(ClusterPlanError::NoNamespace(self.namespace.to_owned())),
                403 => {
                    let change = Change::Refused(sentence(&status));
                    let after = resource.clone();
                    return Ok(Own { live, after, change });
                }
                _ => return Err(ClusterPlanError::asking(what())(kube::Error::Api(status))),
            },
            Err(error) => return Err(ClusterPlanError::asking(what())(error)),
        };
        let change = match &live {
            None => Change::Created,
            Some(live) => {
                if live.metadata.deletion_timestamp.is_some() {
                    self.problems.push(
                        "the pipeline is being deleted: nothing of this happens before it is gone".to_owned(),
                    );
                }
                Change::of(&spec(live), &spec(&after))
            }
        };
        Ok(Own { live, after, change })
    }
}

/// The manifest in the place of what is there. What others have said stays, as it does with `kubectl apply`: metadata,
/// and a number of workers that no manifest has had.
fn in_place_of(live: &StreamPipeline, manifest: &StreamPipeline) -> StreamPipeline {
    let mut changed = StreamPipeline {
        metadata: live.metadata.clone(),
        spec: manifest.spec.clone(),
        status: None,
    };
    let managers = changed.metadata.managed_fields.take().unwrap_or_default();
    if changed.spec.scaling.replicas.is_none() && !managers.iter().any(applied_replicas) {
        changed.spec.scaling.replicas = live.spec.scaling.replicas;
    }
    changed
}

/// Whether somebody has applied a manifest with `spec.scaling.replicas`. What comes by `/scale` nobody has.
fn applied_replicas(manager: &ManagedFieldsEntry) -> bool {
    let applies = manager.operation.as_deref() == Some("Apply")
        || manager.manager.as_deref() == Some("kubectl-client-side-apply");
    let fields = manager.fields_v1.as_ref();
    applies
        && manager.subresource.is_none()
        && fields.is_some_and(|fields| fields.0.pointer("/f:spec/f:scaling/f:replicas").is_some())
}

fn spec(resource: &StreamPipeline) -> Value {
    serde_json::json!({ "spec": resource.spec })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::resource;

    #[test]
    fn a_number_of_workers_that_no_manifest_has_had_stays() {
        let mut live = resource("scaling: {replicas: 3}");
        let manager = |manager: &str, operation: &str, fields: Value| -> ManagedFieldsEntry {
            serde_json::from_value(json!({"manager": manager, "operation": operation, "fieldsV1": fields}))
                .unwrap()
        };
        let replicas = || json!({"f:spec": {"f:scaling": {"f:replicas": {}}}});
        for (managers, kept) in [
            (vec![], Some(3)),
            (
                vec![manager(
                    "kubectl",
                    "Apply",
                    json!({"f:spec": {"f:scaling": {"f:max": {}}}}),
                )],
                Some(3),
            ),
            (vec![manager("kubectl-patch", "Update", replicas())], Some(3)),
            (vec![manager("kubectl", "Apply", replicas())], None),
            (
                vec![manager("kubectl-client-side-apply", "Update", replicas())],
                None,
            ),
        ] {
            live.metadata.managed_fields = Some(managers);
            let changed = in_place_of(&live, &resource(""));
            assert_eq!(changed.spec.scaling.replicas, kept);
            assert_eq!(changed.metadata.managed_fields, None);
            let pinned = in_place_of(&live, &resource("scaling: {replicas: 5}"));
            assert_eq!(pinned.spec.scaling.replicas, Some(5));
        }
    }
}
