//! The command lines that run Kafka's classes.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::scratch::temporary;
use crate::tools::Java;

/// Java with Kafka's jars.
#[derive(Debug, Clone)]
pub(crate) struct Jvm {
    java: Java,
    classpath: OsString,
    log_configuration: PathBuf,
    /// Kafka's classes, loaded and checked ahead: a broker starts in 60 % of the time. Java ignores the file if it
    /// is of another Java.
    class_archive: Option<PathBuf>,
    options: Vec<String>,
}

impl Jvm {
    /// Runs the classes of all jars in `directory`.
    pub(crate) fn new(java: Java, directory: &Path, log_configuration: PathBuf) -> Result<Self, Error> {
        let entries = std::fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map_err(Error::io("reading", directory))?;
        let mut jars: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
        // The archive is only good for the classpath that it was made with.
        jars.sort();
        let classpath = jars
            .iter()
            .map(|jar| jar.as_os_str())
            .collect::<Vec<_>>()
            .join(OsStr::new(":"));
        Ok(Self {
            java,
            classpath,
            log_configuration,
            class_archive: None,
            options: Vec::new(),
        })
    }

    pub(crate) fn with_class_archive(self, archive: PathBuf) -> Self {
        Self {
            class_archive: Some(archive),
            ..self
        }
    }

    pub(crate) fn with_options(self, options: Vec<String>) -> Self {
        Self { options, ..self }
    }

    /// A broker's command: quick to start rather than quick. `arguments` begin with the class.
    pub(crate) fn command(&self, temporary: &Path, arguments: &[&Path]) -> Command {
        let mut command = self.java(temporary);
        command.args([
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-XX:+ExitOnOutOfMemoryError",
        ]);
        command.args(&self.options).args(arguments);
        command
    }

    /// Runs a tool to its end, at full speed: some of them are benchmarks.
    pub(crate) async fn tool(&self, arguments: &[&str]) -> Result<String, Error> {
        let directory = temporary("kafka-tool")?;
        let mut command = self.java(directory.path());
        command.args(arguments);
        let class = arguments.first().copied().unwrap_or("no class");
        self.java
            .run(&format!("running Kafka's {class}"), &mut command.into())
            .await
    }

    fn java(&self, temporary: &Path) -> Command {
        let property = |name: &str, path: &Path| {
            let mut option = OsString::from(format!("-D{name}="));
            option.push(path);
            option
        };
        let mut command = Command::new(self.java.program());
        // Performance counters are a file outside of the temporary directory, which a killed Java leaves behind.
        command
            .arg("-XX:-UsePerfData")
            .arg(property("java.io.tmpdir", temporary));
        command.arg(property("log4j2.configurationFile", &self.log_configuration));
        if let Some(archive) = &self.class_archive {
            let mut option = OsString::from("-XX:SharedArchiveFile=");
            option.push(archive);
            command.args([OsStr::new("-Xshare:auto"), &option]);
        }
        command.arg("-cp").arg(&self.classpath);
        command
    }
}
