//! `PostgreSQL`.
//!
//! Every piece of work is one explicit transaction whose settings are made by `SET LOCAL` in the round trip that
//! begins it: no state is kept in sessions, so that a pooler in transaction mode may stand in between.

mod bookkeeping;
mod classify;
mod connect;
mod copy;
mod dead_letters;
mod model;
mod preflight;
mod prepare;
mod query;
mod reference;
mod schema;
mod staging;
mod transaction;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use api::{PipelineName, PostgresSink};
use runtime::secrets::Secrets;

use crate::shape::layout::Layout;
use crate::sql::stable_hash;
use crate::{Lease, SinkError, SinkErrorKind, TableDefinition};
use connect::{Connection, Connections};

pub(crate) use preflight::preflight;
pub(crate) use schema::type_name;
pub use transaction::Transaction;

/// Begins a transaction that writes. Writing is not asked for in so many words: a standby, or a server that went
/// read-only because its disk is full, then says so ("25006") when it is tried, and not that it lacks a feature.
const WRITING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// Begins a transaction that cannot write.
const READING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY";
/// Longest time that the server may work on one statement of a batch, or wait for the next bytes of its rows.
const BATCH_LIMIT: Duration = Duration::from_mins(1);
/// The same for creating tables and indexes and for loading references.
const PREPARE_LIMIT: Duration = Duration::from_mins(30);
/// The same for a report, and for the product's own small statements.
const QUERY_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for a lock: for a table that is being altered, or a row that another partition is merging.
const LOCK_LIMIT: Duration = Duration::from_secs(30);
/// The server ends a transaction whose client has been silent for so long between statements.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// A `PostgreSQL` database with a pipeline's tables.
#[derive(Debug)]
pub struct Postgres {
    pipeline: PipelineName,
    /// The schema that everything is in.
    schema: String,
    tables: Vec<Layout>,
    connections: Arc<Connections>,
}

impl Postgres {
    /// Reads the secrets and checks the tables; connects to nothing.
    #[allow(clippy::unused_async)]
    pub async fn open(
        pipeline: PipelineName,
        sink: &PostgresSink,
        tables: Vec<TableDefinition>,
        secrets: &Secrets,
    ) -> Result<Self, SinkError> {
        let connections = Connections::new(sink, pipeline.as_str(), secrets)?;
        Ok(Self {
            pipeline,
            schema: sink.schema.clone(),
            tables: tables.iter().map(Layout::of_table).collect::<Result<_, _>>()?,
            connections: Arc::new(connections),
        })
    }

    /// One round trip. Waits at most as long as a probe would for a free connection.
    pub(crate) async fn ping(&self) -> Result<(), SinkError> {
        const WAIT: Duration = Duration::from_secs(5);
        let context = || {
            format!(
                "asking PostgreSQL at {} whether it is there",
                self.connections.address()
            )
        };
        let work = async {
            let mut connection = self.begin_work(READING, WAIT, context).await?;
            self.end_work(&mut connection, context).await?;
            connection.keep();
            Ok(())
        };
        tokio::time::timeout(WAIT, work).await.unwrap_or_else(|_| {
            let problem = format!("no answer within {} s", WAIT.as_secs());
            Err(SinkError::new(SinkErrorKind::Unavailable, context(), problem))
        })
    }

    pub(crate) async fn begin(self: Arc<Self>, lease: &Lease) -> Result<Transaction, SinkError> {
        Transaction::begin(self, lease).await
    }

    /// Begins a transaction for anything but a batch.
    async fn begin_work(
        &self,
        begin: &str,
        limit: Duration,
        context: impl Fn() -> String,
    ) -> Result<Connection, SinkError> {
        self.connections.open(&Self::opening(begin, limit), context).await
    }

    async fn end_work(
        &self,
        connection: &mut Connection,
        context: impl Fn() -> String,
    ) -> Result<(), SinkError> {
        connection
            .run("COMMIT", BATCH_LIMIT)
            .await
            .map_err(|error| classify::other(context(), error))
    }

    /// The statements that begin a transaction.
    fn opening(begin: &str, limit: Duration) -> String {
        format!(
            "{begin}; SET LOCAL statement_timeout = '{}s'; SET LOCAL lock_timeout = '{}s'; \
             SET LOCAL idle_in_transaction_session_timeout = '{}s'; SET LOCAL client_min_messages = warning",
            limit.as_secs(),
            LOCK_LIMIT.as_secs(),
            IDLE_LIMIT.as_secs(),
        )
    }

    /// A table's or one of the product's own tables' name with the schema.
    fn qualified(&self, table: &str) -> String {
        schema::qualified(&self.schema, table)
    }

    /// What the sessions that write this partition call themselves, without the epoch.
    fn session_tag(&self, partition: &api::Partition) -> String {
        let number = partition.number.to_be_bytes();
        let hash = stable_hash([
            self.schema.as_bytes(),
            self.pipeline.as_str().as_bytes(),
            partition.topic.as_bytes(),
            &number,
        ]);
        format!("sp:{hash:016x}")
    }
}
