//! How `PostgreSQL` gets onto the machine: a jar from Maven Central with its binaries, then one data directory,
//! which each server gets a copy of.

use std::env::consts::{ARCH, OS};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
use crate::cache::{announce, provide};
use crate::error::{Error, write_file};
use crate::ports::random;
use crate::tools::{CC, MAVEN, TAR, XZ, run};

const POM: &str = include_str!("../../postgres/pom.xml");
const FULL_DISK: &str = include_str!("../../postgres/full_disk.c");

/// What every server needs.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) server: PathBuf,
    /// A data directory as `initdb` leaves it.
    pub(crate) template: PathBuf,
    /// The password of user `postgres` in it.
    pub(crate) password: String,
}

/// Fetches and prepares what is not there yet.
pub(crate) async fn install(account: &Account) -> Result<Installed, Error> {
    let platform = platform(OS, ARCH)?;
    let binaries = provide("postgres", (POM, platform), async |directory: PathBuf| {
        announce("fetching PostgreSQL 18.6 with Maven (15 MB, once) ...");
        fetch(&directory, platform).await
    })
    .await?;
    let template = provide(
        "postgres-template",
        (&binaries, account.key()),
        async |directory: PathBuf| initialise(&directory, &binaries, account).await,
    )
    .await?;
    let password = password_file(&template);
    Ok(Installed {
        server: binaries.join("bin/postgres"),
        template: template.join("data"),
        password: std::fs::read_to_string(&password).map_err(Error::io("reading", &password))?,
    })
}

/// The library that makes a disk look full, compiled.
pub(crate) async fn full_disk_library() -> Result<PathBuf, Error> {
    if OS != "linux" {
        return Err(Error::Misuse(
            "a disk can be made to look full on Linux only".to_owned(),
        ));
    }
    let built = provide("full-disk", FULL_DISK, async |directory: PathBuf| {
        let source = directory.join("full_disk.c");
        write_file(&source, FULL_DISK)?;
        let mut command = CC.command();
        command
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(directory.join("full_disk.so"))
            .arg(source)
            .arg("-ldl");
        CC.run("compiling full_disk.c", &mut command).await.map(drop)
    })
    .await?;
    Ok(built.join("full_disk.so"))
}

/// The jar's name for a machine.
fn platform(os: &str, arch: &str) -> Result<&'static str, Error> {
    match (os, arch) {
        ("linux", "x86_64") => Ok("linux-amd64"),
        ("linux", "aarch64") => Ok("linux-arm64v8"),
        ("macos", "x86_64") => Ok("darwin-amd64"),
        ("macos", "aarch64") => Ok("darwin-arm64v8"),
        _ => Err(Error::Misuse(format!(
            "there is no PostgreSQL on Maven Central for {os} on {arch}"
        ))),
    }
}

async fn fetch(directory: &Path, platform: &str) -> Result<(), Error> {
    let what = "unpacking PostgreSQL";
    // Asked first: tar's own message for it speaks of a broken pipe.
    XZ.run(what, XZ.command().arg("--version")).await?;
    let pom = directory.join("pom.xml");
    write_file(&pom, POM)?;
    let mut command = MAVEN.command();
    command
        .args(["-q", "-B", "dependency:unpack-dependencies", "-f"])
        .arg(pom);
    command
        .arg(format!("-Dplatform={platform}"))
        .arg("-Dmdep.unpack.includes=*.txz");
    command.arg(format!("-DoutputDirectory={}", directory.display()));
    MAVEN
        .run("fetching PostgreSQL from Maven Central", &mut command)
        .await?;

    let entries = std::fs::read_dir(directory).map_err(Error::io("reading", directory))?;
    let archive = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "txz"));
    let archive = archive.ok_or_else(|| Error::Misuse("PostgreSQL's jar holds no .txz".to_owned()))?;
    TAR.run(
        what,
        TAR.command().arg("-xJf").arg(&archive).arg("-C").arg(directory),
    )
    .await?;
    std::fs::remove_file(&archive).map_err(Error::io("removing", &archive))
}

async fn initialise(directory: &Path, binaries: &Path, account: &Account) -> Result<(), Error> {
    let data = directory.join("data");
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&data)
        .map_err(Error::io("creating", &data))?;
    let password = password_file(directory);
    write_file(&password, format!("{:016x}", random()))?;
    account.own(&data)?;
    let mut command = Command::new(binaries.join("bin/initdb"));
    command.arg("-D").arg(&data).arg("--pwfile").arg(&password);
    command.args([
        "--username=postgres",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-locale",
    ]);
    command
        .args(["--no-sync", "--no-instructions"])
        .current_dir(directory);
    account.apply(&mut command);
    let what = "initdb (its user must be able to reach the cache directory: STREAMPIPELINE_TESTBED_CACHE names another)";
    run(what, &mut command.into()).await.map(drop)
}

fn password_file(template: &Path) -> PathBuf {
    template.join("password")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_without_binaries_are_refused_by_name() {
        assert_eq!(platform("linux", "x86_64").unwrap(), "linux-amd64");
        let error = platform("freebsd", "riscv64").unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no PostgreSQL on Maven Central for freebsd on riscv64"
        );
    }

    #[tokio::test]
    async fn the_library_that_fills_disks_compiles() {
        assert!(full_disk_library().await.unwrap().is_file());
    }
}
