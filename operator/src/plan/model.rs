//! What a plan says, and why there may be none.

use kube::core::Status;
use serde_json::Value;

use super::difference::{Difference, between};
use crate::objects::BuildError;
use crate::validate::ValidationError;

/// What the operator would do about one manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub name: String,
    pub namespace: String,
    /// Whether it is there already.
    pub exists: bool,
    /// Namespace and name of the operator that looks after it, if one was found.
    pub operator: Option<String>,
    /// Topics, in the order of the manifest.
    pub topics: Vec<PlannedTopic>,
    /// The pipeline itself, its objects in the order in which they are applied, and what would be deleted.
    pub objects: Vec<Planned>,
    /// What is in the way of it, a line each.
    pub problems: Vec<String>,
    /// What could not be taken into account, a line each.
    pub notes: Vec<String>,
}

/// A topic, which is Kafka's to have: what is known of it is what the operator has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTopic {
    pub name: String,
    /// How many it is to have at least.
    pub partitions: i32,
    /// How many the operator has seen last.
    pub seen: Option<i32>,
}

/// What would become of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub kind: &'static str,
    pub name: String,
    /// Compared with what is there.
    pub change: Change,
    /// What the operator would apply; `None` of what it does not.
    pub body: Option<Value>,
}

/// What would become of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It is not there and would be.
    Created,
    Changed(Vec<Difference>),
    /// It is as it would be.
    Unchanged,
    Deleted,
    /// Nobody knows: the API server has refused to look at it or to try it, in these words.
    Refused(String),
    /// It is somebody else's, and the operator would leave it alone.
    Foreign(String),
}

impl Change {
    /// Of an object that is there.
    pub(super) fn of(old: &Value, new: &Value) -> Self {
        match between(old, new) {
            differences if differences.is_empty() => Self::Unchanged,
            differences => Self::Changed(differences),
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum ClusterPlanError {
    /// The operator would refuse the manifest.
    #[error("{0}")]
    Invalid(#[from] ValidationError),
    /// The API server would refuse the manifest.
    #[error("the API server refuses the manifest: {0}")]
    Rejected(String),
    /// It has no place.
    #[error("there is no namespace {0}; create it with kubectl create namespace {0}, or name another")]
    NoNamespace(String),
    /// The API server does not let us look.
    #[error("{0}")]
    Forbidden(String),
    /// The API server does not answer as it should.
    #[error("cannot look at {what}")]
    Ask {
        what: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl ClusterPlanError {
    /// Whether another manifest would do.
    #[must_use]
    pub fn is_about_the_manifest(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::Rejected(_))
    }

    pub(super) fn asking(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |error| match error {
            kube::Error::Api(status) if status.code == 403 => Self::Forbidden(sentence(&status)),
            source => Self::Ask {
                what,
                source: Box::new(source),
            },
        }
    }
}

/// What an API server says, on one line.
pub(super) fn sentence(status: &Status) -> String {
    status.message.split_whitespace().collect::<Vec<_>>().join(" ")
}
