//! How Kubernetes gets onto the machine: Go modules, compiled once into one program, and images of what runs in pods.

use std::path::{Path, PathBuf};

use crate::cache::{announce, provide};
use crate::error::{Error, create_dir, write_file};
use crate::tools::{GO, run};

const KUBERNETES_VERSION: &str = "1.35.4";
const HELM_VERSION: &str = "4.1.4";

macro_rules! sources {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../cluster/", $path)))),*]
    };
}

/// The Go module, file by file: compiled into the tests, so that what is built is what they were built with.
const SOURCES: &[(&str, &str)] = sources![
    "cgroups.go",
    "coredns/main.go",
    "etcd.go",
    "files/cni.conflist",
    "files/containerd.toml",
    "files/dns.yaml",
    "files/kube-proxy.yaml",
    "files/kubelet.yaml",
    "go.mod",
    "go.sum",
    "image/main.go",
    "inside.go",
    "main.go",
    "netpol.go",
    "network.go",
    "node.go",
    "pause/main.go",
    "pki.go",
    "plane.go",
    "rules.go",
    "run.go",
    "supervisor.go",
    "up.go",
];

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub(crate) struct Installed {
    directory: PathBuf,
}

impl Installed {
    pub(crate) fn cluster(&self) -> PathBuf {
        self.directory.join("bin/cluster")
    }

    pub(crate) fn kubectl(&self) -> PathBuf {
        self.directory.join("bin/kubectl")
    }

    pub(crate) fn helm(&self) -> PathBuf {
        self.directory.join("bin/helm")
    }

    /// Archives of what every node needs.
    pub(crate) fn images(&self) -> PathBuf {
        self.directory.join("images")
    }
}

/// Builds what is not there yet.
pub(crate) async fn install() -> Result<Installed, Error> {
    if std::env::consts::OS != "linux" {
        return Err(Error::Misuse("Kubernetes runs on Linux only".to_owned()));
    }
    let image_writer = image_writer().await?;
    let directory = provide("kubernetes", SOURCES, async |directory: PathBuf| {
        announce(&format!(
            "building Kubernetes {KUBERNETES_VERSION}, CoreDNS and Helm {HELM_VERSION} from Go modules \
             (250 MB to fetch, 9 minutes of two cores, once) ..."
        ));
        let packages = [".", "./coredns", "./pause", "helm.sh/helm/v4/cmd/helm"];
        build("building Kubernetes", &directory, &packages).await?;
        let bin = directory.join("bin");
        std::os::unix::fs::symlink("cluster", bin.join("kubectl"))
            .map_err(Error::io("creating a link in", &bin))?;
        let images = create_dir(directory.join("images"))?;
        for program in ["pause", "coredns"] {
            let archive = images.join(format!("{program}.tar"));
            let name = format!("testbed.local/{program}:1");
            write_image(&image_writer, &name, &archive, &[bin.join(program)]).await?;
        }
        Ok(())
    })
    .await?;
    Ok(Installed { directory })
}

/// The program that writes images; built within seconds, and all that a cluster of the user's own needs.
pub(crate) async fn image_writer() -> Result<PathBuf, Error> {
    let built = provide("image-writer", SOURCES, async |directory: PathBuf| {
        build("building the writer of images", &directory, &["./image"]).await
    });
    Ok(built.await?.join("bin/image"))
}

/// Writes an image FROM scratch of `programs` and the libraries that they are linked with.
pub(crate) async fn write_image(
    writer: &Path,
    name: &str,
    archive: &Path,
    programs: &[impl AsRef<Path>],
) -> Result<(), Error> {
    let mut command = tokio::process::Command::new(writer);
    command.arg(name).arg(archive);
    command.args(programs.iter().map(AsRef::as_ref));
    run(&format!("writing the image {name}"), &mut command)
        .await
        .map(drop)
}

async fn build(what: &str, directory: &Path, packages: &[&str]) -> Result<(), Error> {
    let source = directory.join("source");
    for (path, text) in SOURCES {
        let path = source.join(path);
        if let Some(parent) = path.parent() {
            create_dir(parent.to_owned())?;
        }
        write_file(&path, text)?;
    }
    let mut command = GO.command();
    // Without C, programs need no libraries and run anywhere.
    command.current_dir(&source).env("CGO_ENABLED", "0");
    // The cache may be in somebody's checkout: what stands in directories above is not about this module.
    command.env("GOWORK", "off");
    command.args([
        "build",
        "-mod=readonly",
        "-buildvcs=false",
        "-trimpath",
        "-ldflags",
        &versions(),
        "-o",
    ]);
    command.arg(directory.join("bin/")).args(packages);
    GO.run(what, &mut command).await.map(drop)
}

/// What programs say that they are: releases are told by the linker.
fn versions() -> String {
    let mut parts = KUBERNETES_VERSION.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut flags = vec![
        "-s -w".to_owned(),
        format!("-X helm.sh/helm/v4/internal/version.version=v{HELM_VERSION}"),
    ];
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        for (name, value) in [
            ("gitVersion", format!("v{KUBERNETES_VERSION}").as_str()),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "archive"),
        ] {
            flags.push(format!("-X {package}.{name}={value}"));
        }
    }
    flags.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_module_is_built() {
        fn files(directory: &Path, prefix: &str, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
                let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
                if entry.path().is_dir() {
                    files(&entry.path(), &format!("{name}/"), found);
                } else if !name.ends_with("_test.go") {
                    found.push(name);
                }
            }
        }
        let mut found = Vec::new();
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster");
        files(&module, "", &mut found);
        found.sort();
        let embedded: Vec<&str> = SOURCES.iter().map(|(path, _)| *path).collect();
        assert_eq!(found, embedded);
    }

    #[test]
    fn the_module_is_of_the_versions_that_the_programs_tell() {
        let (_, module) = SOURCES.iter().find(|(path, _)| *path == "go.mod").unwrap();
        assert!(module.contains(&format!("k8s.io/kubernetes v{KUBERNETES_VERSION}\n")));
        assert!(module.contains(&format!("helm.sh/helm/v4 v{HELM_VERSION}\n")));
    }
}
