//! A `SQLite` file: the sink of a pipeline that runs on one machine.
//!
//! The same promises as `PostgreSQL`, with one writer at a time. Types are what `SQLite` has: instants are text
//! (`2026-01-31 12:00:00.000000`, UTC, so that they sort), booleans 0 and 1, decimals floating point numbers, lists
//! and objects JSON text.
//!
//! The file is in WAL mode, so that reports read while batches are written, with `synchronous = NORMAL`: a killed
//! process loses nothing, and a power failure at most the last transactions as a whole, rows and offsets alike, which
//! are then read from Kafka again.

mod bookkeeping;
mod classify;
mod connect;
mod dead_letters;
mod model;
mod preflight;
mod prepare;
mod query;
mod reference;
mod rows;
mod schema;
mod transaction;

use std::sync::Arc;

use api::{PipelineName, SqliteSink};

use crate::shape::layout::Layout;
use crate::{Lease, SinkError, TableDefinition};
use connect::Slot;

pub use preflight::is_sink;
pub(crate) use preflight::preflight;
pub(crate) use schema::type_name;
pub use transaction::Transaction;

/// A `SQLite` file with a pipeline's tables.
#[derive(Debug)]
pub struct Sqlite {
    pipeline: PipelineName,
    tables: Vec<Layout>,
    writer: Slot,
    reader: Slot,
}

impl Sqlite {
    /// Checks the tables; the file is opened, and made if it is not there, when it is needed.
    #[allow(clippy::unused_async)]
    pub async fn open(
        pipeline: PipelineName,
        sink: &SqliteSink,
        tables: Vec<TableDefinition>,
    ) -> Result<Self, SinkError> {
        Ok(Self {
            pipeline,
            tables: tables.iter().map(Layout::of_table).collect::<Result<_, _>>()?,
            writer: Slot::writer(&sink.path),
            reader: Slot::reader(&sink.path),
        })
    }

    /// Whether the file can be read.
    pub(crate) async fn ping(&self) -> Result<(), SinkError> {
        let context = || format!("opening {}", self.reader.path());
        let mut connection = self.reader.open(context).await?;
        connection
            .run("SELECT 1 FROM sqlite_schema")
            .await
            .map_err(|error| classify::other(context(), error))?;
        connection.keep();
        Ok(())
    }

    pub(crate) async fn begin(self: Arc<Self>, lease: &Lease) -> Result<Transaction, SinkError> {
        Transaction::begin(self, lease).await
    }
}
