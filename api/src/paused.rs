//! `spec.paused`: what stands still. Without a cluster only `paused.generator` is looked at.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What stands still.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PausedSpec {
    /// `true`: nothing is generated; afterwards the generator goes on where it stopped. Default `false`.
    #[serde(default)]
    pub generator: bool,
    /// `true`: nothing is stored, models do not run, and the topics fill; afterwards the workers go on where they
    /// stopped, as long as the topics still have the records. Without a cluster it is ignored. Default `false`.
    #[serde(default)]
    pub workers: bool,
}

/// What stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paused {
    /// Nothing is generated; [`crate::Generator::paused`] says the same.
    pub generator: bool,
    /// Nothing is stored.
    pub workers: bool,
}

/// A generator can be paused at two places of a manifest.
pub(crate) fn paused(spec: Option<&PausedSpec>, generator: bool) -> Paused {
    let spec = spec.cloned().unwrap_or_default();
    Paused {
        generator: spec.generator || generator,
        workers: spec.workers,
    }
}
