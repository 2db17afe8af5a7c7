//! `spec.sink.sqlite`: a SQLite file.

use std::path::{Path, PathBuf};

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::questions::{Abilities, Questions};
use crate::problem::Problem;

/// A SQLite file.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqliteSpec {
    /// Path of the file, relative to the manifest's directory; created if it is not there. Example: `music.db`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// A SQLite file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSink {
    /// The file; created if it is not there.
    pub path: PathBuf,
}

pub(super) fn sqlite(spec: &SqliteSpec) -> SqliteSink {
    SqliteSink {
        path: PathBuf::from(&spec.path),
    }
}

impl Questions for SqliteSink {
    fn place(&self) -> String {
        format!("SQLite file {}", self.path.display())
    }

    /// Without its folder, since where a manifest lies is no part of what it says.
    fn describe(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        format!("SQLite {}", name.to_string_lossy())
    }

    fn runs_in_cluster(&self) -> Result<(), Problem> {
        Err(Problem {
            path: "spec.sink.sqlite".to_owned(),
            problem: "a SQLite file is on one machine, and pods are on many".to_owned(),
            remedy: "use postgres, or run the pipeline by `streampipeline up`".to_owned(),
        })
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }

    /// A file has one writer.
    fn parallel_batches(&self) -> usize {
        1
    }

    fn abilities(&self) -> Abilities {
        Abilities::ALL
    }
}
