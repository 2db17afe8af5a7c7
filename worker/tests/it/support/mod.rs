//! A pipeline on real servers, and the oracle of every fault test: the rows in PostgreSQL are exactly those of
//! the regenerated stream, and the audit says missing 0, doubled 0.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::{Partition, Pipeline};
use generator::clock::SystemClock;
use generator::destination::Destination;
use generator::music::{Encoder, EventType, Music};
use generator::output::kafka::{KafkaTarget, Replica};
use generator::progress::Progress;
use generator::run::{CATCH_UP, Context};
use generator::stream::EventStream;
use runtime::secrets::Secrets;
use sinks::Sink;
use sqlx::{Connection, PgConnection};
use testbed::{Kafka, Postgres, Process, eventually};
use tokio_util::sync::CancellationToken;
use worker::audit::Totals;
use worker::plan::{Wanted, plan};
use worker::state::PartitionState;

/// Long enough for a busy machine with two cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Names the seed of a run that is to be repeated.
const SEED: &str = "STREAMPIPELINE_TEST_SEED";

/// Partitions of the topic.
pub(crate) const PARTITIONS: i32 = 4;

/// One pipeline with its own topic, database and files. Kafka and PostgreSQL are the test's.
pub(crate) struct Bed {
    pub(crate) name: String,
    pub(crate) database: String,
    pub(crate) bootstrap: String,
    directory: tempfile::TempDir,
    /// Of the generator; what is produced follows from it.
    seed: u32,
    security: String,
    topic: String,
    tables: String,
    tls: &'static str,
    address: (String, u16),
    password: String,
}

/// A play or like as both the stream and the tables have it.
pub(crate) type Row = (i32, i32, i64);

impl Bed {
    /// A pipeline `name` (unique in its servers) with a database of the same name.
    pub(crate) async fn new(name: &str, kafka: &Kafka, postgres: &Postgres) -> Self {
        let database = name.replace('-', "_");
        postgres.create_database(&database).await.unwrap();
        let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
        println!("{name}: {SEED}={seed} produces the same events again");
        let bed = Self {
            name: name.to_owned(),
            database,
            bootstrap: kafka.bootstrap(),
            directory: tempfile::tempdir().unwrap(),
            seed,
            security: String::new(),
            topic: String::new(),
            tables: DEFAULT_TABLES.to_owned(),
            tls: "Disable",
            address: (postgres.host().to_owned(), postgres.port()),
            password: postgres.password().to_owned(),
        };
        bed.secret("database", "username", postgres.user());
        bed.secret("database", "password", &bed.password);
        bed
    }

    /// Puts a key of a secret where the programs look for it.
    pub(crate) fn secret(&self, name: &str, key: &str, value: impl AsRef<[u8]>) {
        let folder = self.secrets().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(key), value).unwrap();
    }

    /// Other brokers' addresses, and `spec.kafka.security`.
    pub(crate) fn secured(mut self, bootstrap: String, security: &str) -> Self {
        self.bootstrap = bootstrap;
        self.security = format!(", security: {security}");
        self
    }

    /// `spec.sink.postgres.tls`.
    pub(crate) fn tls(mut self, tls: &'static str) -> Self {
        self.tls = tls;
        self
    }

    /// More of the topic's settings, each on a line of its own.
    pub(crate) fn topic(mut self, topic: &str) -> Self {
        self.topic = format!("      {topic}\n");
        self
    }

    /// Other tables than the logs of plays and likes.
    pub(crate) fn tables(mut self, tables: &str) -> Self {
        tables.clone_into(&mut self.tables);
        self
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.directory.path().join("secrets")
    }

    /// The manifest, with the database at this address.
    fn manifest(&self, (host, port): (&str, u16)) -> String {
        let Self {
            name,
            database,
            bootstrap,
            seed,
            security,
            topic,
            tls,
            ..
        } = self;
        let tables = self.tables.replace("{topic}", name);
        format!(
            "apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: {name}}}
spec:
  kafka: {{bootstrapServers: \"{bootstrap}\"{security}}}
  topics:
    - name: {name}
      partitions: {PARTITIONS}
      fields: {{user_id: int, track_id: int, event_timestamp: timestamp, event_type: string}}
{topic}  generator:
    music: {{users: 500, tracks: 2000, likeShare: 0.1}}
    rate: 1000
    eventTime: {{window: {{from: \"2026-01-01T00:00:00Z\", to: \"2026-02-01T00:00:00Z\"}}}}
    shards: 8
    seed: {seed}
  tables:
{tables}
  sink:
    postgres: {{host: {host}, port: {port}, database: {database}, tls: {tls}, secretRef: {{name: database}}}}
"
        )
    }

    fn address(&self) -> (&str, u16) {
        (&self.address.0, self.address.1)
    }

    pub(crate) fn pipeline(&self) -> Pipeline {
        api::validate(&api::parse(&self.manifest(self.address())).unwrap()).unwrap()
    }

    /// Creates the topics and the tables.
    pub(crate) async fn prepare(&self) {
        let pipeline = self.pipeline();
        self.target(&pipeline).ensure_topics(&pipeline).await.unwrap();
        let secrets = Secrets::from_environment(Some(self.secrets()));
        worker::prepare::prepare(&pipeline, &secrets, |_| {})
            .await
            .unwrap();
    }

    fn target(&self, pipeline: &Pipeline) -> KafkaTarget {
        let secrets = Secrets::from_environment(Some(self.secrets()));
        let generator = pipeline.generator.as_ref().unwrap();
        let replica = Replica::Passing("test".to_owned());
        let music = Music::load(generator).unwrap();
        KafkaTarget::new(pipeline, generator, &music, &secrets, &replica).unwrap()
    }

    /// Produces the stream's events up to `count` in all, as fast as Kafka takes them, in transactions.
    pub(crate) async fn produce(&self, count: u64) {
        self.produce_at(count, None).await;
    }

    /// The same at a rate, or as fast as Kafka takes them.
    pub(crate) async fn produce_at(&self, count: u64, rate: Option<f64>) {
        let pipeline = self.pipeline();
        let mut generator = pipeline.generator.clone().unwrap();
        generator.limit.count = Some(count);
        generator.rate = rate.unwrap_or(generator.rate);
        let music = Arc::new(Music::load(&generator).unwrap());
        let (_hold, held) = tokio::sync::watch::channel(false);
        // A test that fails meanwhile does not wait for a generator that waits for brokers.
        let shutdown = CancellationToken::new();
        let _ended = shutdown.clone().drop_guard();
        let context = Context {
            threads: 1,
            unlimited: rate.is_none(),
            catch_up: CATCH_UP,
            hold: held,
            clock: Arc::new(SystemClock::new()),
            progress: Arc::new(Progress::new(music.shards().count(), 1)),
            health: runtime::health::Health::new(),
            shutdown,
        };
        let destination = Destination::Transactional(self.target(&pipeline));
        generator::run::run(&generator, music, destination, context)
            .await
            .unwrap();
    }

    /// A worker process.
    pub(crate) fn worker(&self, name: &str) -> Process {
        self.worker_of(name, self.address())
    }

    /// A worker process that reaches the database at another address: a proxy.
    pub(crate) fn worker_at(&self, name: &str, address: std::net::SocketAddr) -> Process {
        self.worker_of(name, (&address.ip().to_string(), address.port()))
    }

    fn worker_of(&self, name: &str, address: (&str, u16)) -> Process {
        let manifest = self.directory.path().join(format!("{name}.yaml"));
        std::fs::write(&manifest, self.manifest(address)).unwrap();
        let secrets = self.secrets();
        let arguments = [
            "run",
            "-f",
            manifest.to_str().unwrap(),
            "--secrets",
            secrets.to_str().unwrap(),
            "--name",
            name,
        ];
        let environment = [("STREAMPIPELINE_LOG", "info,worker=debug")];
        Process::spawn(
            env!("CARGO_BIN_EXE_streampipeline-worker"),
            arguments,
            environment,
        )
        .unwrap()
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        let (host, port) = &self.address;
        let url = format!(
            "postgres://postgres:{}@{host}:{port}/{}",
            self.password, self.database
        );
        PgConnection::connect(&url).await.unwrap()
    }

    pub(crate) async fn sink(&self) -> Sink {
        let pipeline = self.pipeline();
        let plans = plan(&pipeline, Wanted::Columns).await.unwrap();
        let secrets = Secrets::from_environment(Some(self.secrets()));
        Sink::open(&pipeline, plans.definitions().to_vec(), &secrets)
            .await
            .unwrap()
    }

    /// The stored state of every partition.
    pub(crate) async fn states(&self) -> BTreeMap<Partition, (Option<i64>, PartitionState)> {
        let positions = self.sink().await.positions().await.unwrap();
        let state = |json: Option<String>| {
            json.map_or_else(PartitionState::default, |json| {
                PartitionState::from_json(&json).unwrap()
            })
        };
        positions
            .into_iter()
            .map(|position| (position.partition, (position.next_offset, state(position.state))))
            .collect()
    }

    pub(crate) async fn records(&self) -> u64 {
        self.states().await.values().map(|(_, state)| state.records).sum()
    }

    pub(crate) async fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (_, state) in self.states().await.values() {
            totals += state.audit.totals();
        }
        totals
    }

    /// Waits until so many records are stored or dead-lettered.
    pub(crate) async fn stored(&self, count: u64) {
        let at_least = async || {
            let records = self.records().await;
            if records >= count {
                Ok(())
            } else {
                Err(format!("{records} of {count} records are stored"))
            }
        };
        eventually(PATIENCE, at_least).await.unwrap();
    }

    /// The rows that the tables must hold: the stream's first `count` events.
    pub(crate) fn expected(&self, count: u64) -> (Vec<Row>, Vec<Row>) {
        let pipeline = self.pipeline();
        let generator = pipeline.generator.as_ref().unwrap();
        let stream = EventStream::new(generator).unwrap();
        let (mut plays, mut likes) = (Vec::new(), Vec::new());
        for shard in 0..stream.shards().count() {
            for event in stream.shard_within(shard, count) {
                let event = event.event;
                let row = (event.user_id as i32, event.track_id as i32, event.time.unwrap());
                match event.event_type {
                    EventType::Streaming => plays.push(row),
                    EventType::Like => likes.push(row),
                }
            }
        }
        plays.sort_unstable();
        likes.sort_unstable();
        (plays, likes)
    }

    /// The same pipeline, whose database is now on another server.
    pub(crate) fn moved(mut self, postgres: &Postgres) -> Self {
        self.address = (postgres.host().to_owned(), postgres.port());
        self
    }

    /// Waits until a session of the database waits for a lock.
    pub(crate) async fn someone_waits(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let waits = async || {
            sqlx::query_scalar::<_, i64>(waiting)
                .fetch_one(&mut self.connect().await)
                .await
                .unwrap()
                > 0
        };
        eventually(PATIENCE, waits).await.unwrap();
    }

    async fn rows(&self, table: &str) -> Vec<Row> {
        let sql = format!(
            "SELECT user_id, track_id, (extract(epoch FROM event_timestamp) * 1000000)::bigint FROM {table} ORDER BY 1, 2, 3"
        );
        sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut self.connect().await)
            .await
            .unwrap()
    }

    /// The oracle: every one of the stream's first `count` events is in its table once, and nothing else is.
    pub(crate) async fn assert_exact(&self, count: u64) {
        self.stored(count).await;
        let (plays, likes) = self.expected(count);
        assert_same(
            "track_stream_event_log",
            &self.rows("track_stream_event_log").await,
            &plays,
        );
        assert_same(
            "track_like_event_log",
            &self.rows("track_like_event_log").await,
            &likes,
        );
        let totals = self.totals().await;
        assert_eq!(
            (totals.seen, totals.missing, totals.doubled),
            (count, 0, 0),
            "{totals:?}"
        );
    }

    /// A key and value of the stream, to be changed by a test.
    pub(crate) fn event(&self, shard: u16, index: u64) -> (Vec<u8>, Vec<u8>) {
        let pipeline = self.pipeline();
        let music = Music::load(pipeline.generator.as_ref().unwrap()).unwrap();
        let event = music.event(shard, index).unwrap();
        let mut encoder = Encoder::default();
        let (key, value) = encoder.encode(&event, 0);
        (key.to_vec(), value.to_vec())
    }
}

/// Names the first row in which they differ: thousands of rows in a message help nobody.
fn assert_same(table: &str, stored: &[Row], expected: &[Row]) {
    let differ = stored
        .iter()
        .zip(expected)
        .position(|(stored, expected)| stored != expected);
    if let Some(at) = differ {
        panic!(
            "{table}: row {at} is {:?} instead of {:?}",
            stored[at], expected[at]
        );
    }
    assert_eq!(stored.len(), expected.len(), "rows of {table}");
}

const DEFAULT_TABLES: &str = "
    - name: track_stream_event_log
      sql: >-
        SELECT user_id, track_id, event_timestamp, now() AS created_timestamp FROM \"{topic}\" WHERE event_type = 'streaming'
    - name: track_like_event_log
      sql: >-
        SELECT user_id, track_id, event_timestamp, now() AS created_timestamp FROM \"{topic}\" WHERE event_type = 'like'
";

/// Sends records as they are, without the generator's numbers.
pub(crate) fn send(bootstrap: &str, topic: &str, partition: i32, values: &[Option<&[u8]>]) {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let producer: BaseProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .create()
        .unwrap();
    for value in values {
        let record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
        let record = match value {
            Some(value) => record.payload(*value),
            None => record,
        };
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}
