//! The program without Kafka: outputs, limits and exit codes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{PATIENCE, Scene};

fn scene(name: &str, generator: &[&str]) -> Scene {
    Scene::new(name, "127.0.0.1:1".to_owned(), 1, generator)
}

/// The same events in every run and with any number of threads, in a file as on standard output.
#[tokio::test]
async fn events_follow_from_the_seed() {
    let window = "eventTime: {window: {from: \"2026-11-01T00:00:00Z\", to: \"2026-11-21T00:00:00Z\"}}";
    let scene = scene("seeded", &[window]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = format!("file:{}", file.path().display());
    let mut all = Vec::new();
    for threads in ["1", "3"] {
        let errors = scene
            .run(&[
                "--output",
                &output,
                "--count",
                "5000",
                "--unlimited",
                "--threads",
                threads,
            ])
            .await;
        assert!(errors.contains("complete: 5000 events in "), "{errors}");
        let mut lines: Vec<String> = std::fs::read_to_string(file.path())
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort_unstable();
        all.push(lines);
    }
    let mut process = scene.spawn(&["--output", "stdout", "--count", "5000", "--unlimited"]);
    assert!(process.wait(PATIENCE).await.unwrap().success());
    let mut lines: Vec<String> = process.stdout().unwrap().lines().map(str::to_owned).collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 5_000);
    assert_eq!(all, [lines.clone(), lines]);
}

#[tokio::test]
async fn a_duration_ends_it() {
    let scene = scene("timed", &["rate: 500"]);
    let errors = scene.run(&["--output", "none", "--for", "1s"]).await;
    assert!(errors.contains("complete: 500 events in 1.0 s"), "{errors}");
}

/// A reader that has seen enough is no failure.
#[test]
fn a_closed_pipe_ends_it_quietly() {
    let scene = scene("piped", &[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_streampipeline-generator"))
        .args(["--output", "stdout", "--unlimited", "--file"])
        .arg(scene.file())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("{\"user_id\":"));
    drop(lines);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !errors.contains("error"), "{errors}");
}

#[tokio::test]
async fn wrong_input_is_explained() {
    let scene = scene("wrong", &[]);
    for (scene, arguments, code, expected) in [
        (
            &scene,
            vec!["--output", "fiel:x"],
            2,
            "neither kafka, stdout, file:PATH nor none",
        ),
        (
            &scene,
            vec!["--output", "file:/nowhere/x"],
            1,
            "cannot create /nowhere/x\n  because: No such file",
        ),
        (
            &self::scene("catalogue", &[]).replace("tracks: 1140", "catalogue: {csv: {path: absent.csv}}"),
            vec!["--output", "none"],
            2,
            "absent.csv cannot be opened\n  because: No such file",
        ),
    ] {
        let mut process = scene.spawn(&arguments);
        let status = process.wait(PATIENCE).await.unwrap();
        let errors = process.stderr().unwrap();
        assert_eq!(status.code(), Some(code), "{errors}");
        assert!(errors.contains(expected), "{errors}");
    }
}

/// The catalogue's path is relative to the manifest, wherever the program is started.
#[tokio::test]
async fn a_catalogue_is_found_beside_the_manifest() {
    let scene = scene("beside", &[]).replace("tracks: 1140", "catalogue: {csv: {path: tracks.csv}}");
    let header = "track_id,artists,album_name,track_name,popularity,duration_ms,explicit,danceability,energy,key,\
        loudness,mode,speechiness,acousticness,instrumentalness,liveness,valence,tempo,time_signature,track_genre";
    let row =
        |genre: &str| format!("x,A,B,C,50,1000,False,0.5,0.5,1,-6.5,0,0.1,0.1,0.1,0.1,0.5,120,4,{genre}\n");
    let rows = ["pop", "rock", "jazz"].map(row).concat();
    std::fs::write(
        scene.file().with_file_name("tracks.csv"),
        format!("{header}\n{rows}"),
    )
    .unwrap();
    let mut process = scene.spawn(&["--output", "stdout", "--count", "1000", "--unlimited"]);
    assert!(process.wait(PATIENCE).await.unwrap().success());
    let events = process.stdout().unwrap();
    for track in 1..=3 {
        assert!(
            events.contains(&format!("\"track_id\":{track},")),
            "track {track}"
        );
    }
    assert!(!events.contains("\"track_id\":4,"));
}

/// Health and metrics can be asked for while it runs.
#[tokio::test]
async fn health_is_served() {
    let scene = scene("served", &["rate: 1000"]);
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    let mut process = scene.spawn(&["--output", "none", "--listen", &address]);
    let metrics = testbed::eventually(PATIENCE, async || {
        get(&address, "/metrics").filter(|text| !text.contains("streampipeline_generator_events_total 0\n"))
    })
    .await
    .unwrap();
    assert!(
        metrics.contains("streampipeline_generator_shards 64\n"),
        "{metrics}"
    );
    for path in ["/livez", "/readyz"] {
        assert!(get(&address, path).unwrap().contains("200 OK"), "{path}");
    }
    process.terminate().unwrap();
    assert!(process.wait(PATIENCE).await.unwrap().success());
}

fn get(address: &str, path: &str) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}
