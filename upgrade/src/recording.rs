//! A recording: a pipeline that was stopped in the middle, as the programs of a release left it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use testbed::{Kafka, Postgres};

use crate::pipeline::{
    EVENTS, GENERATORS, KINDS, MANIFEST, MEASUREMENTS, Place, SHARDS, Sink, TOPICS, WORKERS, event,
    measurements,
};
use crate::programs::Programs;
use crate::topic::{self, Record, Topic};
use crate::{PATIENCE, offsets, postgres, sqlite};

/// Events that the generator has produced before the workers are stopped, in all, and that it produces next.
pub const PRODUCED: [u32; 3] = [240, 360, 440];
/// Only for what is told of the rate; the recorded runs are unlimited.
pub const RATE: u32 = 1_000;
/// Workers commit their positions as often as that at least.
const COMMITS: Duration = Duration::from_secs(8);

const BOTH: [Sink; 2] = [Sink::Postgres, Sink::Sqlite];

/// A folder of files.
#[derive(Debug, Clone)]
pub struct Recording(PathBuf);

impl Recording {
    /// Of the programs of a revision; part of the repository.
    #[must_use]
    pub fn of(revision: &str) -> Self {
        Self(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("recordings")
                .join(revision),
        )
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    fn text(&self, file: &str) -> String {
        let path = self.path(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_str(&self.text(file)).unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path(file), text).unwrap();
    }

    /// The manifest with its places for addresses.
    #[must_use]
    pub fn manifest(&self) -> String {
        self.text("manifest.yaml")
    }

    /// A topic as it was.
    #[must_use]
    pub fn topic(&self, name: &str) -> Topic {
        Topic::load(&self.path(&format!("{name}.jsonl")))
    }

    /// The events that the recorded generator produced next.
    #[must_use]
    pub fn next_events(&self) -> Vec<Record> {
        Topic::load(&self.path("next.jsonl")).records
    }

    /// What the recorded `streampipeline` said of the audit.
    #[must_use]
    pub fn audit(&self, sink: Sink) -> Value {
        self.json(&format!("{}-audit.json", name(sink)))
    }

    /// The dead letters, as the recorded `streampipeline` listed them.
    #[must_use]
    pub fn dead_letters(&self, sink: Sink) -> Vec<Value> {
        serde_json::from_value(self.json(&format!("{}-dead-letters.json", name(sink)))).unwrap()
    }

    /// Puts everything back.
    pub async fn restore(&self, programs: &Programs, kafka: &Kafka, pg: &Postgres) -> Place {
        let place = Place::new(programs, &self.manifest(), RATE, kafka, pg).await;
        for (name, _) in TOPICS {
            self.topic(name).restore(&place.bootstrap).await;
        }
        offsets::restore(&place.bootstrap, &offsets::load(&self.path("offsets.jsonl")));
        postgres::restore(&place.url, &self.text("postgres.sql")).await;
        sqlite::restore(&place.file(), &self.text("sqlite.sql")).await;
        place
    }

    /// Runs the pipeline with these programs, stops it in the middle, and writes down what it left behind.
    pub async fn record(&self, programs: &Programs) {
        std::fs::create_dir_all(&self.0).unwrap();
        let kafka = Kafka::start().await.unwrap();
        let pg = Postgres::start().await.unwrap();
        let place = Place::new(programs, MANIFEST, RATE, &kafka, &pg).await;
        self.write("manifest.yaml", MANIFEST);
        self.write("kinds.csv", KINDS);
        for (name, partitions) in TOPICS {
            topic::create(&place.bootstrap, name, partitions).await;
        }
        first_half(&place).await;
        second_half(&place).await;
        self.keep(&place).await;
        self.keep_next(&place).await;
    }

    async fn keep(&self, place: &Place) {
        for (name, _) in TOPICS {
            Topic::read(&place.bootstrap, name).save(&self.path(&format!("{name}.jsonl")));
        }
        let groups = [(WORKERS, EVENTS), (WORKERS, MEASUREMENTS), (GENERATORS, SHARDS)];
        let committed = groups.map(|(group, topic)| offsets::read(&place.bootstrap, group, topic));
        offsets::save(&self.path("offsets.jsonl"), &committed.concat());
        self.write("postgres.sql", &postgres::dump(&place.url).await);
        self.write("sqlite.sql", &sqlite::dump(&place.file()).await);
        for sink in BOTH {
            let pretty = |value: Value| format!("{value:#}\n");
            self.write(
                &format!("{}-audit.json", name(sink)),
                &pretty(place.audit(sink).1),
            );
            let letters = place.dead_letters(sink).into();
            self.write(&format!("{}-dead-letters.json", name(sink)), &pretty(letters));
        }
    }

    async fn keep_next(&self, place: &Place) {
        let before = Topic::read(&place.bootstrap, EVENTS);
        place.generate(PRODUCED[2]).await;
        let mut after = Topic::read(&place.bootstrap, EVENTS);
        let end = |record: &Record| before.ends[usize::try_from(record.partition).unwrap()];
        after.records.retain(|record| record.offset >= end(record));
        after.save(&self.path("next.jsonl"));
    }
}

fn name(sink: Sink) -> &'static str {
    match sink {
        Sink::Postgres => "postgres",
        Sink::Sqlite => "sqlite",
    }
}

/// What both sinks store; then the workers are stopped, some in order and some not.
async fn first_half(place: &Place) {
    for sink in BOTH {
        place.prepare(sink);
    }
    place.generate(PRODUCED[0]).await;
    let play = r#"{"user_id": 9001, "track_id": 7, "event_timestamp": "2026-01-01T05:00:00Z", "event_type": "streaming"}"#;
    let sent = [
        event(9_002, r#"{"user_id": "#, None),
        event(9_003, r#"{"user_id": "many", "track_id": 1}"#, None),
        event(9_004, "not even \u{1b}[2J JSON", None),
        // Number 2 comes late.
        event(9_001, play, Some(0)),
        event(9_001, play, Some(1)),
        event(9_001, play, Some(3)),
    ];
    topic::send(&place.bootstrap, EVENTS, &sent);
    topic::send(&place.bootstrap, MEASUREMENTS, &measurements(0));
    for sink in BOTH {
        let mut workers = [place.worker(sink, "worker-a"), place.worker(sink, "worker-b")];
        place.drained(sink).await;
        tokio::time::sleep(COMMITS).await;
        let [killed, stopped] = &mut workers;
        killed.kill().unwrap();
        stopped.terminate().unwrap();
        stopped.wait(PATIENCE).await.unwrap();
        for model in ["likes_by_track", "recommendations"] {
            place.model(sink, model);
        }
    }
}

/// What no worker has read yet.
async fn second_half(place: &Place) {
    for sink in BOTH {
        let letters = place.dead_letters(sink);
        let id = letters.iter().find(|letter| letter["key"] == "9003").unwrap()["id"].to_string();
        let _ = place.run(sink, "dead-letters", &["replay", "--id", id.trim_matches('"')]);
    }
    place.generate(PRODUCED[1]).await;
    let like = r#"{"user_id": 9001, "track_id": 7, "event_timestamp": "2026-01-01T06:00:00Z", "event_type": "like"}"#;
    topic::send(&place.bootstrap, EVENTS, &[event(9_001, like, Some(2))]);
    topic::send(&place.bootstrap, MEASUREMENTS, &measurements(100));
}
