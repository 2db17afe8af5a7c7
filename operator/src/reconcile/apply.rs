//! Server-side apply of objects, only where something differs, and never of what belongs to somebody else.

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Api, Client};

use super::memory::Memory;
use crate::kind::Kind;
use crate::objects::{Desired, OPERATOR};
use crate::watch::index::{Index, Live};

/// Why an object is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Another's object has the name.
    #[error("{kind} {name} is there and belongs to {owner}")]
    NameConflict {
        /// Its kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Whose it is.
        owner: String,
    },
    /// The pipeline itself cannot be looked at.
    #[error("cannot look at the pipeline {name}")]
    Look {
        /// Its name.
        name: String,
        /// What the API server said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server refused.
    #[error("cannot {action} {kind} {name}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// The object's kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// What the API server said.
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

/// Applies to one pipeline's namespace.
pub struct Applier<'a> {
    /// The API server.
    pub client: &'a Client,
    /// What is there.
    pub index: &'a Index,
    /// The pipeline's namespace.
    pub namespace: &'a str,
    /// The pipeline's uid.
    pub uid: &'a str,
}

impl Applier<'_> {
    /// Makes the cluster have `desired`. Gives whether anything was written.
    pub async fn apply(&self, desired: &Desired, memory: &mut Memory) -> Result<bool, ApplyError> {
        let Desired { kind, name, body, .. } = desired;
        let seen = self.index.get(*kind, self.namespace, name);
        if memory.is_current(desired, seen.as_deref()) {
            return Ok(false);
        }
        // What the watch does not show may be there all the same: somebody else's, or ours and made a moment ago.
        let live = match seen {
            Some(live) => Some((*live).clone()),
            None => self.look(*kind, name).await?,
        };
        if let Some(live) = &live {
            self.check_owner(live)?;
            if memory.is_current(desired, Some(live)) {
                return Ok(false);
            }
        }
        let parameters = PatchParams::apply(OPERATOR).force();
        let after = self
            .api(*kind)
            .patch(name, &parameters, &Patch::Apply(body))
            .await
            .map_err(refused("apply", *kind, name))?;
        let after = Live::new(*kind, &after.metadata);
        memory.applied(desired, live.as_ref(), &after);
        Ok(true)
    }

    /// Deletes an object of the pipeline's, if it is still the one that was seen. One that is gone is fine.
    pub async fn delete(&self, live: &Live, memory: &mut Memory) -> Result<(), ApplyError> {
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(live.uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        memory.forget(live.kind, &live.name);
        match self.api(live.kind).delete(&live.name, &parameters).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(refused("delete", live.kind, &live.name)(error)),
        }
    }

    async fn look(&self, kind: Kind, name: &str) -> Result<Option<Live>, ApplyError> {
        let found: Option<PartialObjectMeta<DynamicObject>> = self
            .api(kind)
            .get_metadata_opt(name)
            .await
            .map_err(refused("look at", kind, name))?;
        Ok(found.map(|found| Live::new(kind, &found.metadata)))
    }

    fn check_owner(&self, live: &Live) -> Result<(), ApplyError> {
        match owner_of_another(live, self.uid) {
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

/// Whose an object is that the pipeline with `uid` does not own.
pub(crate) fn owner_of_another(live: &Live, uid: &str) -> Option<String> {
    if live.is_owned_by(uid) {
        return None;
    }
    Some(match &live.owner {
        Some((name, _)) => format!("the pipeline {name}, or to an earlier one of that name"),
        None => "somebody else".to_owned(),
    })
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
