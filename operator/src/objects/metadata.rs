//! What the metadata of all objects of a pipeline have in common.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::names::{API_VERSION, KIND, Role, labels};
use crate::validate::Valid;

/// Name, namespace, labels and owner of an object of `valid`.
pub(crate) fn metadata(valid: &Valid, name: String, role: Option<Role>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(valid.namespace.clone()),
        labels: Some(labels(valid.pipeline.name.as_str(), role)),
        owner_references: Some(vec![owner(valid)]),
        ..ObjectMeta::default()
    }
}

fn owner(valid: &Valid) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        name: valid.pipeline.name.to_string(),
        uid: valid.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
