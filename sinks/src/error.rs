//! What can go wrong with a sink, by what is to be done about it.

/// What is to be done about a sink's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SinkErrorKind {
    /// A row was refused for what is in it: find it and make it a dead letter.
    Row,
    /// The sink cannot be reached, is full, read-only, overloaded or aborted the transaction: retry with back-off.
    Unavailable,
    /// A table, column, right or secret is not as it should be: a person must fix it; retry slowly.
    Refused,
    /// Another worker owns the partition: let go of it.
    Fenced,
    /// The connection was lost while committing: read the position to learn what happened.
    OutcomeUnknown,
}

impl SinkErrorKind {
    /// Bounded label for metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Fenced => "fenced",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }
}

/// An error of a sink.
#[derive(Debug, thiserror::Error)]
#[error("{context}: {problem}")]
pub struct SinkError {
    /// What is to be done about it.
    pub kind: SinkErrorKind,
    /// What was being done, with the table or partition: "writing table `track_stream_event_log`".
    pub context: String,
    /// What the sink said, and the remedy where it is known.
    pub problem: String,
    /// The driver's error.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl SinkError {
    /// An error that the sink itself did not report.
    pub(crate) fn new(kind: SinkErrorKind, context: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            kind,
            context: context.into(),
            problem: problem.into(),
            source: None,
        }
    }

    /// What a person must fix: `problem` has the remedy too.
    #[must_use]
    pub fn refused(context: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::new(SinkErrorKind::Refused, context, problem)
    }

    /// A reference's rows cannot be read.
    pub(crate) fn unreadable(reference: &str, error: crate::RowsError) -> Self {
        Self {
            source: Some(error),
            ..Self::refused(
                format!("loading table {reference}"),
                "its rows cannot be read; those loaded before stay",
            )
        }
    }

    /// An error of writing rows for which there are no dead letters: what would be a row's fault is a person's to fix.
    pub(crate) fn no_dead_letter(mut self) -> Self {
        if self.kind == SinkErrorKind::Row {
            self.kind = SinkErrorKind::Refused;
        }
        self
    }

    /// A table that is loaded as a whole has rows of somebody else.
    pub(crate) fn foreign_rows(context: impl Into<String>, table: &str) -> Self {
        Self::refused(
            context,
            format!(
                "table {table} holds rows that this pipeline did not load: give the manifest's table another name, or \
                 empty the one that is there"
            ),
        )
    }

    /// The partition's lease is not the current one, or its stored position is not where the batch begins.
    pub(crate) fn fenced(lease: &crate::Lease, advance: &crate::Advance) -> Self {
        let start = advance
            .start
            .map_or_else(|| "none".to_owned(), |start| start.to_string());
        Self::new(
            SinkErrorKind::Fenced,
            format!("committing {} up to {}", lease.partition, advance.end),
            format!(
                "the stored position is not {start} with epoch {}: another worker claimed or moved the partition",
                lease.epoch
            ),
        )
    }
}
