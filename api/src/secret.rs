//! Secrets that a manifest names, and what a pipeline needs of them.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::problem::Collector;
use crate::rule::RuleText;

const SECRET_NAME: RuleText = RuleText {
    problem: "this is not the name of a secret",
    remedy: "use lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
};

/// A secret in the pipeline's namespace. Without a cluster its keys are files `NAME/KEY` below the directory that
/// `--secrets` names, or environment variables.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRefSpec {
    /// The secret's name. Example: `music-postgres`.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')").message(SECRET_NAME))]
    pub name: String,
}

/// A secret by name. Its keys are files `<name>/<key>` below the secrets directory, or environment variables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretRef {
    /// The secret's name.
    pub name: String,
}

/// A secret that a pipeline needs. One secret may be there for several things, each a use of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUse {
    /// Where the manifest names it: `spec.sink.postgres.secretRef`.
    pub path: &'static str,
    /// Which one.
    pub secret: SecretRef,
    /// The keys that it has to have.
    pub keys: &'static [&'static str],
    /// Whom it lets in.
    pub purpose: SecretPurpose,
}

/// What a secret is for, and so which programs need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretPurpose {
    /// Access to Kafka.
    Kafka,
    /// Access to the sink.
    Sink,
}

/// What a user name and a password are called in secrets.
pub(crate) const LOGIN: &[&str] = &["username", "password"];

pub(crate) fn secret(reference: &SecretRefSpec, path: &str, problems: &mut Collector) -> SecretRef {
    let name = &reference.name;
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !name.starts_with(alphanumeric)
        || !name.ends_with(alphanumeric)
        || !name.chars().all(|c| alphanumeric(c) || c == '-' || c == '.')
    {
        problems.broken(format!("{path}.name"), SECRET_NAME);
    }
    SecretRef { name: name.clone() }
}
