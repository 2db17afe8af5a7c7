//! The pipeline's objects: what the API server would make of each, by a dry run of its apply.

use futures::{StreamExt, TryStreamExt, stream};
use kube::Api;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use serde_json::Value;

use super::model::{Change, ClusterPlanError, Planned, sentence};
use super::planner::Planner;
use crate::kind::Kind;
use crate::names::{MANAGED, OPERATOR};
use crate::objects::{Desired, Objects};
use crate::watch::live::LiveObject;

/// Requests under way at a time.
const AT_A_TIME: usize = 8;

impl Planner<'_> {
    /// Each object next to what is there.
    pub(super) async fn try_all(
        &self,
        objects: &Objects,
        uid: &str,
    ) -> Result<Vec<Planned>, ClusterPlanError> {
        stream::iter(objects.iter().collect::<Vec<_>>())
            .map(|desired| self.try_one(desired, uid))
            .buffered(AT_A_TIME)
            .try_collect()
            .await
    }

    async fn try_one(&self, desired: &Desired, uid: &str) -> Result<Planned, ClusterPlanError> {
        let Desired { kind, name, body, .. } = desired;
        Ok(Planned {
            kind: kind.as_str(),
            name: name.clone(),
            change: self.change_of(*kind, name, body, uid).await?,
            body: Some(body.clone()),
        })
    }

    async fn change_of(
        &self,
        kind: Kind,
        name: &str,
        body: &Value,
        uid: &str,
    ) -> Result<Change, ClusterPlanError> {
        let what = || format!("{kind} {name}");
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), self.namespace, &kind.resource());
        let live = match api.get_opt(name).await {
            Ok(live) => live,
            Err(kube::Error::Api(status)) if status.code == 403 => {
                return Ok(Change::Refused(sentence(&status)));
            }
            Err(error) => return Err(ClusterPlanError::asking(what())(error)),
        };
        if let Some(live) = &live
            && let Some(owner) = LiveObject::new(kind, &live.metadata).other_owner(uid)
        {
            return Ok(Change::Foreign(owner));
        }
        let parameters = PatchParams::apply(OPERATOR).force().dry_run();
        let after = match api.patch(name, &parameters, &Patch::Apply(body)).await {
            Ok(after) => after,
            Err(kube::Error::Api(status)) if status.code == 404 => {
                return Err(ClusterPlanError::NoNamespace(self.namespace.to_owned()));
            }
            Err(kube::Error::Api(status)) if status.code < 500 => {
                return Ok(Change::Refused(sentence(&status)));
            }
            Err(error) => return Err(ClusterPlanError::asking(what())(error)),
        };
        let json = |object: &DynamicObject| serde_json::to_value(object).unwrap_or_default();
        Ok(match &live {
            None => Change::Created,
            Some(live) => Change::of(&json(live), &json(&after)),
        })
    }

    /// What the pipeline owns and would no longer have.
    pub(super) async fn orphans(
        &self,
        objects: &Objects,
        uid: &str,
    ) -> Result<Vec<Planned>, ClusterPlanError> {
        let mut orphans = Vec::new();
        for kind in Kind::ALL {
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), self.namespace, &kind.resource());
            let made = ListParams::default().labels(MANAGED);
            let found = match api.list_metadata(&made).await {
                Ok(found) => found.items,
                // A kind that the cluster does not know; or one that we may not list, which was told by the dry run.
                Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => continue,
                Err(error) => {
                    return Err(ClusterPlanError::asking(format!("objects of the kind {kind}"))(
                        error,
                    ));
                }
            };
            let live = found.iter().map(|object| LiveObject::new(kind, &object.metadata));
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
