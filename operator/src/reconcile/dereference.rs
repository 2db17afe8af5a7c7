//! What a pipeline refers to, fetched. The only place where a reconcile reads what is not in a watch's store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::Pipeline;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::names::{Role, selector_text};
use crate::pods::PodSummary;
use crate::secrets::{SecretContent, SecretContents};
use crate::watch::index::Index;

/// What could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DereferenceError {
    #[error("cannot read the secret {name}")]
    Secret {
        name: String,
        #[source]
        source: kube::Error,
    },
    /// `role` is a role's name, or `pipeline` for the pods of all roles.
    #[error("cannot list the pods of the {role}")]
    Pods {
        role: &'static str,
        #[source]
        source: kube::Error,
    },
}

/// Secrets that were read, each with the version that it had.
#[derive(Default)]
pub(crate) struct SecretCache(Mutex<Known>);

/// By namespace and name.
type Known = BTreeMap<(String, String), (String, Arc<SecretContent>)>;

impl SecretCache {
    /// The secrets that `pipeline` names and that are there. One is read again when the watch has seen another version.
    pub(crate) async fn fetch(
        &self,
        client: &Client,
        index: &Index,
        pipeline: &Pipeline,
        namespace: &str,
    ) -> Result<SecretContents, DereferenceError> {
        let mut secrets = SecretContents::new();
        for needed in pipeline.secrets() {
            let name = needed.secret.name;
            if secrets.contains_key(&name) {
                continue;
            }
            let Some(version) = index.secret_version(namespace, &name) else {
                continue;
            };
            if let Some(secret) = self.get(client, namespace, &name, &version).await? {
                secrets.insert(name, secret);
            }
        }
        Ok(secrets)
    }

    async fn get(
        &self,
        client: &Client,
        namespace: &str,
        name: &str,
        version: &str,
    ) -> Result<Option<Arc<SecretContent>>, DereferenceError> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some((known, secret)) = self.lock().get(&key)
            && known == version
        {
            return Ok(Some(Arc::clone(secret)));
        }
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let found = secrets
            .get_opt(name)
            .await
            .map_err(|source| DereferenceError::Secret {
                name: name.to_owned(),
                source,
            })?;
        Ok(found.map(|found| {
            let secret = Arc::new(SecretContent::new(&found));
            let version = found.resource_version().unwrap_or_default();
            self.lock().insert(key, (version, Arc::clone(&secret)));
            secret
        }))
    }

    /// Forgets the secrets of namespaces without pipelines.
    pub(crate) fn retain(&self, has_pipelines: impl Fn(&str) -> bool) {
        self.lock().retain(|(namespace, _), _| has_pipelines(namespace));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the pods of a role. Only asked when they are not as they should be.
pub(crate) async fn pods(
    client: &Client,
    namespace: &str,
    pipeline: &str,
    role: Role,
) -> Result<PodSummary, DereferenceError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default()
        .labels(&selector_text(pipeline, Some(role)))
        .limit(100);
    let pods = api.list(&params).await.map_err(|source| DereferenceError::Pods {
        role: role.as_str(),
        source,
    })?;
    Ok(crate::pods::summarize(&pods.items))
}
