//! Sinks without transactions over several rows: exactly once by three steps that may each be repeated.
//!
//! ```text
//! write …              encodes rows into a buffer: whatever can be refused for what is in it, is refused here
//! savepoint, rollback  a mark in the buffer, and cutting it back to the mark
//! commit               1. intent    which batch, and what its rows follow from; fenced by epoch and position
//!                      2. rows      under the batch's identity: putting the same batch again changes nothing
//!                      3. position  moves to the batch's end, if the intent is still the one of step 1
//! ```
//!
//! A worker that dies between two steps leaves an intent. The next owner finds it with its claim, computes the same rows
//! again, and goes through all three steps. A frozen predecessor that wakes up can neither put an intent nor move the
//! position, since its epoch is an older one; rows that it still puts are those of the intent, or of one before it, and
//! change nothing. No step can refuse a row: see [`StoreError`].

mod buffer;
mod fold;
#[cfg(feature = "testing")]
pub mod ledger;
mod store;
mod transaction;

use std::sync::Arc;

use api::Partition;

use crate::shape::layout::Layout;
use crate::{Claim, Lease, PlanDocument, SinkError, TableDefinition};

pub use self::store::{Row, Store, StoreError, StoreErrorKind, StoredRow};
pub use self::transaction::Transaction;

/// A store, and the tables of the plan that it is written under.
#[derive(Debug)]
pub struct Staged<S> {
    store: Arc<S>,
    plan: PlanDocument,
    tables: Vec<Layout>,
}

impl<S: Store> Staged<S> {
    /// A sink for rows of these tables.
    ///
    /// # Errors
    /// A table that no sink can hold.
    pub fn new(store: Arc<S>, plan: PlanDocument, tables: &[TableDefinition]) -> Result<Self, SinkError> {
        Ok(Self {
            store,
            plan,
            tables: tables.iter().map(Layout::of_table).collect::<Result<_, _>>()?,
        })
    }

    /// The same store, for rows of another plan.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn under(&self, plan: PlanDocument, tables: &[TableDefinition]) -> Result<Self, SinkError> {
        Self::new(Arc::clone(&self.store), plan, tables)
    }

    /// The plan that intents are put under.
    #[must_use]
    pub fn plan(&self) -> &PlanDocument {
        &self.plan
    }

    /// What keeps the rows.
    #[must_use]
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Takes over a partition.
    ///
    /// # Errors
    /// A store that is away or refuses.
    pub async fn claim(&self, partition: &Partition, owner: &str) -> Result<Claim, SinkError> {
        let claimed = self.store.claim(partition, owner).await;
        claimed.map_err(|error| error.during(format!("claiming {partition}")))
    }

    /// Begins a batch. Nothing is sent before it is committed, but for questions about keyed rows.
    #[must_use]
    pub fn begin(self: Arc<Self>, lease: &Lease) -> Transaction<S> {
        Transaction::new(self, lease.clone())
    }
}
