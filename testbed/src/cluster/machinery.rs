//! The processes behind a cluster: one that the test bed starts, and all others are that one's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::install::Installed;
use crate::error::Error;
use crate::ports::{LOOPBACK, Port};
use crate::process::{POLL, Process};
use crate::scratch::Scratch;

/// 6 s on two idle cores; test processes may start several at once, while something compiles.
const START_TIMEOUT: Duration = Duration::from_mins(4);

/// An image of a few hundred megabytes on two nodes of a busy machine.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);

/// The kernel ends hundreds of processes, and unmounts as much.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a cluster and is its remote control.
#[derive(Debug)]
pub(crate) struct Machinery {
    process: Process,
    // The API server's and etcd's two, unless the cluster has a network of its own.
    _ports: Vec<Port>,
    // After the process: it ends before its files go.
    scratch: Scratch,
}

impl Machinery {
    /// Starts a control plane on loopback, or with any `nodes` a cluster with a network of its own, and waits until
    /// it can be used.
    pub(crate) async fn start(installed: &Installed, nodes: u32) -> Result<Self, Error> {
        let scratch = Scratch::new("cluster")?;
        let mut command = Command::new(installed.cluster());
        command.arg("up");
        command.arg("-dir").arg(scratch.path());
        command.arg("-images").arg(installed.images());
        command.arg("-nodes").arg(nodes.to_string());
        let mut ports = Vec::new();
        if nodes == 0 {
            for flag in ["-port", "-etcd-port", "-peer-port"] {
                let port = Port::reserve(LOOPBACK)?;
                command.arg(flag).arg(port.number().to_string());
                ports.push(port);
            }
        }
        let mut machinery = Self {
            process: Process::server("cluster", command, "TERM")?,
            _ports: ports,
            scratch,
        };
        machinery.process.wait_for_line("ready ", START_TIMEOUT).await?;
        Ok(machinery)
    }

    /// What the cluster said about itself when it was ready, as `name=value`.
    pub(crate) fn told(&self, name: &str) -> Result<String, Error> {
        let output = self.process.stdout()?;
        let word = output
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        word.map(str::to_owned)
            .ok_or_else(|| Error::Misuse(format!("the cluster did not tell its {name}:\n{output}")))
    }

    pub(crate) fn directory(&self) -> &Path {
        self.scratch.path()
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory().join("admin.kubeconfig")
    }

    /// Asks for one thing, a verb and a name, and waits until it is done.
    pub(crate) async fn ask(&self, request: &str) -> Result<(), Error> {
        let path = self.directory().join("control");
        let talk = async {
            let mut stream = UnixStream::connect(&path).await?;
            stream.write_all(format!("{request}\n").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        let answer = timeout(REQUEST_TIMEOUT, talk)
            .await
            .map_err(|_| {
                self.process
                    .too_late(REQUEST_TIMEOUT, &format!("an answer to {request:?}"))
            })?
            .map_err(Error::io("asking the cluster at", &path))?;
        // No answer at all is the answer of one that ended.
        match answer.strip_suffix('\n') {
            Some("") => Ok(()),
            why => Err(Error::Refused {
                request: request.to_owned(),
                answer: why.unwrap_or("it ended").to_owned(),
            }),
        }
    }
}

impl Drop for Machinery {
    /// Lets it end in order, which leaves nothing; what kills it otherwise leaves empty cgroups.
    fn drop(&mut self) {
        if self.process.terminate().is_err() {
            return;
        }
        let deadline = Instant::now() + END_TIMEOUT;
        while matches!(self.process.is_running(), Ok(true)) && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
}
