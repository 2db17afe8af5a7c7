//! Where rows go. A sink is the source of truth for offsets: rows of all tables, dead letters, the partition's
//! next offset and its audit state are stored in one transaction, fenced by a compare-and-set.
//!
//! ```text
//! claim(partition)            raises the partition's epoch; the sessions of older epochs cannot commit any more
//! begin(lease)                a transaction for one batch [start, end)
//!   savepoint, write …        rows of a range of records; a refused row rolls back to the savepoint
//!   dead_letters              the records that could not be stored, with their bytes
//!   commit(start → end)       only if next_offset is still `start` and the epoch still the lease's
//! ```
//!
//! A sink without transactions keeps the same promises by steps that may be repeated: see [`staged`].
//!
//! It knows tables, rows and positions, and nothing of Kafka, of the SQL that makes the rows, or of Kubernetes.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod answer;
mod contract;
pub mod discard;
mod error;
mod intent;
mod preflight;
mod roles;
mod shape;
pub mod sql;
pub mod staged;
mod transactional;

use std::sync::Arc;

use answer::{Answer, Dialect, Value};
use api::Partition;
use arrow::array::RecordBatch;
use roles::Database;
use runtime::secrets::Secrets;

pub(crate) use contract::idle;
pub use contract::{
    Advance, Claim, DeadLetter, DeadLetterId, Lease, ReferenceDefinition, RowsError, StoredDeadLetter,
    StoredPosition, TableDefinition,
};
pub use error::{SinkError, SinkErrorKind};
pub use intent::{BatchId, ComputedWith, Intent, Offsets, PlanDocument, TopicId, Unfinished};
pub use preflight::{Check, preflight};
pub use shape::column_types;
pub use transactional::{postgres, sqlite};

/// A connection pool to one of the sinks.
#[derive(Debug, Clone)]
pub enum Sink {
    /// `PostgreSQL`.
    Postgres(Arc<postgres::Postgres>),
    /// `SQLite`.
    Sqlite(Arc<sqlite::Sqlite>),
    /// No store at all.
    Discard(Arc<discard::Discard>),
    /// The tests' sink without transactions.
    #[cfg(feature = "testing")]
    Ledger(Arc<staged::Staged<staged::ledger::Ledger>>),
}

/// One batch's transaction. Dropping it rolls it back.
#[derive(Debug)]
pub enum Transaction {
    /// `PostgreSQL`.
    Postgres(postgres::Transaction),
    /// `SQLite`.
    Sqlite(sqlite::Transaction),
    /// No store at all.
    Discard(discard::Transaction),
    /// The tests' sink without transactions.
    #[cfg(feature = "testing")]
    Ledger(Box<staged::Transaction<staged::ledger::Ledger>>),
}

/// Calls the same method of whichever sink it is.
macro_rules! each {
    ($enum:ident, $value:expr, $inner:ident => $call:expr) => {
        match $value {
            $enum::Postgres($inner) => $call,
            $enum::Sqlite($inner) => $call,
            $enum::Discard($inner) => $call,
            #[cfg(feature = "testing")]
            $enum::Ledger($inner) => $call,
        }
    };
}

impl Sink {
    /// Opens the pipeline's sink. Nothing is written; connections are made when they are needed, so this
    /// fails only for a missing secret or an unusable address.
    pub async fn open(
        pipeline: &api::Pipeline,
        tables: Vec<TableDefinition>,
        secrets: &Secrets,
    ) -> Result<Self, SinkError> {
        match &pipeline.sink {
            api::Sink::Postgres(sink) => {
                let opened = postgres::Postgres::open(pipeline.name.clone(), sink, tables, secrets).await?;
                Ok(Self::Postgres(Arc::new(opened)))
            }
            api::Sink::Sqlite(sink) => {
                let opened = sqlite::Sqlite::open(pipeline.name.clone(), sink, tables).await?;
                Ok(Self::Sqlite(Arc::new(opened)))
            }
            api::Sink::Discard(_) => {
                let opened = discard::Discard::open(&pipeline.name, &tables)?;
                Ok(Self::Discard(Arc::new(opened)))
            }
        }
    }

    /// Creates what is missing: the product's own tables, the pipeline's tables with their keys and indexes,
    /// columns that a new manifest adds. Refuses what would lose data (a removed key, another type). Safe to
    /// run from several processes at once. Gives a line for each thing done.
    pub async fn prepare(&self) -> Result<Vec<String>, SinkError> {
        each!(Self, self, sink => sink.prepare().await)
    }

    /// Creates the reference's table if need be and replaces its rows, in one transaction, unless the same
    /// fingerprint is loaded already. `rows` is asked for chunks until it gives none. Gives the number of rows
    /// loaded, `None` if nothing was to be done. A table of that name with rows that this pipeline did not load is refused.
    /// A chunk that cannot be read ends the transaction: the old rows stay, and the error is the result's source.
    pub async fn load_reference(
        &self,
        reference: &ReferenceDefinition,
        rows: impl Iterator<Item = Result<RecordBatch, RowsError>> + Send,
    ) -> Result<Option<u64>, SinkError> {
        each!(Self, self, sink => sink.load_reference(reference, rows).await)
    }

    /// Creates the reference's table if need be, without rows. Gives a line for each thing done.
    pub async fn prepare_reference(&self, reference: &ReferenceDefinition) -> Result<Vec<String>, SinkError> {
        each!(Self, self, sink => sink.prepare_reference(reference).await)
    }

    /// Plans a model's query, and creates the model's table without rows if it is not there. Gives a line for each
    /// thing done. A table of that name with rows that this pipeline did not load is refused.
    pub async fn prepare_model(&self, model: &str, sql: &str) -> Result<Vec<String>, SinkError> {
        match self.database()? {
            Database::Postgres(sink) => sink.prepare_model(model, sql).await,
            Database::Sqlite(sink) => sink.prepare_model(model, sql).await,
            #[cfg(feature = "testing")]
            Database::Ledger(sink) => sink.prepare_model(model, sql).await,
        }
    }

    /// Replaces the rows of the model's table by the query's answer, in one transaction. Gives the number of rows.
    pub async fn run_model(&self, model: &str, sql: &str) -> Result<u64, SinkError> {
        match self.database()? {
            Database::Postgres(sink) => sink.run_model(model, sql).await,
            Database::Sqlite(sink) => sink.run_model(model, sql).await,
            #[cfg(feature = "testing")]
            Database::Ledger(sink) => sink.run_model(model, sql).await,
        }
    }

    /// Takes over a partition: raises its epoch and ends the sessions that still write with an older one, so
    /// that a frozen predecessor neither commits nor keeps locks. `owner` is shown to people.
    pub async fn claim(&self, partition: &Partition, owner: &str) -> Result<Claim, SinkError> {
        each!(Self, self, sink => sink.claim(partition, owner).await)
    }

    /// The plan that this sink is told with each batch; `None` for sinks with transactions, which are told nothing.
    #[must_use]
    pub fn plan(&self) -> Option<&PlanDocument> {
        match self {
            Self::Postgres(_) | Self::Sqlite(_) | Self::Discard(_) => None,
            #[cfg(feature = "testing")]
            Self::Ledger(sink) => Some(sink.plan()),
        }
    }

    /// The same sink for rows of another plan. One with transactions stays what it is: nobody finishes another's batches
    /// there.
    pub fn under(&self, plan: PlanDocument, tables: &[TableDefinition]) -> Result<Self, SinkError> {
        match self {
            Self::Postgres(_) | Self::Sqlite(_) | Self::Discard(_) => {
                let _ = (plan, tables);
                Ok(self.clone())
            }
            #[cfg(feature = "testing")]
            Self::Ledger(sink) => Ok(Self::Ledger(Arc::new(sink.under(plan, tables)?))),
        }
    }

    /// Begins a transaction for one batch. Waits for a free connection.
    pub async fn begin(&self, lease: &Lease) -> Result<Transaction, SinkError> {
        Ok(match self {
            Self::Postgres(sink) => Transaction::Postgres(Arc::clone(sink).begin(lease).await?),
            Self::Sqlite(sink) => Transaction::Sqlite(Arc::clone(sink).begin(lease).await?),
            Self::Discard(sink) => Transaction::Discard(Arc::clone(sink).begin(lease).await?),
            #[cfg(feature = "testing")]
            Self::Ledger(sink) => Transaction::Ledger(Box::new(Arc::clone(sink).begin(lease))),
        })
    }

    /// How far the partition is stored: what a writer asks for after a commit whose outcome it did not learn.
    pub async fn position(&self, partition: &Partition) -> Result<Option<StoredPosition>, SinkError> {
        Ok(self
            .positions()
            .await?
            .into_iter()
            .find(|position| position.partition == *partition))
    }

    /// All partitions of this pipeline, sorted.
    pub async fn positions(&self) -> Result<Vec<StoredPosition>, SinkError> {
        each!(Self, self, sink => sink.positions().await)
    }

    /// A page of this pipeline's dead letters: at most `limit`, those behind `after`, in an order of the sink's own that
    /// does not change. Read page by page, each is reached, in memory for one page.
    pub async fn dead_letters(
        &self,
        after: Option<&DeadLetterId>,
        limit: u32,
    ) -> Result<Vec<StoredDeadLetter>, SinkError> {
        each!(Self, self, sink => sink.dead_letters(after, limit).await)
    }

    /// The newest dead letters of this pipeline, newest first.
    pub async fn newest_dead_letters(&self, limit: u32) -> Result<Vec<StoredDeadLetter>, SinkError> {
        each!(Self, self, sink => sink.newest_dead_letters(limit).await)
    }

    /// The dead letters of one offset: several where the topic was deleted and made again.
    pub async fn dead_letters_at(
        &self,
        partition: &Partition,
        offset: i64,
    ) -> Result<Vec<StoredDeadLetter>, SinkError> {
        each!(Self, self, sink => sink.dead_letters_at(partition, offset).await)
    }

    /// Marks dead letters as sent to their topics again.
    pub async fn mark_replayed(&self, letters: &[DeadLetterId]) -> Result<(), SinkError> {
        each!(Self, self, sink => sink.mark_replayed(letters).await)
    }

    /// The SQL that a question is asked in.
    pub fn dialect(&self) -> Result<Dialect, SinkError> {
        Ok(match self.database()? {
            Database::Postgres(_) => Dialect::Postgres,
            Database::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "testing")]
            Database::Ledger(_) => Dialect::Sqlite,
        })
    }

    /// Asks a question. Values are bound to its `:name` parameters.
    pub async fn query(&self, sql: &str, parameters: &[(&str, Value)]) -> Result<Answer, SinkError> {
        match self.database()? {
            Database::Postgres(sink) => sink.query(sql, parameters).await,
            Database::Sqlite(sink) => sink.query(sql, parameters).await,
            #[cfg(feature = "testing")]
            Database::Ledger(sink) => sink.query(sql, parameters).await,
        }
    }

    /// Asks a question whose answer may be large: `visit` is shown each row, and none is kept.
    pub async fn visit(
        &self,
        sql: &str,
        visit: impl FnMut(Vec<Option<String>>) + Send,
    ) -> Result<(), SinkError> {
        match self.database()? {
            Database::Postgres(sink) => sink.visit(sql, visit).await,
            Database::Sqlite(sink) => sink.visit(sql, visit).await,
            #[cfg(feature = "testing")]
            Database::Ledger(sink) => sink.visit(sql, visit).await,
        }
    }

    /// One round trip, for readiness.
    pub async fn ping(&self) -> Result<(), SinkError> {
        each!(Self, self, sink => sink.ping().await)
    }
}

impl Transaction {
    /// What is written is the batch of this intent, which was begun before. Sinks with transactions have none.
    pub fn repeat(&mut self, intent: &Intent) {
        match self {
            Self::Postgres(_) | Self::Sqlite(_) | Self::Discard(_) => {
                let _ = intent;
            }
            #[cfg(feature = "testing")]
            Self::Ledger(transaction) => transaction.repeat(intent),
        }
    }

    /// Begins a part that can be undone alone. Ends the part before it.
    pub async fn savepoint(&mut self) -> Result<(), SinkError> {
        each!(Self, self, transaction => transaction.savepoint().await)
    }

    /// Undoes everything since the last savepoint.
    pub async fn rollback_to_savepoint(&mut self) -> Result<(), SinkError> {
        each!(Self, self, transaction => transaction.rollback_to_savepoint().await)
    }

    /// Writes rows into the table with this index in the definitions that the sink was opened with.
    /// Append tables are written at once; the caller orders tables so that keyed ones, whose row locks last
    /// until the commit, come last. An error of kind `Row` leaves the transaction to `rollback_to_savepoint`.
    pub async fn write(&mut self, table: usize, rows: &[RecordBatch]) -> Result<(), SinkError> {
        each!(Self, self, transaction => transaction.write(table, rows).await)
    }

    /// Stores dead letters. A letter that is stored already (same partition, offset and bytes) is left as it is.
    pub async fn dead_letters(&mut self, letters: &[DeadLetter]) -> Result<(), SinkError> {
        each!(Self, self, transaction => transaction.dead_letters(letters).await)
    }

    /// Moves the partition and commits. `Fenced` if someone else claimed the partition or moved it;
    /// `OutcomeUnknown` if the connection was lost while committing.
    pub async fn commit(self, advance: &Advance) -> Result<(), SinkError> {
        each!(Self, self, transaction => transaction.commit(advance).await)
    }
}
