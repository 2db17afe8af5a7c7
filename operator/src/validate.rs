//! From the resource as it was typed, and what it refers to, to what can be built. No I/O.

use std::collections::BTreeMap;

use api::{Pipeline, Problems, SecretRef, Sink, StreamPipeline};
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
    #[error("{path}: {problem}; {remedy}")]
    NotForClusters {
        path: &'static str,
        problem: &'static str,
        remedy: &'static str,
    },
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
            Self::Unreadable(_) | Self::Manifest(_) | Self::NotForClusters { .. } => "InvalidManifest",
            Self::NameInUse { .. } => "NameInUse",
            Self::SecretMissing { .. } => "SecretMissing",
            Self::SecretKeyMissing { .. } => "SecretKeyMissing",
        }
    }
}

/// A secret that a pipeline names, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretUse {
    pub(crate) path: &'static str,
    pub(crate) name: String,
    pub(crate) keys: &'static [&'static str],
    pub(crate) kafka: bool,
}

pub fn manifest(resource: &StreamPipeline) -> Result<Pipeline, ValidationError> {
    let pipeline = api::validate(resource).map_err(ValidationError::Manifest)?;
    if matches!(pipeline.sink, Sink::Sqlite(_)) {
        return Err(ValidationError::NotForClusters {
            path: "spec.sink.sqlite",
            problem: "a SQLite file is on one machine, and pods are on many",
            remedy: "use postgres, or run the pipeline by `streampipeline up`",
        });
    }
    Ok(pipeline)
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

/// What a user name and a password are called in secrets.
const LOGIN: &[&str] = &["username", "password"];

/// The secrets that a pipeline names; one may be there for several things.
pub(crate) fn secret_uses(pipeline: &Pipeline) -> Vec<SecretUse> {
    let mut uses = Vec::new();
    let mut add = |path, secret: &SecretRef, keys, kafka| {
        uses.push(SecretUse {
            path,
            name: secret.name.clone(),
            keys,
            kafka,
        });
    };
    let security = &pipeline.kafka.security;
    if let Some(sasl) = &security.sasl {
        add("spec.kafka.security.sasl.secretRef", &sasl.secret, LOGIN, true);
    }
    if let Some(ca) = &security.ca {
        add("spec.kafka.security.tls.caSecretRef", ca, &["ca.crt"], true);
    }
    if let Some(certificate) = &security.certificate {
        let keys = &["tls.crt", "tls.key"];
        add(
            "spec.kafka.security.tls.certificateSecretRef",
            certificate,
            keys,
            true,
        );
    }
    if let Sink::Postgres(sink) = &pipeline.sink {
        add("spec.sink.postgres.secretRef", &sink.secret, LOGIN, false);
    }
    uses
}

/// Puts manifest and secrets together.
pub fn validate(
    resource: &StreamPipeline,
    pipeline: Pipeline,
    secrets: &SecretContents,
) -> Result<Valid, ValidationError> {
    let mut hashes = BTreeMap::new();
    for SecretUse { path, name, keys, .. } in secret_uses(&pipeline) {
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
        let wanted: Vec<String> = secret_uses(&self.pipeline)
            .into_iter()
            .filter(|secret| match role {
                Role::Prepare | Role::Model => !secret.kafka,
                Role::Worker => true,
                Role::Generator => secret.kafka,
            })
            .map(|secret| secret.name)
            .collect();
        self.secrets
            .iter()
            .filter(move |(name, _)| wanted.contains(name))
            .map(|(name, hash)| (name.as_str(), hash.as_str()))
    }
}
