//! What a sink without transactions has to be able to do.

use std::fmt;

use api::Partition;
use arrow::array::ArrayRef;
use jiff::Timestamp;

use crate::shape::layout::Layout;
use crate::{BatchId, Claim, DeadLetter, Intent, Lease, PlanDocument, SinkError, SinkErrorKind};

/// One row of a keyed table, by values of one row each in the order and the canonical types of the table's columns.
#[derive(Debug, Clone)]
pub struct Row {
    /// The key's columns as bytes: equal and ordered as the keys are.
    pub key: Vec<u8>,
    /// All columns, the key's too.
    pub columns: Vec<ArrayRef>,
}

/// A keyed row as one partition has it. Other partitions have their own of the same key, and readers put them together:
/// no order between partitions is needed to write, and a mark of one partition says nothing about another.
#[derive(Debug, Clone)]
pub struct StoredRow {
    /// What is there.
    pub row: Row,
    /// The last batch that is in it.
    pub absorbed: BatchId,
    /// That batch's instant: which partition wrote last.
    pub at: Timestamp,
}

/// Why a step was not done, or is not known to be done: every step may be repeated, so there is no difference. There is no
/// kind for a row that is refused: once an intent is put, nobody may leave a row out any more, and a row that is refused
/// each time would be tried for ever. What a row may be refused for belongs into [`Store::encode`].
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct StoreError {
    /// What is to be done about it.
    pub kind: StoreErrorKind,
    /// What the store said, and the remedy where that is known.
    pub problem: String,
    /// The driver's error.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What is to be done about a step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Away, overloaded, silent: the step is repeated.
    Unavailable,
    /// A table or right is missing: a person has to act, and then the step is repeated.
    Refused,
    /// Another worker owns the partition, or it is not where the batch begins.
    Fenced,
}

impl StoreError {
    /// An error that the store's driver did not report.
    pub fn new(kind: StoreErrorKind, problem: impl Into<String>) -> Self {
        Self {
            kind,
            problem: problem.into(),
            source: None,
        }
    }

    pub(super) fn during(self, context: impl Into<String>) -> SinkError {
        let kind = match self.kind {
            StoreErrorKind::Unavailable => SinkErrorKind::Unavailable,
            StoreErrorKind::Refused => SinkErrorKind::Refused,
            StoreErrorKind::Fenced => SinkErrorKind::Fenced,
        };
        SinkError {
            source: self.source,
            ..SinkError::new(kind, context, self.problem)
        }
    }
}

/// Keeps positions, intents and rows. Each call takes effect whole or, where it says so, in parts that a repetition
/// completes; it may take effect after its caller has given up on it.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Rows of an append table as they are put.
    type Rows: fmt::Debug + Send + Sync;

    /// Encodes rows of an append table, whose columns have the table's canonical types.
    ///
    /// # Errors
    /// Why a row is refused for what is in it.
    fn encode(&self, table: &Layout, columns: Vec<ArrayRef>) -> Result<Self::Rows, String>;

    /// Raises the partition's epoch, and tells where it stands and what is unfinished.
    fn claim(
        &self,
        partition: &Partition,
        owner: &str,
    ) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// What this partition has of the keys of `rows`, in their order.
    fn stored(
        &self,
        table: &Layout,
        partition: &Partition,
        rows: &[Row],
    ) -> impl Future<Output = Result<Vec<Option<StoredRow>>, StoreError>> + Send;

    /// Notes what is going to be put, and the plan for it, in place of the partition's last plan.
    ///
    /// `Fenced` unless the partition's epoch is the lease's, its next offset is the intent's `expected`, and no intent is
    /// unfinished, or this one is, or one of a lower [order](BatchId::order), which is given up with that: its records are
    /// gone. That it is there already is no error.
    fn put_intent(
        &self,
        lease: &Lease,
        intent: &Intent,
        plan: &PlanDocument,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Puts a batch's rows of one append table, all of them with each call. Each has its place in the batch: the batch's
    /// identity, the table and the place are its key. Those that are there already stay.
    fn put_rows(
        &self,
        batch: &BatchId,
        table: &Layout,
        rows: &[Self::Rows],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Puts the rows that the batch's partition has from now on of these keys, marked with the batch. A key whose mark is of
    /// the same or a later batch stays as it is: deciding that and writing must be one step, as it is where a column's
    /// timestamp decides which of two writes counts.
    fn put_keyed(
        &self,
        batch: &BatchId,
        at: Timestamp,
        table: &Layout,
        rows: &[Row],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Puts dead letters under their natural keys. Those that are there already stay.
    fn put_dead_letters(
        &self,
        partition: &Partition,
        letters: &[DeadLetter],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Moves the partition to the intent's end with the intent's state, and ends the intent. `Fenced` unless the partition's
    /// epoch is the lease's and its unfinished intent is this one.
    fn advance(&self, lease: &Lease, intent: &Intent) -> impl Future<Output = Result<(), StoreError>> + Send;
}
