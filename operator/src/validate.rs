//! From the resource as it was typed, and what it refers to, to what can be built. No I/O.

use std::collections::BTreeMap;

use api::{Pipeline, Problem, Problems, SecretPurpose, SecretUse, StreamPipeline};
use serde_json::{Map, Value};

use crate::names::Role;
use crate::secrets::{SecretContent, SecretContents};

/// A pipeline that can be built: only [`validate`] makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Valid {
    /// The checked manifest.
    pub pipeline: Pipeline,
    pub namespace: String,
    pub uid: String,
    /// The manifest's `spec` as it was typed.
    pub(crate) spec: Map<String, Value>,
    /// Hashes of the secrets that it names.
    secrets: BTreeMap<String, String>,
}

/// Why a pipeline cannot be built as it is. Whatever runs of it goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    /// It does not even have the shape of one.
    #[error("{0}; correct the manifest, or upgrade the operator if the manifest is for a later release")]
    Unreadable(String),
    /// It contradicts itself.
    #[error("{0}")]
    Manifest(Problems),
    /// It is right, but not for a cluster.
    #[error("{0}")]
    NotForClusters(Problem),
    /// Another pipeline commits to the same Kafka under the same name.
    #[error(
        "metadata.name: the pipeline {namespace}/{name} reads the same Kafka under this name; rename this one, since \
         both would share consumer groups"
    )]
    NameInUse { namespace: String, name: String },
    /// It names a secret that is not there.
    #[error("{path}: there is no secret {name}; create it in this namespace with {keys}")]
    SecretMissing {
        path: &'static str,
        name: String,
        /// The keys that it has to have.
        keys: String,
    },
    /// It names a secret that has too little in it.
    #[error("{path}: the secret {name} has no key {key}; add it")]
    SecretKeyMissing {
        path: &'static str,
        name: String,
        key: &'static str,
    },
}

impl ValidationError {
    /// The reason in the pipeline's conditions.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable(_) | Self::Manifest(_) | Self::NotForClusters(_) => "InvalidManifest",
            Self::NameInUse { .. } => "NameInUse",
            Self::SecretMissing { .. } => "SecretMissing",
            Self::SecretKeyMissing { .. } => "SecretKeyMissing",
        }
    }
}

/// Checks the manifest.
pub fn manifest(resource: &StreamPipeline) -> Result<Pipeline, ValidationError> {
    let pipeline = api::validate(resource).map_err(ValidationError::Manifest)?;
    let usable = pipeline.sink.runs_in_cluster();
    usable.map(|()| pipeline).map_err(ValidationError::NotForClusters)
}

/// Whether `other` had the name first: consumer groups are named after pipelines, and Kafka knows no namespaces.
pub(crate) fn is_rival(resource: &StreamPipeline, other: &StreamPipeline) -> bool {
    let brokers = |resource: &StreamPipeline| -> Vec<String> {
        let servers = resource.spec.kafka.bootstrap_servers.split(',');
        servers.map(|server| server.trim().to_owned()).collect()
    };
    let age = |resource: &StreamPipeline| {
        let metadata = &resource.metadata;
        (metadata.creation_timestamp.clone(), metadata.namespace.clone())
    };
    resource.metadata.name == other.metadata.name
        && resource.metadata.namespace != other.metadata.namespace
        && age(other) < age(resource)
        && brokers(resource)
            .iter()
            .any(|broker| brokers(other).contains(broker))
}

/// Puts manifest and secrets together.
pub fn validate(
    resource: &StreamPipeline,
    pipeline: Pipeline,
    secrets: &SecretContents,
) -> Result<Valid, ValidationError> {
    let mut hashes = BTreeMap::new();
    for needed in pipeline.secrets() {
        let SecretUse { path, keys, .. } = needed;
        let name = needed.secret.name;
        let Some(SecretContent { data, hash }) = secrets.get(&name).map(AsRef::as_ref) else {
            let keys = keys.join(" and ");
            let noun = if keys.contains(" and ") {
                "the keys"
            } else {
                "the key"
            };
            return Err(ValidationError::SecretMissing {
                path,
                name,
                keys: format!("{noun} {keys}"),
            });
        };
        if let Some(key) = keys.iter().find(|key| !data.contains_key(**key)) {
            return Err(ValidationError::SecretKeyMissing { path, name, key });
        }
        hashes.insert(name, hash.clone());
    }
    let spec = match serde_json::to_value(&resource.spec) {
        Ok(Value::Object(spec)) => spec,
        _ => Map::new(),
    };
    Ok(Valid {
        namespace: pipeline.namespace.clone().unwrap_or_default(),
        uid: resource.metadata.uid.clone().unwrap_or_default(),
        pipeline,
        spec,
        secrets: hashes,
    })
}

impl Valid {
    /// Names and hashes of the secrets that pods of `role` get, sorted.
    pub(crate) fn secrets_of(&self, role: Role) -> impl Iterator<Item = (&str, &str)> {
        let uses = self.pipeline.secrets().into_iter();
        let wanted: Vec<String> = uses
            .filter(|needed| match role {
                Role::Prepare | Role::Model => needed.purpose == SecretPurpose::Sink,
                Role::Worker => true,
                Role::Generator => needed.purpose == SecretPurpose::Kafka,
            })
            .map(|needed| needed.secret.name)
            .collect();
        self.secrets
            .iter()
            .filter(move |(name, _)| wanted.contains(name))
            .map(|(name, hash)| (name.as_str(), hash.as_str()))
    }
}
