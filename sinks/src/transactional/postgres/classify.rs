//! What is to be done about an error of `PostgreSQL`. Pure.

use std::io;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::{SinkError, SinkErrorKind};

/// What is to be done about an error with this SQLSTATE while rows are written.
pub(super) fn kind(sqlstate: &str) -> SinkErrorKind {
    let class = sqlstate.get(..2).unwrap_or("");
    match (class, sqlstate) {
        // The bytes of a COPY are not what the column's type expects: the table was changed, not the row.
        (_, "22P03" | "22P04" | "08P01") => SinkErrorKind::Refused,
        // Data exceptions, integrity violations (also by triggers and views), values too long for an index.
        ("22" | "23" | "44" | "P0", _) | (_, "54000") => SinkErrorKind::Row,
        // Syntax and access, unknown names, passwords, unsupported features, statements beyond limits.
        ("42" | "28" | "3D" | "3F" | "0A" | "54" | "0L" | "0P" | "F0", _) => SinkErrorKind::Refused,
        // 08 connections, 25 transaction states (25006: a standby), 40 rolled back, 53 resources, 55 locks,
        // 57 operators, 58 I/O, XX internal; and what no one has thought of, which must not become dead letters.
        _ => SinkErrorKind::Unavailable,
    }
}

/// The remedy, where it is known.
fn remedy(sqlstate: &str) -> Option<&'static str> {
    Some(match sqlstate {
        "42703" | "42P01" | "42P10" | "22P03" | "22P04" | "08P01" | "42804" => {
            "the table is not as it was prepared: run prepare again (it says what differs)"
        }
        "42501" => "grant the right to the sink's user",
        "28P01" | "28000" => "check username and password in the sink's secret, and pg_hba.conf",
        "3D000" => "create the database, or correct sink.postgres.database",
        "3F000" => "create the schema, or correct sink.postgres.schema",
        "53300" => "lower sink.postgres.maxConnections or scaling.max, or raise max_connections",
        "53100" => "make room on the server's disk",
        "25006" => "the server is a standby or read-only: writing goes on when it is not",
        _ => return None,
    })
}

/// An error while rows are written: it may be a row's fault.
pub(super) fn writing(context: impl Into<String>, error: sqlx::Error) -> SinkError {
    classified(context, error, remedy)
}

/// An error of a question: what the pipeline's tables would need is no remedy for it.
pub(super) fn asking(context: impl Into<String>, error: sqlx::Error) -> SinkError {
    classified(context, error, |_| None).no_dead_letter()
}

fn classified(
    context: impl Into<String>,
    error: sqlx::Error,
    remedy: fn(&str) -> Option<&'static str>,
) -> SinkError {
    let (kind, problem) = classify(&error, remedy);
    SinkError {
        source: Some(Box::new(error)),
        ..SinkError::new(kind, context, problem)
    }
}

/// An error of anything else, where no row can be singled out: what would be a row's fault is a person's to fix.
pub(super) fn other(context: impl Into<String>, error: sqlx::Error) -> SinkError {
    writing(context, error).no_dead_letter()
}

/// An error of `COMMIT` itself. Only an answer that the transaction was rolled back is one: a lost connection, and
/// a server that ends the session, may have committed before.
pub(super) fn committing(context: impl Into<String>, error: sqlx::Error) -> SinkError {
    let rolled_back = database_error(&error).is_some_and(|error| error.severity() == PgSeverity::Error);
    let mut error = other(context, error);
    if !rolled_back {
        error.kind = SinkErrorKind::OutcomeUnknown;
    }
    error
}

/// Whether the user lacks a right.
pub(super) fn is_forbidden(error: &sqlx::Error) -> bool {
    database_error(error).is_some_and(|error| error.code() == "42501")
}

/// Whether something else in the database needs what was to be dropped.
pub(super) fn is_depended_on(error: &sqlx::Error) -> bool {
    database_error(error).is_some_and(|error| error.code() == "2BP01")
}

/// Whether the connection is of no more use, whatever was sent over it.
pub(super) fn is_lost_connection(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        error => database_error(error).is_some_and(|error| error.severity() != PgSeverity::Error),
    }
}

fn classify(error: &sqlx::Error, remedy: fn(&str) -> Option<&'static str>) -> (SinkErrorKind, String) {
    match error {
        sqlx::Error::Database(_) => match database_error(error) {
            Some(error) => (kind(error.code()), database_problem(error, remedy)),
            None => (SinkErrorKind::Unavailable, error.to_string()),
        },
        // A certificate that does not hold comes as invalid data of the handshake.
        sqlx::Error::Io(io) if io.kind() == io::ErrorKind::InvalidData => (
            SinkErrorKind::Refused,
            format!("{io}: check sink.postgres.tls and ca.crt in the sink's secret"),
        ),
        sqlx::Error::Io(io) => (SinkErrorKind::Unavailable, io.to_string()),
        sqlx::Error::Tls(tls) => (
            SinkErrorKind::Refused,
            format!("{tls}: check sink.postgres.tls and ca.crt in the sink's secret"),
        ),
        sqlx::Error::Configuration(problem) => (SinkErrorKind::Refused, problem.to_string()),
        other => (SinkErrorKind::Unavailable, other.to_string()),
    }
}

fn database_problem(error: &PgDatabaseError, remedy: fn(&str) -> Option<&'static str>) -> String {
    let mut problem = format!("{} [{}]", error.message(), error.code());
    let further = [
        error.detail().map(|text| format!("detail: {text}")),
        error.hint().map(|text| format!("hint: {text}")),
        error.r#where().map(|text| format!("at: {text}")),
        remedy(error.code()).map(str::to_owned),
    ];
    for text in further.into_iter().flatten() {
        problem.push_str("; ");
        problem.push_str(&text);
    }
    // A deadlock's detail has a line for each process; a log has one for each problem.
    problem.replace('\n', " ")
}

pub(super) fn database_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sqlstate_has_its_consequence() {
        use SinkErrorKind::{Refused, Row, Unavailable};
        for (sqlstate, expected) in [
            ("22003", Row),
            ("22021", Row),
            ("22P02", Row),
            ("22P05", Row),
            ("23502", Row),
            ("23505", Row),
            ("23514", Row),
            ("44000", Row),
            ("54000", Row),
            ("P0001", Row),
            ("22P03", Refused),
            ("22P04", Refused),
            ("08P01", Refused),
            ("42501", Refused),
            ("42601", Refused),
            ("42703", Refused),
            ("42P01", Refused),
            ("28P01", Refused),
            ("3D000", Refused),
            ("3F000", Refused),
            ("0A000", Refused),
            ("54011", Refused),
            ("08006", Unavailable),
            ("25006", Unavailable),
            ("25P02", Unavailable),
            ("40001", Unavailable),
            ("40P01", Unavailable),
            ("53100", Unavailable),
            ("53200", Unavailable),
            ("53300", Unavailable),
            ("55P03", Unavailable),
            ("57014", Unavailable),
            ("57P01", Unavailable),
            ("57P03", Unavailable),
            ("58030", Unavailable),
            ("72000", Unavailable),
            ("XX000", Unavailable),
            ("ZZ999", Unavailable),
            ("", Unavailable),
        ] {
            assert_eq!(kind(sqlstate), expected, "{sqlstate}");
        }
    }

    #[test]
    fn errors_without_a_sqlstate_are_told_apart() {
        let io = |kind| sqlx::Error::Io(io::Error::new(kind, "said so"));
        for (error, expected) in [
            (io(io::ErrorKind::ConnectionRefused), SinkErrorKind::Unavailable),
            (io(io::ErrorKind::TimedOut), SinkErrorKind::Unavailable),
            (io(io::ErrorKind::InvalidData), SinkErrorKind::Refused),
            (sqlx::Error::Tls("no TLS".into()), SinkErrorKind::Refused),
            (
                sqlx::Error::Protocol("odd".to_owned()),
                SinkErrorKind::Unavailable,
            ),
        ] {
            assert_eq!(writing("writing", error).kind, expected);
        }
        let lost = committing("committing", io(io::ErrorKind::ConnectionReset));
        assert_eq!(lost.kind, SinkErrorKind::OutcomeUnknown);
        assert_eq!(lost.to_string(), "committing: said so");
    }
}
