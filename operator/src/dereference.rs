//! What a pipeline refers to, fetched. The only place where a reconcile reads what is not in a watch's store.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::Pipeline;
use k8s_openapi::api::core::v1::{Pod, Secret as KubernetesSecret};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use sha2::{Digest, Sha256};

use crate::build::{Role, selector_text, short_hash};
use crate::index::Index;

/// The secrets of a pipeline that are there, by name.
pub type Secrets = BTreeMap<String, Arc<Secret>>;

/// A secret's content. `Debug` shows no value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Values by key; one that is not text is left out, since no program could use it.
    pub data: BTreeMap<String, String>,
    /// Hash of the content.
    pub hash: String,
}

/// What could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum DereferenceError {
    /// A secret.
    #[error("cannot read the secret {name}")]
    Secret {
        /// Its name.
        name: String,
        /// What the API server said.
        #[source]
        source: kube::Error,
    },
    /// Pods.
    #[error("cannot list the pods of the {role}")]
    Pods {
        /// Whose.
        role: &'static str,
        /// What the API server said.
        #[source]
        source: kube::Error,
    },
}

impl Secret {
    /// The content of a secret of the cluster.
    #[must_use]
    pub fn new(secret: &KubernetesSecret) -> Self {
        let mut hasher = Sha256::new();
        let mut data = BTreeMap::new();
        for (key, value) in secret.data.iter().flatten() {
            hasher.update((key.len() as u64).to_le_bytes());
            hasher.update(key);
            hasher.update((value.0.len() as u64).to_le_bytes());
            hasher.update(&value.0);
            if let Ok(text) = String::from_utf8(value.0.clone()) {
                data.insert(key.clone(), text);
            }
        }
        let hash = short_hash(hasher);
        Self { data, hash }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("keys", &self.data.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Secrets that were read, each with the version that it had.
#[derive(Default)]
pub struct SecretCache(Mutex<Known>);

/// By namespace and name.
type Known = BTreeMap<(String, String), (String, Arc<Secret>)>;

impl SecretCache {
    /// The secrets that `pipeline` names and that are there. One is read again when the watch has seen another version.
    pub async fn fetch(
        &self,
        client: &Client,
        index: &Index,
        pipeline: &Pipeline,
        namespace: &str,
    ) -> Result<Secrets, DereferenceError> {
        let mut secrets = Secrets::new();
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
    ) -> Result<Option<Arc<Secret>>, DereferenceError> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some((known, secret)) = self.lock().get(&key)
            && known == version
        {
            return Ok(Some(Arc::clone(secret)));
        }
        let secrets: Api<KubernetesSecret> = Api::namespaced(client.clone(), namespace);
        let found = secrets
            .get_opt(name)
            .await
            .map_err(|source| DereferenceError::Secret {
                name: name.to_owned(),
                source,
            })?;
        Ok(found.map(|found| {
            let secret = Arc::new(Secret::new(&found));
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

/// What is wrong with pods, in one line, and whether all of them have done what they were to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodsSeen {
    /// What the first pod that does not work says.
    pub trouble: Option<String>,
    /// The exit code of the last program that failed.
    pub exit_code: Option<i32>,
    /// Pods whose program ended with exit code 0, by the configuration that they had.
    pub completed: BTreeMap<String, u32>,
}

/// Looks at the pods of a role. Only asked when they are not as they should be.
pub async fn pods(
    client: &Client,
    namespace: &str,
    pipeline: &str,
    role: Role,
) -> Result<PodsSeen, DereferenceError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default()
        .labels(&selector_text(pipeline, role))
        .limit(100);
    let pods = api.list(&params).await.map_err(|source| DereferenceError::Pods {
        role: role.as_str(),
        source,
    })?;
    Ok(crate::pods::look(&pods.items))
}
