//! What the tests against a real Kafka share: a manifest, the program, and the proof that a topic holds exactly
//! the events of the seed.

#![allow(dead_code, reason = "no test program uses all of it")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use api::{Generator, Pipeline};
use generator::music::Encoder;
use generator::stream::EventStream;
use kafka::formats::partitioner::partition_for;
use kafka::formats::sequence::{HEADER, RecordSequence};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use testbed::Process;

pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A pipeline of its own, with a topic of its own.
pub(crate) struct Scene {
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
    manifest: String,
    directory: tempfile::TempDir,
}

/// A record as it was read back.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) partition: i32,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) sequence: RecordSequence,
}

impl Scene {
    /// `generator` are further lines of `spec.generator`.
    pub(crate) fn new(name: &str, bootstrap: String, partitions: i32, generator: &[&str]) -> Self {
        let topic = format!("{name}_events");
        let manifest = format!(
            "apiVersion: streampipeline.dev/v1alpha1\n\
             kind: StreamPipeline\n\
             metadata: {{name: {name}}}\n\
             spec:\n\
             \x20 kafka: {{bootstrapServers: \"{bootstrap}\"}}\n\
             \x20 topics:\n\
             \x20   - name: {topic}\n\
             \x20     partitions: {partitions}\n\
             \x20     fields: {{user_id: int, track_id: int, event_timestamp: timestamp, event_type: string}}\n\
             \x20 generator:\n\
             \x20   music: {{users: 1000, tracks: 1140}}\n\
             \x20   {generator}\n\
             \x20 tables:\n\
             \x20   - {{name: events, sql: SELECT user_id FROM {topic}, write: {{append: {{}}}}}}\n\
             \x20 sink: {{sqlite: {{path: unused.db}}}}\n",
            generator = generator.join("\n    "),
        );
        let scene = Self {
            bootstrap,
            topic,
            manifest: String::new(),
            directory: tempfile::tempdir().unwrap(),
        };
        scene.with_manifest(manifest)
    }

    fn with_manifest(self, manifest: String) -> Self {
        std::fs::write(self.file(), &manifest).unwrap();
        Self { manifest, ..self }
    }

    /// From now on the manifest is another one.
    pub(crate) fn replace(self, from: &str, to: &str) -> Self {
        assert!(self.manifest.contains(from));
        let manifest = self.manifest.replace(from, to);
        self.with_manifest(manifest)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("pipeline.yaml")
    }

    pub(crate) fn pipeline(&self) -> Pipeline {
        runtime::manifest::load(&self.file()).unwrap().1
    }

    pub(crate) fn generator(&self) -> Generator {
        self.pipeline().generator.unwrap()
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// Starts the program.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Process {
        let file = self.file();
        let mut all = vec!["--file", file.to_str().unwrap(), "--log-format", "text"];
        all.extend_from_slice(arguments);
        let none: [(&str, &str); 0] = [];
        Process::spawn(env!("CARGO_BIN_EXE_streampipeline-generator"), all, none).unwrap()
    }

    /// Starts the program and waits for its end, which is to be a good one.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        let mut process = self.spawn(arguments);
        let status = process.wait(PATIENCE).await.unwrap();
        let errors = process.stderr().unwrap();
        assert!(status.success(), "{status}:\n{errors}");
        errors
    }

    /// All committed records of the topic, in the order of each partition.
    pub(crate) fn read(&self) -> Vec<Read> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()
            .unwrap();
        let metadata = consumer.fetch_metadata(Some(&self.topic), PATIENCE).unwrap();
        let partitions = metadata.topics()[0].partitions().len();
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment
                .add_partition_offset(&self.topic, partition as i32, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&assignment).unwrap();
        let mut records = Vec::new();
        let mut ended = 0;
        while ended < partitions {
            match consumer.poll(PATIENCE).expect("a record or an end") {
                Ok(message) => {
                    let header = message
                        .headers()
                        .unwrap()
                        .iter()
                        .find(|header| header.key == HEADER)
                        .unwrap();
                    records.push(Read {
                        partition: message.partition(),
                        key: message.key().unwrap().to_vec(),
                        value: message.payload().unwrap().to_vec(),
                        sequence: RecordSequence::decode(header.value.unwrap()).unwrap(),
                    });
                }
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("{error}"),
            }
        }
        records
    }

    /// The topic holds the first `count` events of the seed, each once, the events of a key in order, all in one
    /// run, whose numbers have no gap. `partitions`: how many the topic had all the time, if it had.
    pub(crate) fn assert_exactly(&self, records: &[Read], count: u64, partitions: Option<i32>) {
        assert_numbered(records);
        let mut runs: Vec<u64> = records.iter().map(|record| record.sequence.run).collect();
        runs.sort_unstable();
        runs.dedup();
        assert_eq!(runs.len(), 1, "runs {runs:?}");
        assert_eq!(records.len() as u64, count);

        let stream = EventStream::new(&self.generator()).unwrap();
        let mut encoder = Encoder::default();
        // Events without their times, which are when they were due; by shard and key, in order.
        let mut expected: BTreeMap<(u16, Vec<u8>), Vec<String>> = BTreeMap::new();
        for shard in 0..stream.shards().count() {
            for event in stream.shard_within(shard, count) {
                let (key, value) = encoder.encode(&event.event, 0);
                expected
                    .entry((shard, key.to_vec()))
                    .or_default()
                    .push(timeless(value));
            }
        }
        let mut actual: BTreeMap<(u16, Vec<u8>), Vec<String>> = BTreeMap::new();
        for record in records {
            if let Some(partitions) = partitions {
                assert_eq!(record.partition, partition_for(&record.key, partitions));
            }
            let events = actual
                .entry((record.sequence.shard, record.key.clone()))
                .or_default();
            events.push(timeless(&record.value));
        }
        if partitions.is_none() {
            // A key that has moved to another partition has no order any more.
            for events in expected.values_mut().chain(actual.values_mut()) {
                events.sort_unstable();
            }
        }
        assert_eq!(
            expected.keys().collect::<Vec<_>>(),
            actual.keys().collect::<Vec<_>>()
        );
        for (place, events) in &expected {
            assert_eq!(&actual[place], events, "shard {}", place.0);
        }
    }
}

/// The numbers of every (run, shard, partition) are 0, 1, 2 … in the order of the partition.
pub(crate) fn assert_numbered(records: &[Read]) {
    let mut next: BTreeMap<(u64, u16, i32), u64> = BTreeMap::new();
    for record in records {
        let RecordSequence { run, shard, number } = record.sequence;
        let expected = next.entry((run, shard, record.partition)).or_default();
        assert_eq!(
            number, *expected,
            "run {run}, shard {shard}, partition {}",
            record.partition
        );
        *expected += 1;
    }
}

fn timeless(value: &[u8]) -> String {
    let mut event: serde_json::Value = serde_json::from_slice(value).unwrap();
    event.as_object_mut().unwrap().remove("event_timestamp").unwrap();
    event.to_string()
}

/// Numbers that a failed test can be repeated with: set `SEED` to what it printed.
pub(crate) struct Seed(u64);

impl Seed {
    pub(crate) fn print() -> Self {
        let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| std::process::id().into());
        println!("SEED={seed}");
        Self(seed)
    }

    /// Uniform in the range.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        from + (self.0 >> 33) % (to - from)
    }
}
