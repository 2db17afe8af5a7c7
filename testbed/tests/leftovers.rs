//! What guards leave behind: nothing, however the test process ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testbed::{Kafka, Postgres, Process, eventually};

const MOMENT: Duration = Duration::from_mins(1);

/// The command lines, of the whole machine, that name `directory`.
fn processes_in(directory: &Path) -> Vec<String> {
    let output = Command::new("ps")
        .args(["-A", "-ww", "-o", "pid=,args="])
        .output()
        .unwrap();
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    list.lines()
        .filter(|line| line.contains(directory.to_str().unwrap()))
        .map(str::to_owned)
        .collect()
}

fn what_is_left(directory: &Path) -> Result<(), String> {
    let files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let processes = processes_in(directory);
    if files.is_empty() && processes.is_empty() {
        Ok(())
    } else {
        Err(format!("{files:?} {processes:?}"))
    }
}

/// Runs the program that holds a broker and a `PostgreSQL`, with `home` for all files.
async fn servers(home: &Path) -> Process {
    // PostgreSQL's user has to get through.
    std::fs::set_permissions(home, Permissions::from_mode(0o711)).unwrap();
    let mut servers = Process::spawn(
        env!("CARGO_BIN_EXE_testbed"),
        [""; 0],
        [("TMPDIR", home.as_os_str())],
    )
    .unwrap();
    servers
        .wait_for_line("Ctrl-C ends them", MOMENT * 4)
        .await
        .unwrap();
    assert!(processes_in(home).iter().any(|line| line.contains("kafka.Kafka")));
    servers
}

#[tokio::test]
async fn nothing_is_left_when_the_test_process_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let mut servers = servers(home.path()).await;
    servers.kill().unwrap();
    eventually(MOMENT, async || what_is_left(home.path()))
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_is_left_when_the_test_process_ends_in_order() {
    let home = tempfile::tempdir().unwrap();
    let mut servers = servers(home.path()).await;
    servers.interrupt().unwrap();
    assert!(servers.wait(MOMENT).await.unwrap().success());
    // The last watcher is reaped by the test process before it ends: no waiting here.
    what_is_left(home.path()).unwrap();
}

#[tokio::test]
async fn nothing_is_left_when_a_test_panics() {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let failing = tokio::spawn(async move {
        let kafka = Kafka::start().await.unwrap();
        let mut postgres = Postgres::start().await.unwrap();
        postgres.freeze().await.unwrap();
        let data = postgres.data_directory();
        sender
            .send([kafka.directory().to_owned(), data.parent().unwrap().to_owned()])
            .await
            .unwrap();
        panic!("as a failing test does");
    });
    let directories = receiver.recv().await.unwrap();
    assert!(failing.await.unwrap_err().is_panic());
    for directory in directories {
        assert!(!directory.exists(), "{}", directory.display());
        assert_eq!(processes_in(&directory), [""; 0]);
    }
}

#[tokio::test]
async fn a_killed_postgres_leaves_no_shared_memory() {
    let mut postgres = Postgres::start().await.unwrap();
    let lock = std::fs::read_to_string(postgres.data_directory().join("postmaster.pid")).unwrap();
    let id = lock
        .lines()
        .nth(6)
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .to_owned();
    let segments = || {
        let output = Command::new("ipcs").arg("-m").output().unwrap();
        let list = String::from_utf8_lossy(&output.stdout).into_owned();
        list.lines()
            .filter_map(|line| line.split_whitespace().nth(1).map(str::to_owned))
            .collect::<Vec<_>>()
    };
    assert!(segments().contains(&id));
    postgres.kill().await.unwrap();
    assert!(!segments().contains(&id));
}
