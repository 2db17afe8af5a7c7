//! Directories that are gone after the test, whatever becomes of it.

use std::path::Path;

use tempfile::TempDir;

use crate::error::Error;
use crate::watcher::Watcher;

/// A directory for a server's files, removed on drop, and by a watcher if the test process is killed.
///
/// In a guard it is declared after the processes that write into it: fields are dropped in their order.
#[derive(Debug)]
pub(crate) struct Scratch {
    // Dropped before the directory: the watcher must not remove what another test may have created since.
    _watcher: Watcher,
    directory: TempDir,
}

impl Scratch {
    /// A new directory `streampipeline-<name>-…` in the system's place for temporary files (`TMPDIR`).
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        let directory = temporary(name)?;
        Ok(Self {
            _watcher: Watcher::of_directory(directory.path())?,
            directory,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// A directory without a watcher of its own.
pub(crate) fn temporary(name: &str) -> Result<TempDir, Error> {
    let prefix = format!("streampipeline-{name}-");
    tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir()
        .map_err(Error::io(
            "creating a temporary directory in",
            &std::env::temp_dir(),
        ))
}
