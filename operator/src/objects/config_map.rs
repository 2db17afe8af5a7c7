//! The manifest as the programs read it, and the hash of what of it concerns each.
//!
//! Each role has a ConfigMap of its own, since the operator gives a role its new configuration only when it is that
//! role's turn. All of them hold the whole manifest; the hash looks at what the role uses, so that a change elsewhere
//! (another rate, another table) leaves its pods alone.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Map, Value, json};

use super::desired::BuildError;
use super::metadata::metadata;
use crate::hash;
use crate::names::{API_VERSION, KIND, Role};
use crate::validate::Valid;

/// The file's name in the ConfigMap.
pub(crate) const FILE: &str = "pipeline.yaml";

/// What only the operator reads: programs of another version need not know it.
const OPERATORS_OWN: [&str; 6] = [
    "pods",
    "image",
    "imagePullPolicy",
    "paused",
    "deletionPolicy",
    "scaling",
];

pub(crate) fn build(valid: &Valid, role: Role, name: String) -> Result<ConfigMap, BuildError> {
    let manifest = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": { "name": valid.pipeline.name.as_str(), "namespace": valid.namespace },
        "spec": manifest_spec(valid),
    });
    let text = serde_yaml::to_string(&manifest).map_err(|error| BuildError(error.to_string()))?;
    Ok(ConfigMap {
        metadata: metadata(valid, name, Some(role)),
        data: Some(BTreeMap::from([(FILE.to_owned(), text)])),
        ..ConfigMap::default()
    })
}

/// Changes when pods of `role` have to be made anew because of the manifest or of a secret that they use.
pub(crate) fn config_hash(valid: &Valid, role: Role) -> String {
    let secrets: Map<String, Value> = valid
        .secrets_of(role)
        .map(|(name, hash)| (name.to_owned(), Value::String(hash.to_owned())))
        .collect();
    hash::of(&json!({ "manifest": view(valid, role), "secrets": secrets }))
}

fn manifest_spec(valid: &Valid) -> Map<String, Value> {
    let mut spec = valid.spec.clone();
    for member in OPERATORS_OWN {
        spec.remove(member);
    }
    // Pausing is a matter of replicas: a configuration that came and went with it would start everything anew.
    if let Some(Value::Object(generator)) = spec.get_mut("generator") {
        generator.remove("paused");
        generator.remove("replicas");
    }
    spec
}

/// The part of the manifest that a role's program does something with.
fn view(valid: &Valid, role: Role) -> Value {
    let mut spec = manifest_spec(valid);
    let mut without = |members: &[&str]| {
        for member in members {
            spec.remove(*member);
        }
    };
    match role {
        Role::Generator => without(&[
            "tables",
            "references",
            "models",
            "reports",
            "sink",
            "batch",
            "deadLetters",
        ]),
        Role::Worker => without(&["models", "reports"]),
        Role::Prepare | Role::Model => without(&["reports", "batch", "deadLetters", "kafka"]),
    }
    // When they run is a matter of their CronJobs.
    for model in spec
        .get_mut("models")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        model.as_object_mut().and_then(|model| model.remove("schedule"));
    }
    if role != Role::Generator {
        // What is generated matters to others only by the tables that belong to it.
        let uses_generator = valid
            .pipeline
            .references
            .iter()
            .any(|reference| matches!(reference.source, api::ReferenceSource::Generated(_)));
        let generator = spec.remove("generator").filter(|_| uses_generator);
        if let Some(Value::Object(generator)) = generator {
            let kept = generator
                .into_iter()
                .filter(|(member, _)| member == "music" || member == "seed")
                .collect();
            spec.insert("generator".to_owned(), Value::Object(kept));
        }
        for topic in spec
            .get_mut("topics")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            for member in ["partitions", "replicationFactor", "config"] {
                topic.as_object_mut().and_then(|topic| topic.remove(member));
            }
        }
    }
    Value::Object(spec)
}
