//! The names by which pipelines, pods and objects are known to each other, and to older and newer operators: what is
//! here cannot change without losing what runs.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The label value by which the operator finds its objects, and its name as a field manager.
pub const OPERATOR: &str = "streampipeline-operator";
/// Selects what the operator made.
pub(crate) const MANAGED: &str = "app.kubernetes.io/managed-by=streampipeline-operator";
/// Annotation of pod templates: another value means other pods.
pub(crate) const CONFIG_HASH: &str = "streampipeline.dev/config-hash";
/// Annotation of the generator's Deployment: the configuration that has produced all that it was to produce.
pub(crate) const COMPLETE: &str = "streampipeline.dev/complete";
/// Keeps a pipeline with `deletionPolicy: Delete` until Kafka is cleaned up.
pub(crate) const FINALIZER: &str = "streampipeline.dev/kafka";
pub(crate) const API_VERSION: &str = "streampipeline.dev/v1alpha1";
pub(crate) const KIND: &str = "StreamPipeline";

/// A pipeline: its namespace and name.
pub(crate) type PipelineKey = (String, String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Creates tables and loads references, then ends.
    Prepare,
    /// Reads topics and writes tables.
    Worker,
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
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Worker => "worker",
            Self::Generator => "generator",
            Self::Model => "model",
        }
    }
}

/// `<pipeline>-<role>`.
pub(crate) fn role_name(pipeline: &str, role: Role) -> String {
    format!("{pipeline}-{}", role.as_str())
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
pub(crate) fn selector_text(pipeline: &str, role: Option<Role>) -> String {
    let pairs: Vec<String> = selecting(pipeline, role)
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
