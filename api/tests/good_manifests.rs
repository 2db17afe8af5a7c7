//! Manifests that are right pass the API server and the command line alike, and mean what they say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::time::Duration;

use api::{CatalogueSource, Chart, EventTime, GeneratorLimit, RateShape, Sink, Source, TlsMode, Write};
use api::{Pipeline, StreamPipeline};

const MUSIC: &str = include_str!("../../deploy/pipelines/music.yaml");

/// As little as a pipeline can be.
const MINIMAL: &str = include_str!("support/small.yaml");

fn read(yaml: &str) -> (StreamPipeline, Pipeline) {
    let resource = api::parse(yaml).unwrap();
    let pipeline = api::validate(&resource).unwrap_or_else(|problems| panic!("{problems}"));
    (resource, pipeline)
}

#[test]
fn they_pass_the_api_server_as_written_and_with_defaults() {
    for yaml in [MUSIC, MINIMAL, support::COMPLETE] {
        let (resource, _) = read(yaml);
        let written: serde_json::Value = serde_yaml::from_str(yaml).unwrap();
        let with_defaults = serde_json::to_value(&resource).unwrap();
        for object in [written, with_defaults] {
            assert_eq!(support::schema_errors(&object), [""; 0], "{yaml}");
            assert_eq!(support::cel_errors(&object, None), [], "{yaml}");
        }
    }
}

#[test]
fn the_resource_survives_json() {
    for yaml in [MUSIC, MINIMAL, support::COMPLETE] {
        let (resource, _) = read(yaml);
        let json = serde_json::to_string(&resource).unwrap();
        assert!(
            !json.contains("null,") && !json.contains("null}"),
            "absent is absent, not null: {json}"
        );
        assert_eq!(serde_json::from_str::<StreamPipeline>(&json).unwrap(), resource);
    }
}

/// What `kubectl get -o yaml` gives can be checked again, with all that a cluster adds.
#[test]
fn a_manifest_comes_back_from_a_cluster() {
    let (mut resource, pipeline) = read(support::COMPLETE);
    resource.metadata.resource_version = Some("12".to_owned());
    resource.metadata.generation = Some(3);
    let status = serde_json::json!({
        "phase": "Running", "observedGeneration": 3, "workers": 2, "selector": "app=x", "rate": 12.5, "lag": 0,
        "audit": "missing 0, doubled 0", "rows": {"appended": 7}, "deadLetters": 1,
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Running", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 3,
        }],
    });
    resource.status = Some(serde_json::from_value(status.clone()).unwrap());
    let yaml = serde_yaml::to_string(&resource).unwrap();
    let (again, same) = read(&yaml);
    assert_eq!(again, resource);
    assert_eq!(same, pipeline);
    let object = serde_json::to_value(&again).unwrap();
    assert_eq!(object["status"], status);
    assert_eq!(support::schema_errors(&object), [""; 0]);
}

#[test]
fn what_is_not_written_has_its_default() {
    let (_, pipeline) = read(MINIMAL);
    assert_eq!(pipeline.topics[0].partitions, 1);
    assert_eq!(pipeline.tables[0].write, Write::Append);
    assert_eq!(pipeline.generator, None);
    assert_eq!(pipeline.batch.max_records, 50_000);
    assert_eq!(pipeline.batch.max_bytes, 16 << 20);
    assert_eq!(pipeline.batch.max_wait, Duration::from_secs(1));
    assert!((pipeline.dead_letters.halt_above - 0.5).abs() < f64::EPSILON);
    assert_eq!(
        (
            pipeline.scaling.min,
            pipeline.scaling.max,
            pipeline.scaling.replicas
        ),
        (1, 1, None)
    );

    let generator = |text: &str| {
        let fields = "{user_id: int, track_id: int, event_timestamp: timestamp, event_type: string}";
        let yaml = MINIMAL
            .replace("{a: int}", fields)
            .replace("tables:", &format!("generator: {text}\n  tables:"));
        read(&yaml).1.generator.unwrap()
    };
    let plain = generator("{music: {}}");
    assert_eq!(plain.topic.as_str(), "events", "the only topic");
    assert_eq!(
        (plain.seed, plain.shards, plain.replicas, plain.paused),
        (42, 64, 1, false)
    );
    assert!((plain.rate - 10.0).abs() < f64::EPSILON);
    assert_eq!(
        (plain.shape, plain.event_time),
        (RateShape::Constant, EventTime::Now)
    );
    assert_eq!(plain.limit, GeneratorLimit::default());
    let Source::Music(music) = plain.source;
    assert_eq!(music.users, 10_000);
    assert_eq!(
        music.catalogue,
        CatalogueSource::Generated {
            tracks: 114_000,
            genres: 114
        }
    );

    let weights = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23";
    let day = generator(&format!(
        "{{music: {{catalogue: {{csv: {{path: my.csv}}}}}}, shape: {{day: {{weights: [{weights}]}}}}, eventTime: {{now: {{}}}}}}"
    ));
    let RateShape::Day { weights, period } = day.shape else {
        panic!("{day:?}")
    };
    assert_eq!((weights.len(), period), (24, Duration::from_hours(24)));
    let Source::Music(music) = day.source;
    assert_eq!(music.catalogue, CatalogueSource::Csv("my.csv".into()));
}

#[test]
fn everything_that_is_written_arrives() {
    let (_, pipeline) = read(support::COMPLETE);
    // The Debug text names every field, so a converter that drops or mixes up one is seen here.
    let text = format!("{pipeline:#?}");
    for expected in [
        r#""kafka-1.kafka:9092""#,
        r#""[::1]:9092""#,
        "SaslSsl",
        "ScramSha512",
        r#""kafka-user""#,
        r#""kafka-ca""#,
        r#""kafka.client""#,
        r#""retention.ms": "86400000""#,
        "start_from: Latest",
        "start_from: Earliest",
        "users: 100",
        "tracks: 1000",
        "genres: 10",
        "like_share: 0.5",
        r#""k-pop""#,
        "rate: 0.5",
        "every: 300s",
        "lasting: 500ms",
        "rate: 1000.0",
        "from: 2026-01-01T00:00:00Z",
        "to: 2026-01-31T23:00:00Z",
        "seed: 7",
        "shards: 8",
        "replicas: 8",
        "paused: true",
        r#"Generated(
                "music.users""#,
        r#"path: "data/states.csv""#,
        r#""NA""#,
        "InsertOnce",
        "Upsert",
        "Merge",
        "function: Sum",
        "function: Min",
        "function: Max",
        r#""0 4 * * mon-fri""#,
        "Recommender",
        "top: 5",
        "chart: Line",
        r#"title: "First report""#,
        r#"title: "second""#,
        "postgres: Some(
                    \"SELECT 1\"",
        "sqlite: Some(
                    \"SELECT 2\"",
        r#"title: "Country""#,
        "parameter_type: String",
        "parameter_type: Int",
        r#"name: "user""#,
        r#""DE""#,
        r#""SELECT user_id FROM once""#,
        "port: 5433",
        r#"schema: "stream""#,
        "tls: Require",
        "max_connections: 2",
        "max_records: 1000",
        "max_bytes: 1048576",
        "max_wait: 200ms",
        "halt_above: 1.0",
        "min: 2",
        "max: 6",
        "drain_within: 120s",
        "mode: Recommend",
        "deletion_policy: Delete",
        "workers: true",
        r#""registry.example:5000/streampipeline:1.0""#,
        "Always",
        r#""team": "music""#,
        r#""cluster-autoscaler.kubernetes.io/safe-to-evict": "true""#,
        r#""cpu": "500m""#,
        r#""memory": "1.5Gi""#,
        r#""kubernetes.io/arch": "amd64""#,
        "toleration_seconds: Some(
                        30,",
        r#"topology_key: "zone""#,
        r#""low""#,
        r#""disk": "ssd""#,
        "iam.gke.io/gcp-service-account",
        r#"name: "registry""#,
        r#""tests""#,
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    assert_eq!(pipeline.scaling.replicas, Some(4));
    let limit = pipeline.generator.unwrap().limit;
    assert_eq!(
        (limit.count, limit.duration),
        (Some(1000), Some(Duration::from_mins(90)))
    );
    assert_eq!(pipeline.topics[0].event_time.as_deref(), Some("event_timestamp"));
    let Write::Merge { key, columns } = &pipeline.tables[3].write else {
        panic!()
    };
    assert_eq!(
        (key.as_slice(), columns.len()),
        (["track_id".to_owned()].as_slice(), 3)
    );
}

/// The number of workers that could have something to do.
#[test]
fn the_most_workers_are_as_many_as_partitions_unless_more_are_asked_for() {
    for (scaling, max) in [
        ("{}", 512),
        ("{min: 600}", 600),
        ("{replicas: 700}", 700),
        ("{max: 3}", 3),
    ] {
        let before = "{min: 2, max: 6, drainWithin: 2m, mode: Recommend, replicas: 4}";
        assert!(support::COMPLETE.contains(before));
        assert_eq!(
            read(&support::COMPLETE.replace(before, scaling)).1.scaling.max,
            max,
            "{scaling}"
        );
    }
}

#[test]
fn music_is_what_system_music_was() {
    let (_, music) = read(MUSIC);
    assert_eq!(music.name.as_str(), "music");
    assert_eq!(
        (music.topics[0].name.as_str(), music.topics[0].partitions),
        ("music_streaming_data", 12)
    );
    let references: Vec<&str> = music
        .references
        .iter()
        .map(|reference| reference.name.as_str())
        .collect();
    assert_eq!(
        references,
        ["users", "bulk_track_raw_data", "artists", "albums", "tracks"]
    );
    let tables: Vec<&str> = music.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(
        tables,
        [
            "track_stream_event_log",
            "track_like_event_log",
            "plays_by_genre_hour"
        ]
    );
    assert!(music.reports.iter().any(|report| report.chart == Chart::Number));
    let Sink::Postgres(postgres) = &music.sink else {
        panic!("{:?}", music.sink)
    };
    assert_eq!(
        (postgres.secret.name.as_str(), postgres.tls),
        ("music-postgres", TlsMode::VerifyFull)
    );
    assert_eq!(music.scaling.max, 12);
}
