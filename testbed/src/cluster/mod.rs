//! Kubernetes as a guard: a control plane, with nodes that run pods where the test may be root.

mod builder;
mod install;
mod kubernetes;
mod machinery;
mod part;

use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use tokio::process::Command;
use tokio::sync::OnceCell;

pub use self::builder::ClusterBuilder;
use self::install::{image_writer, install, write_image};
pub use self::kubernetes::Kubernetes;
use self::machinery::Machinery;
pub use self::part::Part;
use crate::error::Error;
use crate::tools::run;

/// A command that takes the path of an image's archive as its last argument, and gives the image to the nodes.
const LOAD_IMAGE: &str = "STREAMPIPELINE_TESTBED_LOAD_IMAGE";

/// Kubernetes without nodes on loopback, for any user: what is applied is checked, stored, defaulted and
/// garbage-collected, Deployments have `ReplicaSets` and these have pods, which stay pending.
///
/// It is a [`Kubernetes`]: helpers of tests take that.
#[derive(Debug)]
pub struct ControlPlane(Kubernetes);

impl ControlPlane {
    /// Starts one and waits until it serves.
    pub async fn start() -> Result<Self, Error> {
        let installed = install().await?;
        let machinery = Machinery::start(&installed, 0).await?;
        Kubernetes::new(
            machinery.kubeconfig(),
            installed.kubectl(),
            installed.helm(),
            Some(machinery),
        )
        .map(Self)
    }

    /// One for all tests of this test process: each works in a namespace of its own.
    pub async fn shared() -> Result<&'static Self, Error> {
        // Never dropped: the watchers end it when the test process is gone.
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }
}

impl Deref for ControlPlane {
    type Target = Kubernetes;
    fn deref(&self) -> &Kubernetes {
        &self.0
    }
}

impl DerefMut for ControlPlane {
    fn deref_mut(&mut self) -> &mut Kubernetes {
        &mut self.0
    }
}

/// Kubernetes whose nodes run pods, with DNS and enforced network policies. Needs root on Linux, and containerd.
///
/// Pods have routes to each other, to the API server and to [`Cluster::host_address`], and nowhere else. It is a
/// [`Kubernetes`]: helpers of tests take that. See the README for a cluster of the user's own.
#[derive(Debug)]
pub struct Cluster {
    kubernetes: Kubernetes,
    host: IpAddr,
}

impl Cluster {
    /// A cluster of one node.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// A cluster of another size.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// One cluster of one node for all tests of this test process: each works in a namespace of its own.
    pub async fn shared() -> Result<&'static Self, Error> {
        // Never dropped: the watchers end it when the test process is gone.
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// The address of this machine where pods reach what listens there, and the test's own processes as well:
    /// [`crate::KafkaBuilder::listen_on`], [`crate::PostgresBuilder::listen_on`].
    #[must_use]
    pub fn host_address(&self) -> IpAddr {
        self.host
    }

    /// Makes an image FROM scratch of `programs`, put into `/usr/local/bin`, and of the libraries that they are linked
    /// with, and gives it to every node. The image runs the first program, as user 65532.
    ///
    /// `name` wants a tag other than `latest`, which Kubernetes would try to pull.
    pub async fn load_image(&self, name: &str, programs: &[impl AsRef<Path>]) -> Result<(), Error> {
        let writer = image_writer().await?;
        let archive = match self.kubernetes.machinery() {
            // Where the cluster sees it, too.
            Some(machinery) => tempfile::Builder::new()
                .suffix(".tar")
                .tempfile_in(machinery.directory()),
            None => tempfile::Builder::new().suffix(".tar").tempfile(),
        };
        let archive = archive.map_err(|source| Error::Io {
            what: format!("creating an archive for the image {name}"),
            source,
        })?;
        write_image(&writer, name, archive.path(), programs).await?;
        match self.kubernetes.machinery() {
            Some(machinery) => {
                let file = archive.path().file_name().unwrap_or_default();
                machinery.ask(&format!("load {}", file.display())).await
            }
            None => load_by_command(name, archive.path()).await,
        }
    }
}

/// Gives an image to the nodes of a cluster of the user's own.
async fn load_by_command(name: &str, archive: &Path) -> Result<(), Error> {
    let Ok(command) = std::env::var(LOAD_IMAGE) else {
        return Err(Error::Misuse(format!(
            "how your cluster gets the image {name} is not known: set {LOAD_IMAGE} to a command that takes the path \
             of its archive, for instance `kind load image-archive`"
        )));
    };
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("{command} \"$1\""))
        .arg("sh")
        .arg(archive);
    run(&format!("loading the image {name} by {LOAD_IMAGE}"), &mut shell)
        .await
        .map(drop)
}

impl Deref for Cluster {
    type Target = Kubernetes;
    fn deref(&self) -> &Kubernetes {
        &self.kubernetes
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut Kubernetes {
        &mut self.kubernetes
    }
}
