//! Labels, owner references and names: what all objects of a pipeline have in common.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use crate::validate::Valid;

/// The label value by which the operator finds its objects, and its name as a field manager.
pub const OPERATOR: &str = "streampipeline-operator";
/// Selects what the operator made.
pub const MANAGED: &str = "app.kubernetes.io/managed-by=streampipeline-operator";
/// Annotation of pod templates: another value means other pods.
pub const CONFIG_HASH: &str = "streampipeline.dev/config-hash";
/// Annotation of the generator's Deployment: the configuration that has produced all that it was to produce.
pub const COMPLETE: &str = "streampipeline.dev/complete";

/// What a pod does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Creates tables and loads references, then ends.
    Prepare,
    /// Reads topics and writes tables.
    Worker,
    /// Produces events.
    Generator,
    /// Makes a model's table anew, then ends.
    Model,
}

impl Role {
    /// Whether its pods end by themselves.
    pub(crate) fn ends(self) -> bool {
        matches!(self, Self::Prepare | Self::Model)
    }

    /// The value of `app.kubernetes.io/component`, and the end of objects' names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Worker => "worker",
            Self::Generator => "generator",
            Self::Model => "model",
        }
    }
}

/// `<pipeline>-<role>`.
pub(crate) fn role_name(valid: &Valid, role: Role) -> String {
    format!("{}-{}", valid.pipeline.name, role.as_str())
}

/// Labels that select the pods of a pipeline, or of one role in it. They never change: a Deployment's selector cannot.
pub(crate) fn selecting(pipeline: &str, role: Option<Role>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("app.kubernetes.io/name".to_owned(), "streampipeline".to_owned()),
        ("app.kubernetes.io/instance".to_owned(), pipeline.to_owned()),
    ]);
    if let Some(role) = role {
        labels.insert("app.kubernetes.io/component".to_owned(), role.as_str().to_owned());
    }
    labels
}

/// The selecting labels as a text for `kubectl get pods -l`.
#[must_use]
pub fn selector_text(pipeline: &str, role: Role) -> String {
    let pairs: Vec<String> = selecting(pipeline, Some(role))
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

pub(crate) fn label_selector(pipeline: &str, role: Option<Role>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(selecting(pipeline, role)),
        ..LabelSelector::default()
    }
}

/// All labels of an object.
pub(crate) fn labels(pipeline: &str, role: Option<Role>) -> BTreeMap<String, String> {
    let mut labels = selecting(pipeline, role);
    labels.insert("app.kubernetes.io/managed-by".to_owned(), OPERATOR.to_owned());
    labels.insert("app.kubernetes.io/part-of".to_owned(), pipeline.to_owned());
    labels
}

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
        api_version: "streampipeline.dev/v1alpha1".to_owned(),
        kind: "StreamPipeline".to_owned(),
        name: valid.pipeline.name.to_string(),
        uid: valid.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
