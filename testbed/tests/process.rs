//! A program as its users run it, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use testbed::{Error, Process};

const MOMENT: Duration = Duration::from_secs(20);
const NO_ENVIRONMENT: [(&str, &str); 0] = [];

/// A shell that can be interrupted: one that inherits SIGINT ignored, as from a script's background job, cannot.
fn shell(script: &str) -> Process {
    Process::spawn(
        "env",
        ["--default-signal=INT", "sh", "-c", script],
        NO_ENVIRONMENT,
    )
    .unwrap()
}

#[tokio::test]
async fn output_is_kept_apart_and_whole() {
    let mut process = Process::spawn(
        "sh",
        ["-c", "echo to $NAME; echo problem >&2; exit 7"],
        [("NAME", "everyone")],
    )
    .unwrap();
    assert_eq!(process.wait(MOMENT).await.unwrap().code(), Some(7));
    assert_eq!(process.stdout().unwrap(), "to everyone\n");
    assert_eq!(process.stderr().unwrap(), "problem\n");
    assert_eq!(process.output().unwrap(), "to everyone\nproblem\n");
}

#[tokio::test]
async fn a_line_is_awaited_until_it_is_whole() {
    let mut process = shell("printf 'ready on '; sleep 0.3; echo port 42; sleep 100");
    assert_eq!(
        process.wait_for_line("ready", MOMENT).await.unwrap(),
        "ready on port 42"
    );
    // Written before: it still counts.
    process.wait_for_line("port", MOMENT).await.unwrap();
}

#[tokio::test]
async fn a_program_that_ends_or_is_late_instead_is_told_with_its_output() {
    let mut ended = shell("echo cannot bind >&2; exit 1");
    let error = ended.wait_for_line("ready", MOMENT).await.unwrap_err();
    assert!(
        matches!(&error, Error::Ended { output, .. } if output.contains("cannot bind")),
        "{error}"
    );

    let mut late = shell("echo starting; sleep 100");
    late.wait_for_line("starting", MOMENT).await.unwrap();
    let error = late
        .wait_for_line("ready", Duration::from_millis(50))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::TooLate { output, .. } if output.contains("starting")),
        "{error}"
    );
    late.wait(Duration::from_millis(50)).await.unwrap_err();
}

#[tokio::test]
async fn it_can_be_asked_to_end_and_be_made_to() {
    let script = "trap 'echo draining; exit 0' TERM; trap 'echo interrupted; exit 2' INT; echo ready; while :; do sleep 0.02; done";
    let mut asked = shell(script);
    asked.wait_for_line("ready", MOMENT).await.unwrap();
    asked.terminate().unwrap();
    assert!(asked.wait(MOMENT).await.unwrap().success());
    assert_eq!(asked.stdout().unwrap(), "ready\ndraining\n");

    let mut interrupted = shell(script);
    interrupted.wait_for_line("ready", MOMENT).await.unwrap();
    interrupted.interrupt().unwrap();
    assert_eq!(interrupted.wait(MOMENT).await.unwrap().code(), Some(2));

    let mut killed = shell(script);
    killed.wait_for_line("ready", MOMENT).await.unwrap();
    assert!(killed.is_running().unwrap());
    assert_eq!(killed.kill().unwrap().signal(), Some(9));
    assert!(!killed.is_running().unwrap());
    killed.kill().unwrap();
    assert!(killed.terminate().is_err(), "a signal to nobody went unnoticed");
}

#[tokio::test]
async fn frozen_it_does_nothing_and_thawed_it_goes_on() {
    let mut process = shell("trap 'echo asked' TERM; echo ready; while :; do sleep 0.02; done");
    process.wait_for_line("ready", MOMENT).await.unwrap();
    process.freeze().unwrap();
    process.terminate().unwrap();
    process
        .wait_for_line("asked", Duration::from_millis(300))
        .await
        .unwrap_err();
    assert!(process.is_running().unwrap());
    process.thaw().unwrap();
    process.wait_for_line("asked", MOMENT).await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let error = Process::spawn("/no/such/program", [""; 0], NO_ENVIRONMENT).unwrap_err();
    assert!(
        format!("{error:?}").starts_with("starting /no/such/program: No such file"),
        "{error:?}"
    );
}
