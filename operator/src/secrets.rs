//! What is in the secrets that pipelines name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use sha2::{Digest, Sha256};

use crate::hash;

/// The secrets of a pipeline that are there, by name.
pub type SecretContents = BTreeMap<String, Arc<SecretContent>>;

/// A secret's content. `Debug` shows no value.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretContent {
    /// Values by key; one that is not text is left out, since no program could use it.
    pub data: BTreeMap<String, String>,
    /// Another one means that pods which mount the secret start anew.
    pub hash: String,
}

impl SecretContent {
    /// The content of a secret of the cluster.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
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
        let hash = hash::short(hasher);
        Self { data, hash }
    }
}

impl fmt::Debug for SecretContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretContent")
            .field("keys", &self.data.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
