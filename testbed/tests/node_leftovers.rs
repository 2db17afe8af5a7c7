//! What a cluster with nodes leaves behind: nothing, however the test process ends. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testbed::{Cluster, Process, eventually};

const MOMENT: Duration = Duration::from_secs(30);

/// Where a cluster leaves traces while it runs.
struct Traces {
    directory: PathBuf,
    /// Of its own process namespace.
    namespace: String,
    device: String,
    cgroup: String,
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Traces {
    fn of(directory: &Path, host: IpAddr) -> Self {
        let directory = directory.to_owned();
        let first = format!("inside -dir={}", directory.display());
        let processes = output("ps", &["-A", "-ww", "-o", "pidns=,args="]);
        let first = processes.lines().find(|line| line.contains(&first)).unwrap();
        let owner = first.split_once("-owner=").unwrap().1.to_owned();
        let slot = host.to_string().split('.').nth(2).unwrap().to_owned();
        Self {
            directory,
            namespace: first.split_whitespace().next().unwrap().to_owned(),
            device: format!("sp-testbed{slot}"),
            cgroup: format!("sp-testbed-{owner}"),
        }
    }

    /// By kind, so that a test knows that each was looked for in the right place.
    fn found(&self) -> [Vec<String>; 5] {
        let matching = |text: String, wanted: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| line.contains(wanted));
            lines.map(str::to_owned).collect()
        };
        let directory = self.directory.to_str().unwrap();
        [
            matching(
                output("ps", &["-A", "-ww", "-o", "pidns=,args="]),
                &self.namespace,
            ),
            matching(output("ps", &["-A", "-ww", "-o", "args="]), directory),
            matching(output("ip", &["-brief", "address"]), &format!("{}@", self.device)),
            matching(
                output(
                    "find",
                    &["/sys/fs/cgroup", "-maxdepth", "2", "-name", &self.cgroup],
                ),
                "",
            ),
            self.directory
                .exists()
                .then(|| directory.to_owned())
                .into_iter()
                .collect(),
        ]
    }

    fn mounts(&self) -> Vec<String> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let wanted = [self.directory.to_str().unwrap(), "/run/cluster", "/run/images"];
        let lines = mounts
            .lines()
            .filter(|line| wanted.iter().any(|wanted| line.contains(wanted)));
        lines.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn nothing_is_left_after_a_panic_and_after_a_kill() {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let failing = tokio::spawn(async move {
        let cluster = Cluster::start().await.unwrap();
        let traces = Traces::of(cluster.kubeconfig().parent().unwrap(), cluster.host_address());
        for kind in traces.found() {
            assert_ne!(kind, [""; 0]);
        }
        // What nodes mount is theirs alone, from the beginning.
        assert_eq!(traces.mounts(), [""; 0]);
        sender.send(traces).await.unwrap();
        panic!("as a failing test does");
    });
    let traces = receiver.recv().await.unwrap();
    assert!(failing.await.unwrap_err().is_panic());
    for kind in traces.found() {
        assert_eq!(kind, [""; 0]);
    }

    let home = tempfile::tempdir().unwrap();
    // PostgreSQL's user has to get through.
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o711)).unwrap();
    let mut servers = Process::spawn(
        env!("CARGO_BIN_EXE_testbed"),
        ["cluster"],
        [("TMPDIR", home.path().as_os_str())],
    )
    .unwrap();
    let kubeconfig = servers.wait_for_line("KUBECONFIG=", MOMENT * 10).await.unwrap();
    let kubeconfig = Path::new(kubeconfig.split_once('=').unwrap().1);
    let postgres = servers.wait_for_line("postgres://", MOMENT).await.unwrap();
    let host = postgres.rsplit_once('@').unwrap().1.split_once(':').unwrap().0;
    let traces = Traces::of(kubeconfig.parent().unwrap(), host.parse().unwrap());
    for kind in traces.found() {
        assert_ne!(kind, [""; 0]);
    }
    servers.kill().unwrap();
    eventually(MOMENT, async || {
        let mut left = traces.found().concat();
        left.extend(
            std::fs::read_dir(home.path())
                .unwrap()
                .map(|entry| format!("{entry:?}")),
        );
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:#?}"))
        }
    })
    .await
    .unwrap();
}
