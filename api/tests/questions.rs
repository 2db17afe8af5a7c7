//! What a validated pipeline answers to those who need not know what kinds of sinks there are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use api::{Endpoint, Pipeline};

const COMPLETE: &str = include_str!("support/complete.yaml");
const SMALL: &str = include_str!("support/small.yaml");

fn read(yaml: &str) -> Pipeline {
    let resource = api::parse(yaml).unwrap();
    api::validate(&resource).unwrap_or_else(|problems| panic!("{problems}"))
}

fn with_sqlite(path: &str) -> Pipeline {
    let mut resource = api::parse(COMPLETE).unwrap();
    resource.spec.sink = api::crd::SinkSpec {
        sqlite: Some(api::crd::SqliteSpec {
            path: path.to_owned(),
        }),
        ..api::crd::SinkSpec::default()
    };
    api::validate(&resource).unwrap()
}

/// Whoever gives secrets to pods, or looks whether they are there, asks for nothing else.
#[test]
fn every_secret_is_told_with_its_place_its_keys_and_its_purpose() {
    let secrets = |pipeline: &Pipeline| -> Vec<String> {
        let uses = pipeline.secrets().into_iter();
        uses.map(|needed| {
            let keys = needed.keys.join(" and ");
            format!(
                "{}: {keys} of {} for {:?}",
                needed.path, needed.secret.name, needed.purpose
            )
        })
        .collect()
    };
    let mut complete = secrets(&read(COMPLETE));
    let sink = complete.pop().unwrap();
    assert!(
        sink.starts_with("spec.sink.postgres.secretRef: username and password of "),
        "{sink}"
    );
    assert!(sink.ends_with(" for Sink"), "{sink}");
    assert_eq!(
        complete,
        [
            "spec.kafka.security.sasl.secretRef: username and password of kafka-user for Kafka",
            "spec.kafka.security.tls.caSecretRef: ca.crt of kafka-ca for Kafka",
            "spec.kafka.security.tls.certificateSecretRef: tls.crt and tls.key of kafka.client for Kafka",
        ]
    );
    assert_eq!(secrets(&with_sqlite("a.db")), complete, "a file needs none");
}

#[test]
fn a_database_is_reached_over_the_network() {
    let mut resource = api::parse(COMPLETE).unwrap();
    let spec = resource.spec.sink.postgres.as_mut().unwrap();
    (spec.host, spec.port, spec.max_connections) = ("db".to_owned(), 5433, 1);
    (spec.database, spec.schema) = ("music".to_owned(), "public".to_owned());
    spec.secret_ref.name = "login".to_owned();
    let sink = api::validate(&resource).unwrap().sink;
    assert_eq!(
        sink.endpoints(),
        [Endpoint {
            host: "db".to_owned(),
            port: 5433
        }]
    );
    assert_eq!(sink.place(), "PostgreSQL db:5433/music");
    assert_eq!(
        sink.describe(),
        "PostgreSQL db:5433/music, schema public, TLS Require, secret login, at most 1 connection a worker"
    );
    assert_eq!(
        (sink.file(), sink.runs_in_cluster(), sink.parallel_batches()),
        (None, Ok(()), 1)
    );
    let several = read(COMPLETE).sink;
    assert_eq!(several.parallel_batches(), 2);
    assert!(several.describe().ends_with("at most 2 connections a worker"));
}

#[test]
fn a_file_is_of_one_machine() {
    let sink = with_sqlite("/data/music.db").sink;
    assert_eq!(sink.endpoints(), []);
    assert_eq!(sink.file(), Some(std::path::Path::new("/data/music.db")));
    assert_eq!(sink.place(), "SQLite file /data/music.db");
    assert_eq!(sink.describe(), "SQLite music.db");
    assert_eq!(sink.parallel_batches(), 1);
    assert_eq!(
        sink.runs_in_cluster().unwrap_err().to_string(),
        "spec.sink.sqlite: a SQLite file is on one machine, and pods are on many; use postgres, or run the pipeline by \
         `streampipeline up`"
    );
}

/// A path that is forgotten here would be looked for in the directory where a program was started.
#[test]
fn every_path_of_a_manifest_is_found() {
    let mut resource = api::parse(COMPLETE).unwrap();
    resource.spec.generator.as_mut().unwrap().music =
        serde_json::from_value(serde_json::json!({"catalogue": {"csv": {"path": "tracks.csv"}}})).unwrap();
    resource.spec.sink = serde_json::from_value(serde_json::json!({"sqlite": {"path": "music.db"}})).unwrap();
    let paths: Vec<&mut String> = resource.spec.paths_mut().collect();
    assert_eq!(paths, ["tracks.csv", "data/states.csv", "music.db"]);
    let mut small = api::parse(SMALL).unwrap();
    small.spec.sink = api::crd::SinkSpec::default();
    assert_eq!(small.spec.paths_mut().count(), 0);
}
