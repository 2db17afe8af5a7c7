//! Why a reconcile failed.

use std::time::Duration;

use super::apply::ApplyError;
use super::dereference::DereferenceError;
use super::write::WriteError;
use crate::objects::BuildError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    #[error(transparent)]
    Dereference(#[from] DereferenceError),
    /// A defect.
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Some call was never answered.
    #[error("the reconcile took longer than {0:?}")]
    TimedOut(Duration),
}

impl ReconcileError {
    /// A bounded label for metrics.
    #[must_use]
    pub(crate) fn category(&self) -> &'static str {
        match self {
            Self::Dereference(_) => "Dereference",
            Self::Build(_) => "Build",
            Self::Apply(ApplyError::NameConflict { .. }) => "NameConflict",
            Self::Apply(_) => "Apply",
            Self::Write(_) => "Write",
            Self::TimedOut(_) => "TimedOut",
        }
    }
}
