//! What a plan asks the API server. It only reads, and applies as dry runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{Pipeline, StreamPipeline};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::DeserializeGuard;
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use super::installed::{Installed, SELECTOR};
use super::{Change, PlanError, Planned, difference, sentence};
use crate::apply::owner_of_another;
use crate::build::{COMPLETE, Defaults, Desired, MANAGED, OPERATOR, Objects, Role};
use crate::dereference::{Secret, Secrets};
use crate::index::Live;
use crate::kind::Kind;
use crate::validate::{Refusal, is_rival};
use crate::{install, watches};

/// Questions under way at a time.
const AT_A_TIME: usize = 8;

/// Asks about one pipeline, and collects what is in the way.
pub(super) struct Asker<'a> {
    client: &'a Client,
    namespace: &'a str,
    name: String,
    pub(super) problems: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// The operator that looks after the pipeline, or what one would be like.
pub(super) struct Operator {
    pub(super) name: Option<String>,
    pub(super) defaults: Defaults,
    pub(super) watches: Option<String>,
}

/// The pipeline's own object.
pub(super) struct Own {
    /// As it is.
    pub(super) live: Option<StreamPipeline>,
    /// As it would be.
    pub(super) after: StreamPipeline,
    pub(super) change: Change,
}

impl<'a> Asker<'a> {
    pub(super) fn new(client: &'a Client, namespace: &'a str, name: &str) -> Self {
        Self {
            client,
            namespace,
            name: name.to_owned(),
            problems: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The operator, whose image and settings the objects get.
    pub(super) async fn operator(&mut self) -> Result<Operator, PlanError> {
        let deployments: Api<Deployment> = Api::all(self.client.clone());
        let found = match deployments.list(&ListParams::default().labels(SELECTOR)).await {
            Ok(found) => found.items,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                self.notes.push(format!(
                    "whether an operator is installed, and with which image, is not seen: {}",
                    sentence(&status)
                ));
                return Ok(Operator::usual());
            }
            Err(error) => return Err(PlanError::asking("operators")(error)),
        };
        let installed: Vec<Installed> = found.iter().filter_map(Installed::read).collect();
        let Some(one) = installed.iter().find(|one| one.looks_after(self.namespace)) else {
            self.problems.push(match installed.first() {
                None => {
                    "no operator is installed; streampipeline install --apply, or helm install, installs one"
                        .to_owned()
                }
                Some(other) => format!(
                    "no operator looks after the namespace {}: {} only does after {}",
                    self.namespace,
                    other.name,
                    other.watches.as_deref().unwrap_or_default()
                ),
            });
            return Ok(Operator::usual());
        };
        if !one.ready {
            self.problems.push(format!(
                "the operator {} has no pod that is ready, so that nothing happens; see kubectl describe pods",
                one.name
            ));
        }
        Ok(Operator {
            name: Some(one.name.clone()),
            defaults: one.defaults.clone(),
            watches: one.watches.clone(),
        })
    }

    /// The pipeline's own object, and what the API server would make of it.
    pub(super) async fn own(&mut self, resource: &StreamPipeline) -> Result<Own, PlanError> {
        let what = || format!("the StreamPipeline {}", self.name);
        let version = "streampipeline.dev/v1alpha1";
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
            Err(error) => return Err(PlanError::asking("the definition of StreamPipelines")(error)),
        }
        let pipelines: Api<StreamPipeline> = Api::namespaced(self.client.clone(), self.namespace);
        let live = pipelines
            .get_opt(&self.name)
            .await
            .map_err(PlanError::asking(what()))?;
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
                400 | 422 => return Err(PlanError::Rejected(sentence(&status))),
                404 => return Err(PlanError::NoNamespace(self.namespace.to_owned())),
                403 => {
                    let change = Change::Refused(sentence(&status));
                    let after = resource.clone();
                    return Ok(Own { live, after, change });
                }
                _ => return Err(PlanError::asking(what())(kube::Error::Api(status))),
            },
            Err(error) => return Err(PlanError::asking(what())(error)),
        };
        let change = match &live {
            None => Change::Created,
            Some(live) => {
                if live.metadata.deletion_timestamp.is_some() {
                    self.problems.push(
                        "the pipeline is being deleted: nothing of this happens before it is gone".to_owned(),
                    );
                }
                change(&spec(live), &spec(&after))
            }
        };
        Ok(Own { live, after, change })
    }

    /// Tells of an older pipeline of the same name at the same Kafka.
    pub(super) async fn rival(&mut self, resource: &StreamPipeline) -> Result<(), PlanError> {
        let pipelines: Api<DeserializeGuard<StreamPipeline>> = Api::all(self.client.clone());
        let all = match pipelines.list(&ListParams::default()).await {
            Ok(all) => all.items,
            // Nobody has any yet.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                self.notes.push(format!(
                    "whether another namespace has a pipeline of this name at the same Kafka is not seen: {}",
                    sentence(&status)
                ));
                return Ok(());
            }
            Err(error) => return Err(PlanError::asking("StreamPipelines")(error)),
        };
        let rival = all
            .iter()
            .filter_map(|guard| guard.0.as_ref().ok())
            .find(|other| is_rival(resource, other));
        if let Some(rival) = rival {
            let refusal = Refusal::NameInUse {
                namespace: rival.namespace().unwrap_or_default(),
                name: rival.name_any(),
            };
            self.problems.push(refusal.to_string());
        }
        Ok(())
    }

    /// The secrets that the pipeline names and that are there. Only hashes of them go into anything.
    pub(super) async fn secrets(&mut self, pipeline: &Pipeline) -> Result<Secrets, PlanError> {
        let api: Api<KubernetesSecret> = Api::namespaced(self.client.clone(), self.namespace);
        let names: BTreeSet<String> = pipeline
            .secrets()
            .into_iter()
            .map(|needed| needed.secret.name)
            .collect();
        let mut secrets = Secrets::new();
        for name in names {
            match api.get_opt(&name).await {
                Ok(None) => {}
                Ok(Some(secret)) => {
                    secrets.insert(name, Arc::new(Secret::new(&secret)));
                }
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    self.problems.push(format!(
                        "hashes that depend on the secret {name} are shown as if it had changed: {}",
                        sentence(&status)
                    ));
                    secrets.insert(name.clone(), super::stand_in(pipeline, &name));
                }
                Err(error) => return Err(PlanError::asking(format!("the secret {name}"))(error)),
            }
        }
        Ok(secrets)
    }

    /// The generator's configuration that has produced all that it was to.
    pub(super) async fn completed(&self) -> Option<String> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), self.namespace);
        let name = format!("{}-{}", self.name, Role::Generator.as_str());
        let deployment = deployments.get_metadata_opt(&name).await.ok()??;
        deployment.annotations().get(COMPLETE).cloned()
    }

    pub(super) async fn has_pod_monitors(&self) -> bool {
        watches::has_pod_monitors(self.client).await
    }

    /// Each object next to what is there.
    pub(super) async fn try_all(&self, objects: &Objects, uid: &str) -> Result<Vec<Planned>, PlanError> {
        stream::iter(objects.iter().collect::<Vec<_>>())
            .map(|desired| self.try_one(desired, uid))
            .buffered(AT_A_TIME)
            .try_collect()
            .await
    }

    async fn try_one(&self, desired: &Desired, uid: &str) -> Result<Planned, PlanError> {
        let Desired { kind, name, body, .. } = desired;
        Ok(Planned {
            kind: kind.as_str(),
            name: name.clone(),
            change: self.change_of(*kind, name, body, uid).await?,
            body: Some(body.clone()),
        })
    }

    async fn change_of(&self, kind: Kind, name: &str, body: &Value, uid: &str) -> Result<Change, PlanError> {
        let what = || format!("{kind} {name}");
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), self.namespace, &kind.resource());
        let live = match api.get_opt(name).await {
            Ok(live) => live,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                return Ok(Change::Refused(sentence(&status)));
            }
            Err(error) => return Err(PlanError::asking(what())(error)),
        };
        if let Some(live) = &live
            && let Some(owner) = owner_of_another(&Live::new(kind, &live.metadata), uid)
        {
            return Ok(Change::Foreign(owner));
        }
        let parameters = PatchParams::apply(OPERATOR).force().dry_run();
        let after = match api.patch(name, &parameters, &Patch::Apply(body)).await {
            Ok(after) => after,
            Err(kube::Error::Api(status)) if status.code == 404 => {
                return Err(PlanError::NoNamespace(self.namespace.to_owned()));
            }
            Err(kube::Error::Api(status)) if status.code < 500 => {
                return Ok(Change::Refused(sentence(&status)));
            }
            Err(error) => return Err(PlanError::asking(what())(error)),
        };
        let json = |object: &DynamicObject| serde_json::to_value(object).unwrap_or_default();
        Ok(match &live {
            None => Change::Created,
            Some(live) => change(&json(live), &json(&after)),
        })
    }

    /// What the pipeline owns and would no longer have.
    pub(super) async fn orphans(&self, objects: &Objects, uid: &str) -> Result<Vec<Planned>, PlanError> {
        let mut orphans = Vec::new();
        for kind in Kind::ALL {
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), self.namespace, &kind.resource());
            let made = ListParams::default().labels(MANAGED);
            let found = match api.list_metadata(&made).await {
                Ok(found) => found.items,
                // A kind that the cluster does not know; or one that we may not list, which was told by the dry run.
                Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => continue,
                Err(error) => return Err(PlanError::asking(format!("objects of the kind {kind}"))(error)),
            };
            let live = found.iter().map(|object| Live::new(kind, &object.metadata));
            let orphaned = live.filter(|live| {
                live.is_owned_by(uid)
                    && !live.deleting
                    && !objects
                        .iter()
                        .any(|desired| desired.kind == kind && desired.name == live.name)
            });
            orphans.extend(orphaned.map(|live| Planned {
                kind: kind.as_str(),
                name: live.name,
                change: Change::Deleted,
                body: None,
            }));
        }
        Ok(orphans)
    }
}

impl Operator {
    /// As `streampipeline install` installs it.
    fn usual() -> Self {
        Self {
            name: None,
            defaults: install::defaults(),
            watches: None,
        }
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

fn change(old: &Value, new: &Value) -> Change {
    match difference::between(old, new) {
        differences if differences.is_empty() => Change::Unchanged,
        differences => Change::Changed(differences),
    }
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
