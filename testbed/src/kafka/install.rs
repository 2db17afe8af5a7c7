//! How Kafka gets onto the machine: jars from Maven Central, then a formatted disk and an archive of classes, so
//! that a broker of a test neither formats nor loads what another did before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::jvm::Jvm;
use super::node::{Node, Ports};
use super::properties::{self, KAFKA_PASSWORD, KAFKA_USER, Place};
use crate::cache::{announce, provide};
use crate::certificates::Certificates;
use crate::error::{Error, write_file};
use crate::ports::LOOPBACK;
use crate::tools::{Java, MAVEN};

const POM: &str = include_str!("../../kafka/pom.xml");
const LOG_CONFIGURATION: &str = include_str!("../../kafka/log4j2.properties");
const COMMON_PROPERTIES: &str = include_str!("../../kafka/server.properties");

/// Any 16 bytes in base64; all brokers of all tests may have the same.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// To write the archive of classes when Java ends.
const ARCHIVE_TIMEOUT: Duration = Duration::from_mins(2);

/// What every broker needs.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) jvm: Jvm,
    image: PathBuf,
}

/// Fetches and prepares what is not there yet.
pub(crate) async fn install() -> Result<Installed, Error> {
    let java = Java::of_environment().await?;
    let jars = provide("kafka-jars", POM, async |directory: PathBuf| {
        announce("fetching Apache Kafka 4.3.1 with Maven (45 MB, once) ...");
        fetch_jars(&directory).await
    })
    .await?;
    let inputs = (
        POM,
        LOG_CONFIGURATION,
        COMMON_PROPERTIES,
        KAFKA_USER,
        KAFKA_PASSWORD,
        &jars,
    );
    let image = provide("kafka-image", inputs, async |directory: PathBuf| {
        announce("preparing a disk and an archive of classes for Kafka brokers (5 s, once) ...");
        prepare(&directory, java, &jars).await
    })
    .await?;
    let jvm = Jvm::new(java.clone(), &jars.join("lib"), log_configuration(&image))?
        .with_class_archive(archive(&image));
    Ok(Installed { jvm, image })
}

impl Installed {
    /// Puts the formatted disk, with the users in it, into the broker's directory.
    pub(crate) fn copy_formatted_disk(&self, node: &Node) -> Result<(), Error> {
        copy_disk(&formatted(&self.image), node)
    }
}

fn log_configuration(image: &Path) -> PathBuf {
    image.join("log4j2.properties")
}

fn archive(image: &Path) -> PathBuf {
    image.join("classes.jsa")
}

fn formatted(image: &Path) -> PathBuf {
    image.join("formatted")
}

async fn fetch_jars(directory: &Path) -> Result<(), Error> {
    let pom = directory.join("pom.xml");
    write_file(&pom, POM)?;
    let mut command = MAVEN.command();
    command
        .args([
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            "-f",
        ])
        .arg(pom);
    command.arg(format!("-DoutputDirectory={}", directory.join("lib").display()));
    MAVEN
        .run("fetching Kafka's jars from Maven Central", &mut command)
        .await
        .map(drop)
}

/// Formats a disk and runs one broker once, whose classes Java keeps.
async fn prepare(image: &Path, java: &Java, jars: &Path) -> Result<(), Error> {
    write_file(&log_configuration(image), LOG_CONFIGURATION)?;
    let jvm = Jvm::new(java.clone(), &jars.join("lib"), log_configuration(image))?;

    let run = tempfile::tempdir_in(image).map_err(Error::io("creating a directory in", image))?;
    let certificates = Certificates::generate(run.path().join("certificates"), LOOPBACK)?;
    let ports = Ports::reserve(LOOPBACK)?;
    let place = Place {
        id: 1,
        brokers: 1,
        voters: &properties::voters(std::slice::from_ref(&ports)),
        ports: &ports,
        advertised: None,
        directory: &run.path().join("broker"),
        certificates: &certificates,
    };
    let mut node = Node::create(&place, &properties::server_properties(&place), ports.clone())?;

    let user = |mechanism| format!("{mechanism}=[name={KAFKA_USER},password={KAFKA_PASSWORD}]");
    let properties = node.properties().display().to_string();
    let [sha_256, sha_512] = ["SCRAM-SHA-256", "SCRAM-SHA-512"].map(user);
    let mut format = vec![
        "kafka.tools.StorageTool",
        "format",
        "--cluster-id",
        CLUSTER_ID,
        "--config",
        &properties,
    ];
    format.extend(["--add-scram", &sha_256, "--add-scram", &sha_512]);
    jvm.tool(&format).await?;
    std::fs::rename(node.disk(), formatted(image)).map_err(Error::io("moving", &node.disk()))?;

    crate::error::create_dir(node.disk())?;
    copy_disk(&formatted(image), &node)?;
    let keep_classes = format!("-XX:ArchiveClassesAtExit={}", archive(image).display());
    node.launch(&jvm.with_options(vec![keep_classes]))?;
    node.started().await?;
    node.process()?.terminate()?;
    node.process()?.wait(ARCHIVE_TIMEOUT).await.map(drop)
}

fn copy_disk(formatted: &Path, node: &Node) -> Result<(), Error> {
    for entry in std::fs::read_dir(formatted).map_err(Error::io("reading", formatted))? {
        let from = entry.map_err(Error::io("reading", formatted))?.path();
        let to = node.disk().join(from.file_name().unwrap_or_default());
        std::fs::copy(&from, &to).map_err(Error::io("copying", &from))?;
    }
    let meta = node.disk().join("meta.properties");
    let text = std::fs::read_to_string(&meta).map_err(Error::io("reading", &meta))?;
    write_file(&meta, properties::disk_identity(&text, node.id))
}
