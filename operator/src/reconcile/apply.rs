//! Server-side apply of objects, only where something differs, and never of what belongs to somebody else.

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Api, Client};

use super::applied::AppliedObjects;
use crate::kind::Kind;
use crate::names::OPERATOR;
use crate::objects::Desired;
use crate::watch::index::Index;
use crate::watch::live::LiveObject;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// Another's object has the name.
    #[error("{kind} {name} is there and belongs to {owner}")]
    NameConflict { kind: Kind, name: String, owner: String },
    #[error("cannot look at the pipeline {name}")]
    Read {
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("cannot {action} {kind} {name}")]
    Refused {
        action: &'static str,
        kind: Kind,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
}

impl ApplyError {
    /// Whether the API server knows nothing of it: with an apply, not even the kind.
    pub(crate) fn is_not_found(&self) -> bool {
        match self {
            Self::Refused { source, .. } => {
                matches!(&**source, kube::Error::Api(status) if status.code == 404)
            }
            _ => false,
        }
    }
}

/// Writes to one pipeline's namespace, in its name.
pub(crate) struct Applier<'a> {
    pub(crate) client: &'a Client,
    pub(crate) index: &'a Index,
    pub(crate) namespace: &'a str,
    pub(crate) uid: &'a str,
}

impl Applier<'_> {
    /// Makes the cluster have `desired`. Gives whether anything was written.
    pub(crate) async fn apply(
        &self,
        desired: &Desired,
        known: &mut AppliedObjects,
    ) -> Result<bool, ApplyError> {
        let Desired { kind, name, body, .. } = desired;
        let seen = self.index.get(*kind, self.namespace, name);
        if known.is_current(desired, seen.as_deref()) {
            return Ok(false);
        }
        // What the watch does not show may be there all the same: somebody else's, or ours and made a moment ago.
        let live = match seen {
            Some(live) => Some((*live).clone()),
            None => self.read(*kind, name).await?,
        };
        if let Some(live) = &live {
            self.check_owner(live)?;
            if known.is_current(desired, Some(live)) {
                return Ok(false);
            }
        }
        let parameters = PatchParams::apply(OPERATOR).force();
        let after = self
            .api(*kind)
            .patch(name, &parameters, &Patch::Apply(body))
            .await
            .map_err(refused("apply", *kind, name))?;
        let after = LiveObject::new(*kind, &after.metadata);
        known.remember(desired, live.as_ref(), &after);
        Ok(true)
    }

    /// Deletes an object of the pipeline's, if it is still the one that was seen. One that is gone is fine.
    pub(crate) async fn delete(
        &self,
        live: &LiveObject,
        known: &mut AppliedObjects,
    ) -> Result<(), ApplyError> {
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(live.uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        known.forget(live.kind, &live.name);
        match self.api(live.kind).delete(&live.name, &parameters).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(refused("delete", live.kind, &live.name)(error)),
        }
    }

    async fn read(&self, kind: Kind, name: &str) -> Result<Option<LiveObject>, ApplyError> {
        let found: Option<PartialObjectMeta<DynamicObject>> = self
            .api(kind)
            .get_metadata_opt(name)
            .await
            .map_err(refused("look at", kind, name))?;
        Ok(found.map(|found| LiveObject::new(kind, &found.metadata)))
    }

    fn check_owner(&self, live: &LiveObject) -> Result<(), ApplyError> {
        match live.other_owner(self.uid) {
            None => Ok(()),
            Some(owner) => Err(ApplyError::NameConflict {
                kind: live.kind,
                name: live.name.clone(),
                owner,
            }),
        }
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), self.namespace, &kind.resource())
    }
}

fn refused(action: &'static str, kind: Kind, name: &str) -> impl FnOnce(kube::Error) -> ApplyError {
    let name = name.to_owned();
    move |source| ApplyError::Refused {
        action,
        kind,
        name,
        source: Box::new(source),
    }
}
