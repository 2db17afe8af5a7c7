//! What others ask of a sink without knowing its kind.

use std::path::Path;

use crate::problem::Problem;
use crate::secret::SecretUse;

/// The questions that each kind of sink answers; [`super::Sink`] has them for everybody.
pub(crate) trait Questions {
    /// Where it is: `PostgreSQL db:5432/music`.
    fn place(&self) -> String;

    /// All that the manifest says of it.
    fn describe(&self) -> String;

    /// The secrets that are needed to write to it.
    fn secrets(&self) -> Vec<SecretUse> {
        Vec::new()
    }

    /// What a pod has to reach.
    fn endpoints(&self) -> Vec<Endpoint> {
        Vec::new()
    }

    /// What is in the way of using it from pods.
    fn runs_in_cluster(&self) -> Result<(), Problem> {
        Ok(())
    }

    /// The file that it is.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// How many batches it takes side by side.
    fn parallel_batches(&self) -> usize;

    /// What it can do besides taking rows.
    fn abilities(&self) -> Abilities;
}

/// Something that a pod has to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address; an IPv6 address may be in brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// What a sink can do besides taking rows of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// It adds up rows that have the same key: `write.merge`.
    pub merge: bool,
    /// It runs queries over its tables and keeps the answer as a table: `models`.
    pub models: bool,
    /// It answers questions: `reports`.
    pub reports: bool,
}

impl Abilities {
    /// Of a database.
    pub(crate) const ALL: Self = Self {
        merge: true,
        models: true,
        reports: true,
    };
}
