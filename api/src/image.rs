//! `spec.image` and `spec.imagePullPolicy`: what the pipeline's pods run.

use kube::core::Rule;
use serde::{Deserialize, Serialize};

use crate::problem::Collector;
use crate::rule::RuleText;

const IMAGE: RuleText = RuleText {
    problem: "this is not the name of an image",
    remedy: "write registry/repository:tag or registry/repository@sha256:digest, without blanks",
};

/// When a node fetches an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum PullPolicy {
    /// Each time that a pod starts.
    Always,
    /// If the node does not have it.
    IfNotPresent,
    /// Not at all: the node has to have it.
    Never,
}

impl PullPolicy {
    /// The name that Kubernetes gives it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

pub(crate) fn image_rule() -> Rule {
    Rule::new("self.matches('^[A-Za-z0-9]([A-Za-z0-9._/:@-]*[A-Za-z0-9])?$')").message(IMAGE)
}

pub(crate) fn image(image: Option<&String>, problems: &mut Collector) -> Option<String> {
    let image = image?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | ':' | '@' | '-');
    let ends = |c: char| c.is_ascii_alphanumeric();
    if !image.starts_with(ends) || !image.ends_with(ends) || !image.chars().all(legal) {
        problems.broken("spec.image", IMAGE);
    }
    Some(image.clone())
}
