//! The release programs of a revision, and how they are run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::error::{BenchError, io};

/// The release programs of one revision, in one folder.
#[derive(Debug)]
pub(crate) struct Programs {
    /// As tables name it.
    pub(crate) revision: String,
    folder: PathBuf,
}

impl Programs {
    /// Those of this tree: they are next to this program.
    pub(crate) fn of_this_tree() -> Result<Self, BenchError> {
        let own = std::env::current_exe().map_err(io("finding the programs"))?;
        Ok(Self {
            revision: "this tree".to_owned(),
            folder: own.parent().unwrap_or(Path::new(".")).to_owned(),
        })
    }

    /// Those in `folder`, whose name is the revision's.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self, BenchError> {
        let folder = folder.canonicalize().map_err(io(&folder.display().to_string()))?;
        let revision = folder.file_name().unwrap_or(folder.as_os_str());
        Ok(Self {
            revision: revision.to_string_lossy().into_owned(),
            folder,
        })
    }

    /// A program without arguments.
    pub(crate) fn command(&self, name: &str) -> Command {
        Command::new(self.folder.join(name))
    }
}

/// Runs a program to its end.
pub(crate) fn output_of(command: &mut Command) -> Result<Output, BenchError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(io(&program))?;
    if output.status.success() {
        return Ok(output);
    }
    let output = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(BenchError::Program { program, output })
}
