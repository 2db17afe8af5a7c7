//! `spec.sink`: where rows go. One file for each kind says what is typed, what it means, and what others may ask.

mod later;
mod postgres;
mod questions;
mod sqlite;

use std::path::Path;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::problem::{Collector, Problem};
use crate::schema::Reserved;
use crate::secret::SecretUse;
use crate::union::Union;
use questions::Questions;

pub use postgres::{PostgresSink, PostgresSpec, TlsMode};
pub use questions::{Abilities, Endpoint};
pub use sqlite::{SqliteSink, SqliteSpec};

const PATH: &str = "spec.sink";

const SINKS: Union =
    Union::of("sink", &["postgres", "sqlite"]).later("sink", &["cassandra", "lake", "bigquery"]);

/// Where rows go, together with dead letters, offsets and the audit.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = SINKS.rule())]
pub struct SinkSpec {
    /// A PostgreSQL database. One of the sinks has to be set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresSpec>,
    /// A SQLite file; for one machine, not for a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlite: Option<SqliteSpec>,
    /// Reserved for a later version: a Cassandra keyspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "later::cassandra")]
    #[x_kube(validation = SINKS.unavailable_rule())]
    pub cassandra: Option<Reserved>,
    /// Reserved for a later version: Parquet files in an object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "later::lake")]
    #[x_kube(validation = SINKS.unavailable_rule())]
    pub lake: Option<Reserved>,
    /// Reserved for a later version: a BigQuery data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "later::bigquery")]
    #[x_kube(validation = SINKS.unavailable_rule())]
    pub bigquery: Option<Reserved>,
}

impl SinkSpec {
    /// The path of the sink's file, which is relative to the manifest's directory.
    pub(crate) fn paths_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.sqlite.iter_mut().map(|sqlite| &mut sqlite.path)
    }
}

/// Where rows go.
///
/// Its kind matters to those who write to it. Everybody else asks: what differs between two kinds is answered here.
#[derive(Debug, Clone, PartialEq)]
pub enum Sink {
    /// A database of a server.
    Postgres(PostgresSink),
    /// A file of this machine.
    Sqlite(SqliteSink),
}

pub(crate) fn sink(spec: &SinkSpec, problems: &mut Collector) -> Option<Sink> {
    SINKS.check(spec, PATH, problems);
    let postgres = spec
        .postgres
        .as_ref()
        .map(|spec| Sink::Postgres(postgres::postgres(spec, problems)));
    let sqlite = spec
        .sqlite
        .as_ref()
        .map(|spec| Sink::Sqlite(sqlite::sqlite(spec)));
    postgres.or(sqlite)
}

impl Sink {
    fn kind(&self) -> &dyn Questions {
        match self {
            Self::Postgres(sink) => sink,
            Self::Sqlite(sink) => sink,
        }
    }

    /// Where it is, for people: `PostgreSQL db:5432/music`, `SQLite file /data/music.db`.
    #[must_use]
    pub fn place(&self) -> String {
        self.kind().place()
    }

    /// All that the manifest says of it, for people, on one line and without where the manifest itself is.
    #[must_use]
    pub fn describe(&self) -> String {
        self.kind().describe()
    }

    /// The secrets that are needed to write to it.
    #[must_use]
    pub fn secrets(&self) -> Vec<SecretUse> {
        self.kind().secrets()
    }

    /// What a pod has to reach to write to it.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.kind().endpoints()
    }

    /// Whether pods can use it.
    ///
    /// # Errors
    /// Why not, and the remedy.
    pub fn runs_in_cluster(&self) -> Result<(), Problem> {
        self.kind().runs_in_cluster()
    }

    /// The file that it is, of a sink that is a file of this machine.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.kind().file()
    }

    /// How many batches it takes side by side, at least 1: a further one waits until one of them is written.
    #[must_use]
    pub fn parallel_batches(&self) -> usize {
        self.kind().parallel_batches()
    }

    /// What it can do besides taking rows.
    #[must_use]
    pub fn abilities(&self) -> Abilities {
        self.kind().abilities()
    }
}

#[cfg(test)]
mod tests {
    use schemars::schema_for;

    use super::*;

    /// A member that the list does not have would be counted by no rule.
    #[test]
    fn the_list_has_every_member() {
        let schema = schema_for!(SinkSpec);
        let mut members: Vec<String> = schema
            .get("properties")
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        let mut listed: Vec<&str> = SINKS.names().collect();
        members.sort();
        listed.sort_unstable();
        assert_eq!(members, listed);
    }
}
