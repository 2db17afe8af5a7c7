//! What a sink can be asked for, in three roles.
//!
//! - **Storing batches**: claims, transactions, positions and dead letters. Every sink.
//! - **Making and loading tables**: what the manifest's tables and references need. Every sink; one without tables of
//!   its own has nothing to do.
//! - **Running queries** over what is stored: questions are answered, and models made, which are answers that are kept.
//!   Sinks whose store can.

#[cfg(feature = "testing")]
use crate::staged::{Staged, ledger::Ledger};
use crate::transactional::{postgres::Postgres, sqlite::Sqlite};
use crate::{Sink, SinkError};

/// A sink that runs queries.
pub(crate) enum Database<'a> {
    Postgres(&'a Postgres),
    Sqlite(&'a Sqlite),
    #[cfg(feature = "testing")]
    Ledger(&'a Staged<Ledger>),
}

impl Sink {
    /// The sink in the role of one that runs queries.
    pub(crate) fn database(&self) -> Result<Database<'_>, SinkError> {
        match self {
            Self::Postgres(sink) => Ok(Database::Postgres(sink)),
            Self::Sqlite(sink) => Ok(Database::Sqlite(sink)),
            Self::Discard(_) => Err(SinkError::refused(
                "running a query",
                "the sink discard keeps no rows: there is nothing to ask; use postgres or sqlite",
            )),
            #[cfg(feature = "testing")]
            Self::Ledger(sink) => Ok(Database::Ledger(sink)),
        }
    }
}
