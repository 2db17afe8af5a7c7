//! Signals end whole processes, so this test is its own child: it has no harness of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use runtime::shutdown;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("child") {
        child();
    } else {
        for (first, second) in [
            ("TERM", None),
            ("INT", None),
            ("TERM", Some("TERM")),
            ("TERM", Some("INT")),
        ] {
            check(first, second);
        }
    }
}

/// Waits for the first signal, then until its standard input ends: the second signal must not wait for that.
#[tokio::main(flavor = "current_thread")]
async fn child() {
    let token = shutdown::signals().unwrap();
    println!("waiting");
    token.cancelled().await;
    println!("stopping");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
}

fn check(first: &str, second: Option<&str>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("child")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = child.stdin.take();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("waiting"));
    send(&child, first);
    assert_eq!(lines.next().as_deref(), Some("stopping"), "after SIG{first}");
    let expected = if let Some(second) = second {
        send(&child, second);
        130
    } else {
        drop(input);
        0
    };
    assert_eq!(
        child.wait().unwrap().code(),
        Some(expected),
        "SIG{first} then {second:?}"
    );
}

fn send(child: &Child, signal: &str) {
    assert!(
        Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}
