//! The programs of the machine that the test bed stands on, and what to install where one is missing.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::error::Error;

/// A program that has to be installed.
#[derive(Debug)]
pub(crate) struct Tool {
    program: &'static str,
    remedy: &'static str,
}

const JAVA: Tool = Tool {
    program: "java",
    remedy: "install a JDK of version 17 or newer (Debian: apt-get install openjdk-17-jdk-headless; macOS: brew install openjdk@17)",
};
/// Fetches the servers from Maven Central.
pub(crate) const MAVEN: Tool = Tool {
    program: "mvn",
    remedy: "install Apache Maven (Debian: apt-get install maven; macOS: brew install maven)",
};
/// Unpacks `PostgreSQL`.
pub(crate) const TAR: Tool = Tool {
    program: "tar",
    remedy: "install tar (Debian: apt-get install tar)",
};
/// What `tar -J` calls.
pub(crate) const XZ: Tool = Tool {
    program: "xz",
    remedy: "install xz (Debian: apt-get install xz-utils; macOS: brew install xz)",
};
/// Compiles the library that makes a disk look full.
pub(crate) const CC: Tool = Tool {
    program: "cc",
    remedy: "install a C compiler (Debian: apt-get install gcc libc6-dev; macOS: xcode-select --install)",
};
/// Removes the shared memory of a killed `PostgreSQL`.
pub(crate) const IPCRM: Tool = Tool {
    program: "ipcrm",
    remedy: "install ipcrm (Debian: apt-get install util-linux)",
};
/// Lists the processes of `PostgreSQL`.
pub(crate) const PS: Tool = Tool {
    program: "ps",
    remedy: "install ps (Debian: apt-get install procps)",
};
/// Builds Kubernetes.
pub(crate) const GO: Tool = Tool {
    program: "go",
    remedy: "install Go 1.25 or newer (https://go.dev/dl; Debian: apt-get install golang-go of a release that has it)",
};
/// Runs the containers of a node.
pub(crate) const CONTAINERD: Tool = Tool {
    program: "containerd",
    remedy: NODE_REMEDY,
};
/// Starts each of them.
pub(crate) const RUNC: Tool = Tool {
    program: "runc",
    remedy: NODE_REMEDY,
};
/// Loads the rules of Services and network policies.
pub(crate) const NFT: Tool = Tool {
    program: "nft",
    remedy: NODE_REMEDY,
};
const NODE_REMEDY: &str =
    "run testbed/install-node (Debian: apt-get install containerd runc containernetworking-plugins nftables)";
/// The shell of the watchers.
pub(crate) const SH: Tool = Tool {
    program: "sh",
    remedy: "install a POSIX shell (Debian: apt-get install dash)",
};

/// The first Java that Kafka 4's brokers run on.
const JAVA_NEEDED: u32 = 17;

impl Tool {
    /// A command of this program without arguments.
    pub(crate) fn command(&self) -> Command {
        Command::new(self.program)
    }

    /// Fails with what to install if the program is not in the search path.
    pub(crate) fn find(&self) -> Result<(), Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if std::env::split_paths(&path).any(|directory| directory.join(self.program).is_file()) {
            return Ok(());
        }
        Err(Error::Missing {
            program: self.program.to_owned(),
            remedy: self.remedy,
        })
    }

    /// Turns "not found" into what to install.
    pub(crate) fn missing(&self, what: &str) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let (program, remedy, what) = (self.program.to_owned(), self.remedy, what.to_owned());
        move |source| match source.kind() {
            ErrorKind::NotFound => Error::Missing { program, remedy },
            _ => Error::Io { what, source },
        }
    }

    /// Runs a command of this program to its end, see [`run`].
    pub(crate) async fn run(&self, what: &str, command: &mut Command) -> Result<String, Error> {
        run(what, command).await.map_err(|error| match error {
            Error::Io { source, .. } => self.missing(what)(source),
            error => error,
        })
    }
}

/// Runs a command to its end and gives what it wrote to standard output; `what` says what for, readable before a
/// colon. The program ends with the future.
pub(crate) async fn run(what: &str, command: &mut Command) -> Result<String, Error> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|source| Error::Io {
        what: what.to_owned(),
        source,
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let written = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    Err(Error::Failed {
        what: what.to_owned(),
        status: output.status,
        output: written.trim().to_owned(),
    })
}

/// Java as `JAVA_HOME` or else the search path has it.
#[derive(Debug, Clone)]
pub(crate) struct Java {
    program: PathBuf,
}

impl Java {
    /// The Java of this environment; fails with what to install where it is missing or older than Kafka needs.
    pub(crate) async fn of_environment() -> Result<&'static Self, Error> {
        // Asked once a test process: it takes as long as starting PostgreSQL.
        static FOUND: OnceCell<Java> = OnceCell::const_new();
        FOUND
            .get_or_try_init(|| async {
                let home = std::env::var_os("JAVA_HOME").filter(|home| !home.is_empty());
                let program =
                    home.map_or_else(|| JAVA.program.into(), |home| Path::new(&home).join("bin/java"));
                let java = Self { program };
                java.check().await?;
                Ok(java)
            })
            .await
    }

    async fn check(&self) -> Result<(), Error> {
        let mut command = Command::new(&self.program);
        command.arg("-version").stdin(Stdio::null());
        let output = command
            .output()
            .await
            .map_err(JAVA.missing("running java -version"))?;
        let text = String::from_utf8_lossy(&output.stderr);
        match major_version(&text) {
            Some(found) if found < JAVA_NEEDED => Err(Error::TooOld {
                program: self.program.display().to_string(),
                found,
                needed: JAVA_NEEDED,
                remedy: JAVA.remedy,
            }),
            // A version that cannot be read is given the benefit of the doubt: the broker's log would tell.
            _ => Ok(()),
        }
    }

    /// The program, for a command that a [`crate::Process`] runs.
    pub(crate) fn program(&self) -> &OsStr {
        self.program.as_os_str()
    }

    /// Runs one Java program to its end and gives its standard output.
    pub(crate) async fn run(&self, what: &str, command: &mut Command) -> Result<String, Error> {
        JAVA.run(what, command).await
    }
}

/// The major version in what `java -version` writes: 17 in `openjdk version "17.0.15" …`, 8 in `"1.8.0_392"`.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split('"').nth(1)?;
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    match (numbers.next()?.ok()?, numbers.next()) {
        (1, Some(Ok(minor))) => Some(minor),
        (major, _) => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_versions_are_read_in_all_their_forms() {
        let table = [
            ("openjdk version \"17.0.15\" 2025-04-15", Some(17)),
            ("java version \"1.8.0_392\"", Some(8)),
            ("openjdk version \"21\" 2023-09-19", Some(21)),
            ("openjdk version \"25-ea\" 2025-09-16", Some(25)),
            ("Unrecognized option: -version", None),
        ];
        for (text, expected) in table {
            assert_eq!(major_version(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn a_missing_program_is_told_with_what_to_install() {
        let absent = Tool {
            program: "no-such-program",
            remedy: "install it",
        };
        let error = absent.run("trying", &mut absent.command()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the tests need `no-such-program`, which was not found: install it"
        );
    }

    #[tokio::test]
    async fn a_failing_program_is_told_with_what_it_wrote() {
        let mut command = SH.command();
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let error = SH.run("counting", &mut command).await.unwrap_err();
        assert_eq!(error.to_string(), "counting: exit status: 3\none\ntwo");
    }
}
