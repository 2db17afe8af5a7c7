//! The manifests of the measured pipelines.

use std::fmt;
use std::path::Path;

use crate::error::BenchError;
use crate::servers::Servers;

/// Partitions of every measured topic.
const PARTITIONS: u32 = 8;

/// A pipeline over the events of `music`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pipeline<'a> {
    pub(crate) name: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) users: u32,
    pub(crate) table: Table,
    pub(crate) sink: Sink<'a>,
}

/// What of the events becomes rows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Table {
    /// A row an event, in `plays`.
    Append,
    /// A row a genre and hour, in `plays_by_genre`: join with a reference, group, add up in the sink.
    Merge,
}

/// Where rows go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sink<'a> {
    /// A database of the server.
    Postgres(&'a str),
    /// A file.
    Sqlite(&'a Path),
    /// Nowhere.
    Discard,
}

impl<'a> Pipeline<'a> {
    /// A pipeline and a topic of the same name, into PostgreSQL's first database.
    pub(crate) fn new(name: &'a str, table: Table) -> Self {
        Self {
            name,
            topic: name,
            users: 10_000,
            table,
            sink: Sink::Postgres("postgres"),
        }
    }

    pub(crate) fn text(&self, servers: &Servers) -> String {
        let Self {
            name, topic, users, ..
        } = self;
        // Two pipelines in one database do not share a reference table, so that only one of them has it.
        let (references, table) = match self.table {
            Table::Append => (
                "",
                format!(
                    "name: plays
      sql: SELECT user_id, track_id, event_timestamp, now() AS created_timestamp FROM {topic}"
                ),
            ),
            Table::Merge => (
                "  references: [{name: tracks, from: {generated: music.tracks}, key: [track_id]}]",
                format!(
                    "name: plays_by_genre
      sql: >-
        SELECT t.genre, date_trunc('hour', e.event_timestamp) AS hour, count(*) AS plays
        FROM {topic} e JOIN tracks t ON t.track_id = e.track_id GROUP BY 1, 2
      write: {{merge: {{key: [genre, hour], sum: [plays]}}}}"
                ),
            ),
        };
        format!(
            "apiVersion: streampipeline.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: {name}}}
spec:
  kafka: {{bootstrapServers: \"{bootstrap}\"}}
  topics:
    - name: {topic}
      partitions: {PARTITIONS}
      fields: {{user_id: int, track_id: int, event_timestamp: timestamp, event_type: string}}
  generator:
    music: {{users: {users}}}
    rate: 1000
{references}
  tables:
    - {table}
  sink: {{{sink}}}
",
            bootstrap = servers.kafka.bootstrap(),
            sink = SinkText(self.sink, servers),
        )
    }
}

impl Sink<'_> {
    /// Makes it as if it had never been used.
    pub(crate) async fn empty(self, servers: &Servers) -> Result<(), BenchError> {
        match self {
            Self::Postgres(database) => servers.fresh_database(database).await?,
            Self::Sqlite(file) => {
                for suffix in ["", "-wal", "-shm"] {
                    let mut path = file.as_os_str().to_owned();
                    path.push(suffix);
                    // It need not be there.
                    let _ = std::fs::remove_file(path);
                }
            }
            Self::Discard => {}
        }
        Ok(())
    }
}

struct SinkText<'a>(Sink<'a>, &'a Servers);

impl fmt::Display for SinkText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Sink::Postgres(database) => write!(
                f,
                "postgres: {{host: {}, port: {}, database: {database}, tls: Disable, secretRef: {{name: database}}}}",
                self.1.postgres.host(),
                self.1.postgres.port(),
            ),
            Sink::Sqlite(file) => write!(f, "sqlite: {{path: {:?}}}", file.display().to_string()),
            Sink::Discard => f.write_str("discard: {}"),
        }
    }
}
