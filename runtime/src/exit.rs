//! How a program ends.

use std::process::ExitCode;

/// The exit codes of all programs of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, or stopped on request.
    Success,
    /// 1: something failed that may work another time.
    Failure,
    /// 2: wrong arguments or a wrong manifest; it fails again until somebody changes them.
    Usage,
    /// 3: an audit found records lost or doubled.
    AuditFailed,
    /// 130: ended at once by a second signal.
    Interrupted,
}

impl Exit {
    /// The number that the parent process sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::AuditFailed => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
