//! `spec.deletionPolicy`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of a pipeline's topics and offsets when it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay.
    Retain,
    /// They go.
    Delete,
}
