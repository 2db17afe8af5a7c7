//! Manifests and custom resources of earlier releases are what they were: see the recordings of `upgrade`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Releases from which one can come to this one.
const RECORDINGS: [&str; 1] = ["e766835"];

/// What is recorded: name and path.
const MANIFESTS: [(&str, &str); 4] = [
    ("music", "../deploy/pipelines/music.yaml"),
    ("small", "tests/support/small.yaml"),
    ("complete", "tests/support/complete.yaml"),
    ("recorded", "../upgrade/pipeline/manifest.yaml"),
];

fn recordings(revision: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../upgrade/recordings/{revision}"))
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|other| other == extension));
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// As a cluster stores it: every default is there.
fn meaning(manifest: &str) -> Value {
    let resource = api::parse(manifest).unwrap();
    api::validate(&resource).unwrap_or_else(|problems| panic!("{problems}"));
    serde_json::to_value(&resource).unwrap()
}

/// Writes manifests and what they mean, under the name of the revision: see `make record`.
#[test]
#[ignore = "writes files"]
fn record() {
    let revision = std::env::var("STREAMPIPELINE_RECORD").expect("the revision in STREAMPIPELINE_RECORD");
    let folder = recordings(&revision).join("manifests");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, path) in MANIFESTS {
        let mut manifest = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
        for (place, value) in [
            ("{bootstrap}", "kafka:9092"),
            ("{rate}", "1000"),
            ("{sink}", "{sqlite: {path: rows.db}}"),
        ] {
            manifest = manifest.replace(place, value);
        }
        std::fs::write(folder.join(format!("{name}.yaml")), &manifest).unwrap();
        let json = format!("{:#}\n", meaning(&manifest));
        std::fs::write(folder.join(format!("{name}.json")), json).unwrap();
    }
}

#[test]
fn recorded_manifests_mean_the_same() {
    for revision in RECORDINGS {
        for path in files(&recordings(revision).join("manifests"), "yaml") {
            let recorded: Value = serde_json::from_str(&text(&path.with_extension("json"))).unwrap();
            assert_eq!(meaning(&text(&path)), recorded, "{}", path.display());
            assert_eq!(support::schema_errors(&recorded), [""; 0], "{}", path.display());
            assert_eq!(
                support::cel_errors(&recorded, Some(&recorded)),
                [],
                "{}",
                path.display()
            );
        }
    }
}

/// What a cluster holds when its definition is replaced: with the status of the operator before.
#[test]
fn recorded_resources_fit_the_definition() {
    for revision in RECORDINGS {
        let cluster = text(&recordings(revision).join("cluster.jsonl"));
        let entries = cluster
            .lines()
            .skip(1)
            .map(|line| serde_json::from_str(line).unwrap());
        let resources: Vec<Value> = entries
            .map(|mut line: Value| line["entry"]["object"].take())
            .filter(|object| object["kind"] == "StreamPipeline")
            .collect();
        assert!(resources.len() > 4);
        for resource in resources {
            assert!(resource["status"].is_object(), "{resource}");
            assert_eq!(support::schema_errors(&resource), [""; 0], "{resource}");
            let typed: api::StreamPipeline = serde_json::from_value(resource.clone()).unwrap();
            assert_eq!(
                serde_json::to_value(&typed).unwrap()["status"],
                resource["status"]
            );
        }
    }
}
