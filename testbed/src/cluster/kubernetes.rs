//! A cluster as its clients see it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::process::Command;

use super::machinery::Machinery;
use super::part::Part;
use crate::error::{Error, write_file};
use crate::scratch::Scratch;
use crate::tools::run;

/// Kubernetes and the programs that talk to it as an administrator.
///
/// Methods that hurt take `&mut self`, so a shared cluster is safe.
#[derive(Debug)]
pub struct Kubernetes {
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    helm: PathBuf,
    /// None: a cluster of the user's own.
    machinery: Option<Machinery>,
    files: AtomicU32,
    // For manifests, tokens, and what kubectl and helm keep between calls.
    scratch: Scratch,
}

impl Kubernetes {
    pub(crate) fn new(
        kubeconfig: PathBuf,
        kubectl: PathBuf,
        helm: PathBuf,
        machinery: Option<Machinery>,
    ) -> Result<Self, Error> {
        Ok(Self {
            kubeconfig,
            kubectl,
            helm,
            machinery,
            files: AtomicU32::new(0),
            scratch: Scratch::new("kubernetes")?,
        })
    }

    /// The administrator's kubeconfig, with the certificates in it.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The program `kubectl`, for a test that runs it its own way.
    #[must_use]
    pub fn kubectl_program(&self) -> &Path {
        &self.kubectl
    }

    /// The program `helm`.
    #[must_use]
    pub fn helm_program(&self) -> &Path {
        &self.helm
    }

    /// Runs `kubectl` to its end and gives its standard output; an error has what it wrote otherwise.
    pub async fn kubectl(&self, arguments: &[impl AsRef<OsStr>]) -> Result<String, Error> {
        self.run(&self.kubectl, arguments).await
    }

    /// Runs `helm` to its end and gives its standard output. It keeps its files with the test's.
    pub async fn helm(&self, arguments: &[impl AsRef<OsStr>]) -> Result<String, Error> {
        self.run(&self.helm, arguments).await
    }

    /// Applies a manifest on the server's side, as field manager `kubectl`, overriding others.
    pub async fn apply(&self, manifest: &str) -> Result<String, Error> {
        let path = self.new_file("manifest.yaml");
        write_file(&path, manifest)?;
        let arguments = ["apply", "--server-side", "--force-conflicts", "--filename"].map(OsStr::new);
        self.kubectl(&[arguments.as_slice(), &[path.as_os_str()]].concat())
            .await
    }

    /// A kubeconfig of a service account, with a real token: what its owner may do is what its roles say.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf, Error> {
        let token = self
            .kubectl(&[
                "create",
                "token",
                name,
                "--namespace",
                namespace,
                "--duration",
                "24h",
            ])
            .await?;
        let path = self.new_file("kubeconfig");
        let config = self
            .kubectl(&["config", "view", "--raw", "--minify", "--flatten"])
            .await?;
        write_file(&path, config)?;
        for change in [
            ["set-credentials", name, &format!("--token={token}")],
            ["set-context", "--current", &format!("--user={name}")],
        ] {
            let mut command = self.command(&self.kubectl);
            command.arg("config").args(change).env("KUBECONFIG", &path);
            run("writing a service account's kubeconfig", &mut command).await?;
        }
        Ok(path)
    }

    /// Kills a part of the cluster (SIGKILL).
    pub async fn kill(&mut self, part: Part) -> Result<(), Error> {
        self.hurt("kill", part).await
    }

    /// Stops a part where it stands (SIGSTOP): it keeps its connections and answers nothing.
    pub async fn freeze(&mut self, part: Part) -> Result<(), Error> {
        self.hurt("freeze", part).await
    }

    /// Lets a frozen part go on.
    pub async fn thaw(&mut self, part: Part) -> Result<(), Error> {
        self.hurt("thaw", part).await
    }

    /// Starts a killed part again, and does not wait until it works.
    pub async fn start_again(&mut self, part: Part) -> Result<(), Error> {
        self.hurt("start", part).await
    }

    async fn hurt(&mut self, verb: &str, part: Part) -> Result<(), Error> {
        match &self.machinery {
            Some(machinery) => machinery.ask(&format!("{verb} {part}")).await,
            None => Err(Error::Misuse(format!(
                "a cluster of your own is not hurt: not asked to {verb} {part}"
            ))),
        }
    }

    pub(crate) fn machinery(&self) -> Option<&Machinery> {
        self.machinery.as_ref()
    }

    /// A path for a file that goes with the guard.
    pub(crate) fn new_file(&self, name: &str) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        self.scratch.path().join(format!("{number}-{name}"))
    }

    async fn run(&self, program: &Path, arguments: &[impl AsRef<OsStr>]) -> Result<String, Error> {
        let shown = arguments
            .iter()
            .map(|argument| argument.as_ref().to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        let name = program.file_name().unwrap_or(program.as_os_str());
        let what = format!("{} {shown}", name.display());
        run(&what, self.command(program).args(arguments)).await
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("KUBECONFIG", &self.kubeconfig);
        for variable in [
            "KUBECACHEDIR",
            "HELM_CACHE_HOME",
            "HELM_CONFIG_HOME",
            "HELM_DATA_HOME",
        ] {
            command.env(variable, self.scratch.path().join(variable));
        }
        command
    }
}
