//! What can go wrong with a server of a test, told so that the reader of a failed test need look no further.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// Why a guard could not do what it was asked.
///
/// Tests unwrap it, and `unwrap` prints `Debug`: it is therefore the plain text of the whole chain of causes.
#[derive(thiserror::Error)]
pub enum Error {
    /// A program that the test bed needs is not installed.
    #[error("the tests need `{program}`, which was not found: {remedy}")]
    Missing {
        /// The program as it was looked for.
        program: String,
        /// How it is had.
        remedy: &'static str,
    },
    /// A program is there, but too old.
    #[error("the tests need version {needed} of `{program}` or newer, and found {found}: {remedy}")]
    TooOld {
        /// The program as it was run.
        program: String,
        /// The major version that was found.
        found: u32,
        /// The major version that is needed.
        needed: u32,
        /// How a newer one is had.
        remedy: &'static str,
    },
    /// A program that was run to its end failed.
    #[error("{what}: {status}\n{output}")]
    Failed {
        /// What it was run for.
        what: String,
        status: ExitStatus,
        output: String,
    },
    /// A process ended while something was expected of it.
    #[error("{process} ended ({status}) before {expected}\n{output}")]
    Ended {
        process: String,
        status: ExitStatus,
        /// What was expected of it.
        expected: String,
        /// The tail of its output.
        output: String,
    },
    /// A process did not do in time what was expected of it.
    #[error("{process}: not within {timeout:?}: {expected}\n{output}")]
    TooLate {
        process: String,
        /// How long was waited.
        timeout: Duration,
        /// What was expected of it.
        expected: String,
        /// The tail of its output.
        output: String,
    },
    /// A condition that was awaited did not come.
    #[error("not within {timeout:?} ({tries} tries): {last}")]
    Never {
        /// How long was waited.
        timeout: Duration,
        /// How often the condition was looked at.
        tries: u32,
        /// What the last look gave.
        last: String,
    },
    /// A guard was asked for something that it does not have: a stopped broker, a proxy that was not built.
    #[error("{0}")]
    Misuse(String),
    /// An account to run `PostgreSQL` as is missing: it refuses to run as root.
    #[error("PostgreSQL does not run as root, and neither user `postgres` nor `nobody` is in /etc/passwd")]
    NoUser,
    /// Nodes of a test cluster need root.
    #[error(
        "nodes of a test cluster need root, for network namespaces and cgroups of their own: run `make test-node` \
         as root, or set STREAMPIPELINE_TESTBED_KUBECONFIG to use another cluster"
    )]
    NotRoot,
    /// A cluster did not do what it was asked.
    #[error("the cluster was asked to {request}: {answer}")]
    Refused {
        /// The verb and its object.
        request: String,
        answer: String,
    },
    /// A certificate could not be made.
    #[error("making test certificates")]
    Certificate(#[from] rcgen::Error),
    /// `PostgreSQL` refused a statement of the guard itself.
    #[error("{what}")]
    Sql {
        /// What the statement was for.
        what: String,
        /// `PostgreSQL`'s answer.
        #[source]
        source: sqlx::Error,
    },
    /// A file, a socket or a signal.
    #[error("{what}")]
    Io {
        /// What was tried, with its path or address.
        what: String,
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: an I/O error with what was tried on which path.
    pub(crate) fn io(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let what = format!("{what} {}", path.display());
        move |source| Self::Io { what, source }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Creates `path` with all its parents.
pub(crate) fn create_dir(path: PathBuf) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(&path).map_err(Error::io("creating", &path))?;
    Ok(path)
}

/// Writes a whole file.
pub(crate) fn write_file(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    std::fs::write(path, content).map_err(Error::io("writing", path))
}
