//! The validated model: what operator, worker, generator and command line work with.
//!
//! Every default is filled in, every name is checked, every reference between parts of the manifest
//! resolves. Only `validate` makes a [`Pipeline`]; nothing optional is left that need not be.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Affinity, Toleration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::PullPolicy;
use crate::{Field, PipelineName, TableName, TopicName};

/// A whole pipeline, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// `metadata.name`.
    pub name: PipelineName,
    /// `metadata.namespace`, absent for a manifest that runs without a cluster.
    pub namespace: Option<String>,
    /// Where Kafka is and how to authenticate.
    pub kafka: Kafka,
    /// At least one; names are unique.
    pub topics: Vec<Topic>,
    /// Absent when others fill the topics.
    pub generator: Option<Generator>,
    /// Tables that are loaded once, in the order of the manifest.
    pub references: Vec<Reference>,
    /// At least one; names are unique over tables and references.
    pub tables: Vec<Table>,
    /// Scheduled work over the sink's tables.
    pub models: Vec<Model>,
    /// Named questions over the sink's tables.
    pub reports: Vec<Report>,
    /// Where rows go.
    pub sink: Sink,
    /// How records are grouped.
    pub batch: Batch,
    /// What is done about records that cannot be stored.
    pub dead_letters: DeadLetterPolicy,
    /// How many workers there are.
    pub scaling: Scaling,
    /// What becomes of topics and offsets when the pipeline is deleted.
    pub deletion_policy: DeletionPolicy,
    /// What stands still.
    pub paused: Paused,
    /// The image of the pods; absent means the operator's default.
    pub image: Option<String>,
    /// When a node fetches the image; absent means the operator's default.
    pub pull_policy: Option<PullPolicy>,
    /// How pods are made in a cluster.
    pub pods: Pods,
    pub(crate) sealed: Sealed,
}

/// Keeps `Pipeline` from being built anywhere but in this crate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sealed;

impl Pipeline {
    /// The topic of this name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.iter().find(|topic| topic.name.as_str() == name)
    }

    /// The table of this name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name.as_str() == name)
    }

    /// The consumer group of the workers: `streampipeline-<name>`.
    #[must_use]
    pub fn worker_group(&self) -> String {
        format!("streampipeline-{}", self.name)
    }

    /// The consumer group by which generator replicas share the shards: `streampipeline-<name>-generator`.
    #[must_use]
    pub fn generator_group(&self) -> String {
        format!("streampipeline-{}-generator", self.name)
    }

    /// The topic whose partitions stand for the generator's shards. It holds no records: a shard's checkpoint
    /// is the generator group's committed offset of its partition.
    #[must_use]
    pub fn generator_shards_topic(&self) -> String {
        format!("streampipeline-{}-generator-shards", self.name)
    }
}

/// Kafka brokers and access to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Kafka {
    /// `host:port`, at least one.
    pub bootstrap_servers: Vec<String>,
    /// How connections are secured.
    pub security: Security,
}

/// Transport and authentication of Kafka connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// Which of the four protocols of Kafka.
    pub protocol: SecurityProtocol,
    /// Present exactly when the protocol is one of the two SASL ones.
    pub sasl: Option<Sasl>,
    /// Secret with the key `ca.crt`: authorities that the brokers' certificates are checked against; absent
    /// means the system's.
    pub ca: Option<SecretRef>,
    /// Secret with the keys `tls.crt` and `tls.key`: the client's own certificate (mutual TLS).
    pub certificate: Option<SecretRef>,
}

/// Kafka's `security.protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL over an unencrypted connection.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

/// SASL authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sasl {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// Secret with the keys `username` and `password`.
    pub secret: SecretRef,
}

/// Kafka's `sasl.mechanism`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// `PLAIN`.
    Plain,
    /// `SCRAM-SHA-256`.
    ScramSha256,
    /// `SCRAM-SHA-512`.
    ScramSha512,
}

/// A secret by name. Its keys are files `<name>/<key>` below the secrets directory, or environment variables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretRef {
    /// The secret's name.
    pub name: String,
}

/// A Kafka topic and the shape of its records.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    /// The topic's name, also the table's name in SQL.
    pub name: TopicName,
    /// Partitions to create; more are added when it is raised.
    pub partitions: i32,
    /// Replicas to create each partition with.
    pub replication_factor: i16,
    /// Kafka topic configuration to create it with.
    pub config: BTreeMap<String, String>,
    /// Fields that are decoded, sorted by name.
    pub fields: Vec<Field>,
    /// The timestamp field that says when a record's event happened; absent means Kafka's record timestamp.
    pub event_time: Option<String>,
    /// Where a partition that has never been read is begun.
    pub start_from: StartFrom,
}

/// Where reading begins when no position is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StartFrom {
    /// The oldest record that is there.
    Earliest,
    /// Records that come after the pipeline.
    Latest,
}

/// A partition of a topic, as everything downstream names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic.
    pub topic: std::sync::Arc<str>,
    /// The number within it, from 0.
    pub number: i32,
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// Synthetic events.
#[derive(Debug, Clone, PartialEq)]
pub struct Generator {
    /// What kind of events.
    pub source: Source,
    /// The topic that they go to.
    pub topic: TopicName,
    /// Events a second over all replicas (mean over the shape's period when there is a shape). More than 0.
    pub rate: f64,
    /// How the rate varies over time.
    pub shape: RateShape,
    /// What event times say.
    pub event_time: EventTime,
    /// The same seed gives the same events.
    pub seed: u64,
    /// Fixed number of virtual shards, each deterministic from (seed, shard).
    pub shards: u16,
    /// Generator replicas (pods) that share the shards.
    pub replicas: u16,
    /// When to end; a generator without a limit runs until it is stopped.
    pub limit: GeneratorLimit,
    /// `true`: produce nothing until it is `false` again, then continue where it stopped.
    pub paused: bool,
}

/// A kind of events.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Plays and likes of tracks by a fixed population of users.
    Music(MusicSource),
}

/// Parameters of the `music` source.
#[derive(Debug, Clone, PartialEq)]
pub struct MusicSource {
    /// Size of the population; user ids are 1..=users.
    pub users: u32,
    /// Where tracks come from.
    pub catalogue: CatalogueSource,
    /// Share of events that are likes, the others being plays; 0..=1.
    pub like_share: f64,
    /// Preferred genres by age band (`10-19` … `60+`) and gender (`M`, `F`, `X`) that replace the built-in
    /// table's entries.
    pub preferences: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// Where the track catalogue comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogueSource {
    /// Generated from the seed.
    Generated {
        /// Rows of the catalogue.
        tracks: u32,
        /// Number of genres that they are spread over, at most 114.
        genres: u16,
    },
    /// A CSV file with the 20 columns of the Spotify tracks data set, with or without its index column.
    Csv(PathBuf),
}

/// How the rate varies around its mean.
#[derive(Debug, Clone, PartialEq)]
pub enum RateShape {
    /// Always the same.
    Constant,
    /// Every `every`, `rate` events a second for `lasting`; `Generator::rate` in between.
    Bursts {
        /// Period; longer than `lasting`.
        every: Duration,
        /// Length of a burst.
        lasting: Duration,
        /// Events a second during a burst.
        rate: f64,
    },
    /// Relative weights of the hours of a day in UTC, repeated; linear in between. 24 weights, mean more than 0.
    Day {
        /// Weight of each hour.
        weights: Vec<f64>,
        /// Length of the "day"; 24 h unless a faster one is wanted for a demonstration.
        period: Duration,
    },
}

/// What an event's own time says.
#[derive(Debug, Clone, PartialEq)]
pub enum EventTime {
    /// When it was due.
    Now,
    /// A uniform instant of the window `[from, to)`, deterministic from the seed.
    Window {
        /// First instant.
        from: Timestamp,
        /// End, excluded.
        to: Timestamp,
    },
}

/// When a generator ends as complete. Both may be set: the first one reached ends it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GeneratorLimit {
    /// Total of events over all replicas.
    pub count: Option<u64>,
    /// Time since the run began, pauses included.
    pub duration: Option<Duration>,
}

/// A table that is loaded once, usable in SQL, and written to the sink.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The table's name in SQL and in the sink.
    pub name: TableName,
    /// Where its rows come from.
    pub source: ReferenceSource,
    /// Columns of the primary key, possibly none.
    pub key: Vec<String>,
}

/// Where a reference's rows come from.
#[derive(Debug, Clone, PartialEq)]
pub enum ReferenceSource {
    /// Rows that belong to the generator's source, by name: `music.users`, `music.bulk_track_raw_data`,
    /// `music.artists`, `music.albums`, `music.tracks`.
    Generated(String),
    /// A CSV file with a header.
    Csv(CsvSource),
}

/// A CSV file with a header line.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvSource {
    /// Path of the file, relative to the manifest's directory.
    pub path: PathBuf,
    /// Columns to take, by the header's names, sorted by name.
    pub fields: Vec<Field>,
    /// Text that stands for an absent value, besides the empty cell.
    pub null: Option<String>,
}

/// A table that records are turned into.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The table's name in the sink.
    pub name: TableName,
    /// A `SELECT` over topics and references.
    pub sql: String,
    /// How rows are written.
    pub write: Write,
    /// Secondary indexes: columns of each.
    pub indexes: Vec<Vec<String>>,
}

/// How rows go into a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Every row is added.
    Append,
    /// A row whose key is there already is ignored.
    InsertOnce {
        /// Primary key.
        key: Vec<String>,
    },
    /// A row replaces the one with the same key.
    Upsert {
        /// Primary key.
        key: Vec<String>,
        /// Replace only if this column is not smaller than the stored one; absent means that the last one wins.
        latest_by: Option<String>,
    },
    /// Rows with the same key are added up in the sink: the sink is the state store.
    Merge {
        /// Primary key.
        key: Vec<String>,
        /// Every column that is not in the key, with how two values become one.
        columns: Vec<MergeColumn>,
    },
}

impl Write {
    /// The primary key's columns; none for `append`.
    #[must_use]
    pub fn key(&self) -> &[String] {
        match self {
            Self::Append => &[],
            Self::InsertOnce { key } | Self::Upsert { key, .. } | Self::Merge { key, .. } => key,
        }
    }
}

/// A merged column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeColumn {
    /// The column.
    pub name: String,
    /// How two values become one.
    pub function: MergeFunction,
}

/// How two values of a merged column become one. All are associative and commutative, so batches may arrive
/// in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeFunction {
    /// Added.
    Sum,
    /// The smaller.
    Min,
    /// The larger.
    Max,
}

/// Scheduled work over the sink's tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The table that it fills.
    pub name: TableName,
    /// Cron expression, five fields, UTC.
    pub schedule: String,
    /// What it does.
    pub kind: ModelKind,
}

/// What a model does.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelKind {
    /// Runs SQL in the sink; idempotent for its window.
    Sql(String),
    /// Recommends items to users from their interactions.
    Recommender {
        /// Table of interactions.
        interactions: TableName,
        /// Its user column.
        user: String,
        /// Its item column.
        item: String,
        /// Recommendations a user.
        top: u32,
    },
}

/// A named question over the sink's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its name on the command line.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// How it is drawn.
    pub chart: Chart,
    /// The question. `:from` and `:to` are the bounds of the asked time span.
    pub sql: String,
}

/// How a report is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Chart {
    /// Rows and columns only.
    Table,
    /// A bar a row: first column labels, last numeric column lengths.
    Bar,
    /// A line over the first column.
    Line,
    /// One number.
    Number,
}

/// Where rows go.
#[derive(Debug, Clone, PartialEq)]
pub enum Sink {
    /// PostgreSQL.
    Postgres(PostgresSink),
    /// A SQLite file.
    Sqlite(SqliteSink),
    /// Cassandra.
    Cassandra(CassandraSink),
    /// Parquet files in an object store.
    Lake(LakeSink),
    /// `BigQuery`.
    BigQuery(BigQuerySink),
}

/// A PostgreSQL database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSink {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The database, which must exist.
    pub database: String,
    /// The schema that tables are created in, which must exist.
    pub schema: String,
    /// Secret with the keys `username` and `password`, and `ca.crt` when TLS verifies against an own authority.
    pub secret: SecretRef,
    /// How the connection is secured.
    pub tls: TlsMode,
    /// Most connections of one worker; as many partitions are written at the same time.
    pub max_connections: u32,
}

/// PostgreSQL's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// No TLS.
    Disable,
    /// TLS, the server's certificate unchecked.
    Require,
    /// TLS, the certificate's authority and host name checked.
    VerifyFull,
}

/// A SQLite file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteSink {
    /// The file; created if it is not there.
    pub path: PathBuf,
}

/// A Cassandra keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CassandraSink {
    /// `host:port`, at least one.
    pub contact_points: Vec<String>,
    /// The keyspace.
    pub keyspace: String,
    /// Data centre for `LOCAL_QUORUM`.
    pub local_datacenter: Option<String>,
    /// Secret with the keys `username` and `password`.
    pub secret: Option<SecretRef>,
}

/// Parquet files in an object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeSink {
    /// `gs://bucket/prefix` or `file:///directory`.
    pub url: String,
}

/// A `BigQuery` data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BigQuerySink {
    /// The project.
    pub project: String,
    /// The data set.
    pub dataset: String,
}

/// When a batch is closed: at the first of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Records of one partition.
    pub max_records: usize,
    /// Bytes of keys and values of one partition.
    pub max_bytes: usize,
    /// Time since its first record arrived.
    pub max_wait: Duration,
}

/// What is done about records that cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeadLetterPolicy {
    /// Share of a batch's records (0..=1) above which the partition halts instead of filling the dead letters:
    /// so many bad records at once mean a wrong manifest or table rather than bad data. 1 never halts.
    pub halt_above: f64,
}

/// How many workers there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    /// Fewest workers; 0 lets an idle pipeline have none.
    pub min: u32,
    /// Most workers.
    pub max: u32,
    /// A backlog is to be gone within this time.
    pub drain_within: Duration,
    /// The oldest event that is not stored is to be at most so old.
    pub freshness: Option<Duration>,
    /// For how long fewer workers must have been enough before there are fewer.
    pub patience: Duration,
    /// Times with other bounds; the first that is open counts.
    pub windows: Vec<ScalingWindow>,
    /// Whether decisions are applied.
    pub mode: ScalingMode,
    /// Set: exactly so many workers, whatever the scaler thinks.
    pub replicas: Option<u32>,
}

/// A time with other bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalingWindow {
    /// When it begins: five cron fields, UTC.
    pub schedule: String,
    /// How long it lasts.
    pub duration: Duration,
    /// Fewest workers within; absent means as at other times.
    pub min: Option<u32>,
    /// Most workers within; absent means as at other times.
    pub max: Option<u32>,
}

/// Whether the scaler's decisions are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScalingMode {
    /// Applied.
    Auto,
    /// Only reported.
    Recommend,
    /// Not made.
    Off,
}

/// What becomes of a pipeline's topics and offsets when it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay.
    Retain,
    /// They go.
    Delete,
}

/// What stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paused {
    /// Nothing is generated; [`Generator::paused`] says the same.
    pub generator: bool,
    /// Nothing is stored.
    pub workers: bool,
}

/// How the pipeline's pods are made in a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Pods {
    /// Pods that read topics and write tables.
    pub worker: PodTemplate,
    /// Pods that produce events.
    pub generator: PodTemplate,
    /// The pod that creates tables and loads references.
    pub prepare: PodTemplate,
    /// The identity of all of them.
    pub service_account: ServiceAccount,
    /// Secrets with the credentials of the image's registry.
    pub image_pull_secrets: Vec<SecretRef>,
}

/// How pods of one kind are made.
#[derive(Debug, Clone, PartialEq)]
pub struct PodTemplate {
    /// Labels besides the operator's own.
    pub labels: BTreeMap<String, String>,
    /// Annotations besides the operator's own.
    pub annotations: BTreeMap<String, String>,
    /// Processor time and memory.
    pub resources: Resources,
    /// Labels that a node has to have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that are put up with.
    pub tolerations: Vec<Toleration>,
    /// Nodes and neighbours that are sought or avoided.
    pub affinity: Option<Affinity>,
    /// The priority class.
    pub priority_class: Option<String>,
}

/// Processor time and memory of a pod, as Kubernetes writes them, by `cpu` and `memory`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resources {
    /// What a node has to have left.
    pub requests: BTreeMap<&'static str, String>,
    /// What the pod may use at most.
    pub limits: BTreeMap<&'static str, String>,
}

/// The identity of a pipeline's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceAccount {
    /// One that exists.
    Existing(String),
    /// One that the operator makes, with these annotations.
    Own(BTreeMap<String, String>),
}
