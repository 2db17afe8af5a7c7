//! What is to be done about an error of `SQLite`. Pure.

use crate::{SinkError, SinkErrorKind};

/// What is to be done about an error with this result code (extended or not) while rows are written, and the
/// remedy.
fn classify(code: i32) -> (SinkErrorKind, &'static str) {
    // The low byte of an extended result code is the primary one.
    match code & 0xff {
        // Too big, a constraint, a type.
        18..=20 => (SinkErrorKind::Row, ""),
        // A name or a statement that does not fit.
        1 => (
            SinkErrorKind::Refused,
            "; the file is not as it was prepared: run prepare again",
        ),
        3 | 14 | 23 => (
            SinkErrorKind::Refused,
            "; make the file's directory, or give this user the right to write there",
        ),
        11 | 26 => (
            SinkErrorKind::Refused,
            "; the file is damaged or not SQLite's: move it away",
        ),
        // Busy, locked, out of memory, read-only, interrupted, I/O, full, protocol, schema changed, …
        _ => (SinkErrorKind::Unavailable, ""),
    }
}

/// An error while rows are written: it may be a row's fault.
pub(super) fn writing(context: impl Into<String>, error: sqlx::Error) -> SinkError {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .and_then(|code| code.parse().ok());
    let (kind, problem) = match code {
        None => (SinkErrorKind::Unavailable, error.to_string()),
        Some(code) => {
            let said = error.as_database_error().map_or("", |error| error.message());
            let (kind, remedy) = classify(code);
            (kind, format!("{said} [{code}]{remedy}"))
        }
    };
    SinkError {
        source: Some(Box::new(error)),
        ..SinkError::new(kind, context, problem)
    }
}

/// An error of a question, which says nothing about the pipeline's tables.
pub(super) fn asking(context: impl Into<String>, error: sqlx::Error) -> SinkError {
    let mut error = other(context, error);
    if let Some(said) = error
        .source
        .as_ref()
        .and_then(|source| source.downcast_ref::<sqlx::Error>())
    {
        error.problem = said
            .as_database_error()
            .map_or_else(|| said.to_string(), |said| said.message().to_owned());
    }
    error
}

/// An error of anything else, where no row can be singled out: what would be a row's fault is a person's to fix.
pub(super) fn other(context: impl Into<String>, error: sqlx::Error) -> SinkError {
    writing(context, error).no_dead_letter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_consequence() {
        use SinkErrorKind::{Refused, Row, Unavailable};
        // Primary codes, and extended ones, whose second byte says more.
        for (code, expected) in [
            (19, Row),             // constraint
            (0x0513, Row),         // not null
            (0x0c13, Row),         // type of a strict table
            (18, Row),             // too big
            (20, Row),             // mismatch
            (1, Refused),          // no such table
            (14, Refused),         // cannot open
            (26, Refused),         // not a database
            (5, Unavailable),      // busy
            (0x0205, Unavailable), // snapshot
            (6, Unavailable),      // locked
            (8, Unavailable),      // read-only
            (0x030a, Unavailable), // writing
            (13, Unavailable),     // full
            (17, Unavailable),     // schema changed
        ] {
            assert_eq!(classify(code).0, expected, "{code}");
        }
    }
}
