//! The pipeline that is recorded and upgraded, at one Kafka with two sinks.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testbed::{Kafka, Postgres, Process, eventually};

use crate::PATIENCE;
use crate::programs::Programs;
use crate::topic::{Bytes, Record};

/// The pipeline's name.
pub const NAME: &str = "recorded";
/// The generator fills it.
pub const EVENTS: &str = "recorded_events";
/// Records of every type, that no generator makes.
pub const MEASUREMENTS: &str = "recorded_measurements";
/// Has a partition for each of the generator's shards, and no records.
pub const SHARDS: &str = "streampipeline-recorded-generator-shards";
/// Has the positions of the workers, with what they report.
pub const WORKERS: &str = "streampipeline-recorded";
/// Has the generator's checkpoints.
pub const GENERATORS: &str = "streampipeline-recorded-generator";
/// Partitions of [`EVENTS`], [`MEASUREMENTS`] and [`SHARDS`].
pub const TOPICS: [(&str, usize); 3] = [(EVENTS, 3), (MEASUREMENTS, 2), (SHARDS, 4)];

/// Of the manifest that is recorded now; a recording has its own.
pub const MANIFEST: &str = include_str!("../pipeline/manifest.yaml");
/// What the reference `kinds` is loaded from.
pub const KINDS: &str = include_str!("../pipeline/kinds.csv");

/// Where a pipeline's rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// A database of the test bed's server.
    Postgres,
    /// A file in the pipeline's folder.
    Sqlite,
}

/// The pipeline with programs to run it.
pub struct Place {
    folder: tempfile::TempDir,
    programs: Programs,
    /// Addresses of the brokers.
    pub bootstrap: String,
    /// Of the database in PostgreSQL.
    pub url: String,
}

impl Place {
    /// With an empty database. `manifest` has the places `{bootstrap}`, `{rate}` and `{sink}`.
    pub async fn new(
        programs: &Programs,
        manifest: &str,
        rate: u32,
        kafka: &Kafka,
        postgres: &Postgres,
    ) -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            programs: programs.clone(),
            bootstrap: kafka.bootstrap(),
            url: postgres.create_database(NAME).await.unwrap(),
        };
        let in_postgres = format!(
            "{{postgres: {{host: {}, port: {}, database: {NAME}, secretRef: {{name: db}}, tls: Disable}}}}",
            postgres.host(),
            postgres.port()
        );
        let sinks = [
            (Sink::Postgres, in_postgres),
            (Sink::Sqlite, "{sqlite: {path: rows.db}}".to_owned()),
        ];
        for (sink, text) in sinks {
            let manifest = manifest
                .replace("{bootstrap}", &place.bootstrap)
                .replace("{rate}", &rate.to_string())
                .replace("{sink}", &text);
            place.write(manifest_file(sink), &manifest);
        }
        place.write("kinds.csv", KINDS);
        place.write("secrets/db/username", postgres.user());
        place.write("secrets/db/password", postgres.password());
        place
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Where the programs run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file of the sink SQLite.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder().join("rows.db")
    }

    /// From now on these programs are started. What runs goes on running.
    pub fn replace(&mut self, programs: &Programs) {
        self.programs = programs.clone();
    }

    /// Runs a subcommand of `streampipeline` on the pipeline, which has to end well.
    #[must_use]
    pub fn run(&self, sink: Sink, command: &str, arguments: &[&str]) -> String {
        let all = with_file(command, sink, arguments);
        self.programs.run("streampipeline", self.folder(), &all)
    }

    /// The same, whatever its end.
    #[must_use]
    pub fn outcome(&self, sink: Sink, command: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
        let all = with_file(command, sink, arguments);
        self.programs.outcome("streampipeline", self.folder(), &all)
    }

    /// Makes tables, and loads references.
    pub fn prepare(&self, sink: Sink) {
        let arguments = with_file("prepare", sink, &[]);
        let _ = self
            .programs
            .run("streampipeline-worker", self.folder(), &arguments);
    }

    /// Makes the table of a model.
    pub fn model(&self, sink: Sink, name: &str) {
        let arguments = with_file("model", sink, &[name]);
        let _ = self
            .programs
            .run("streampipeline-worker", self.folder(), &arguments);
    }

    /// Starts a worker.
    #[must_use]
    pub fn worker(&self, sink: Sink, name: &str) -> Process {
        let arguments = with_file("run", sink, &["--name", name]);
        self.programs
            .spawn("streampipeline-worker", self.folder(), &arguments)
    }

    /// Starts a generator.
    #[must_use]
    pub fn generator(&self, arguments: &[&str]) -> Process {
        let mut all = vec!["-f", manifest_file(Sink::Postgres)];
        all.extend(arguments);
        self.programs
            .spawn("streampipeline-generator", self.folder(), &all)
    }

    /// Runs the generator until there are so many events in all.
    pub async fn generate(&self, count: u32) {
        let mut generator = self.generator(&["--count", &count.to_string(), "--unlimited"]);
        let status = generator.wait(PATIENCE).await.unwrap();
        assert!(status.success(), "{}", generator.output().unwrap());
    }

    /// What the audit says, and whether it found nothing.
    #[must_use]
    pub fn audit(&self, sink: Sink) -> (bool, Value) {
        let (code, stdout, stderr) = self.outcome(sink, "audit", &["--json"]);
        assert!(matches!(code, Some(0 | 3)), "{stdout}\n{stderr}");
        (code == Some(0), serde_json::from_str(&stdout).unwrap())
    }

    /// Waits until `wanted` holds of the audit.
    pub async fn until(&self, sink: Sink, wanted: impl Fn(&Value) -> bool) -> Value {
        let look = async || {
            let (_, audit) = self.audit(sink);
            if wanted(&audit) {
                Ok(audit)
            } else {
                Err(audit.to_string())
            }
        };
        eventually(PATIENCE, look).await.unwrap()
    }

    /// Waits until nothing is unread.
    pub async fn drained(&self, sink: Sink) -> Value {
        self.until(sink, |audit| audit["unread"] == 0).await
    }

    /// Every dead letter as `list --json` has it.
    #[must_use]
    pub fn dead_letters(&self, sink: Sink) -> Vec<Value> {
        let list = self.run(sink, "dead-letters", &["list", "--json", "--limit", "1000"]);
        serde_json::from_str(&list).unwrap()
    }
}

fn manifest_file(sink: Sink) -> &'static str {
    match sink {
        Sink::Postgres => "postgres.yaml",
        Sink::Sqlite => "sqlite.yaml",
    }
}

fn with_file<'a>(command: &'a str, sink: Sink, arguments: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![command, "-f", manifest_file(sink), "--secrets", "secrets"];
    all.extend(arguments);
    all
}

/// An event that no generator made, with its number if it has one. The run of these numbers is 1, their shard 0.
#[must_use]
pub fn event(user: u32, value: &str, number: Option<u64>) -> Record {
    let header = |number: u64| {
        let mut bytes = 1_u64.to_be_bytes().to_vec();
        bytes.extend(0_u16.to_be_bytes());
        bytes.extend(number.to_be_bytes());
        ("sp".to_owned(), Bytes(bytes))
    };
    Record {
        partition: 1,
        offset: 0,
        timestamp: 1_767_225_600_000,
        key: Some(Bytes(user.to_string().into_bytes())),
        value: Some(Bytes(value.as_bytes().to_vec())),
        headers: number.map(header).into_iter().collect(),
    }
}

/// Twelve measurements, counted from `first`, which are the same for every `first`: of every type its extremes, and what is
/// not there.
#[must_use]
pub fn measurements(first: u32) -> Vec<Record> {
    let values = [
        json!({"flag": true, "large": i64::MAX, "single": 1.5, "precise": 1234.5678, "label": "plain",
               "seen": "2026-01-31T12:00:00Z", "seen_ms": 1_769_860_800_123_i64, "seen_s": 1_769_860_800,
               "tags": ["a", "b"], "attributes": {"k": "v"}, "place": {"city": "Ulm", "at": {"x": 1.0, "y": -2.5}}}),
        json!({"flag": false, "large": i64::MIN, "single": -0.25, "precise": 1e-9, "label": "quotes ' \" \\ and\nlines",
               "seen": "2026-02-28T23:59:59.999999+01:00", "seen_ms": 0, "seen_s": -1,
               "tags": [], "attributes": {}, "place": {"city": null}}),
        json!({}),
        json!({"label": "", "tags": ["", null, "{,}", "\"quoted\""], "attributes": {"": "", "ü": "ß"}}),
        json!({"label": "äöü 漢字 🎵", "precise": -0.0005, "seen": "1969-12-31T23:59:59.5Z"}),
        json!({"flag": null, "large": 0, "single": 3.4e38, "precise": 99_999_999.999, "place": {}}),
    ];
    let twice = values.iter().chain(&values);
    (first..)
        .zip(twice)
        .map(|(id, value)| {
            let mut value = value.clone();
            value["id"] = json!(id);
            Record {
                partition: i32::try_from(id % 2).unwrap(),
                offset: 0,
                timestamp: 1_767_225_600_000 + i64::from(id),
                key: None,
                value: Some(Bytes(value.to_string().into_bytes())),
                headers: Vec::new(),
            }
        })
        .collect()
}
