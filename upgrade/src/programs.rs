//! The programs of one release, by their command lines.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testbed::Process;

/// A folder that has them.
#[derive(Debug, Clone)]
pub struct Programs(PathBuf);

impl Programs {
    /// The programs in `folder`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(std::path::absolute(folder.into()).unwrap())
    }

    /// A command in `place`, to be changed further or run.
    #[must_use]
    pub fn command(&self, program: &str, place: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.0.join(program));
        command.args(arguments).current_dir(place).stdin(Stdio::null());
        let ours = |name: &OsStr| {
            name.to_str()
                .is_some_and(|name| name.starts_with("STREAMPIPELINE_"))
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command
    }

    /// Runs a program to its end, which has to be a good one, and gives what it printed.
    #[must_use]
    pub fn run(&self, program: &str, place: &Path, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.outcome(program, place, arguments);
        assert_eq!(code, Some(0), "{program} {arguments:?}:\n{stdout}\n{stderr}");
        stdout
    }

    /// Runs a program to its end: exit code, and what it printed.
    #[must_use]
    pub fn outcome(&self, program: &str, place: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.command(program, place, arguments).output();
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", self.0.join(program).display()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// Starts a program that goes on.
    #[must_use]
    pub fn spawn(&self, program: &str, place: &Path, arguments: &[&str]) -> Process {
        Process::from_command(self.command(program, place, arguments)).unwrap()
    }
}
