//! What the stores write differently. Everything else is the same text for all of them.

use std::fmt::Write;

use super::kind::Type;
use sinks::answer::Dialect;

/// What is written by the dialect.
pub(super) trait Sql {
    /// `value` as a value of this type. `value` is of another one, or of none yet.
    fn cast(self, value: &str, to: Type) -> String;

    /// `value`, to be compared by the bytes of its text whatever the database's language is.
    fn ordered(self, value: String, of: Type) -> String;
}

impl Sql for Dialect {
    fn cast(self, value: &str, to: Type) -> String {
        let name = match (self, to) {
            (Self::DataFusion, Type::Timestamp) => {
                return format!("arrow_cast({value}, 'Timestamp(Microsecond, None)')");
            }
            (Self::Postgres, Type::Boolean) => "boolean",
            (Self::Postgres, Type::Integer) => "bigint",
            (Self::Postgres, Type::Float) => "double precision",
            (Self::Postgres, Type::Text | Type::Null) => "text",
            (Self::Postgres, Type::Timestamp) => "timestamp",
            (Self::Postgres | Self::DataFusion, Type::Date) => "date",
            (Self::Postgres, Type::Decimal(precision, scale)) => {
                return format!("CAST({value} AS numeric({precision}, {scale}))");
            }
            (Self::Sqlite, Type::Boolean | Type::Integer) => "INTEGER",
            (Self::Sqlite, Type::Float | Type::Decimal(..)) => "REAL",
            (Self::Sqlite, _) => "TEXT",
            (Self::DataFusion, Type::Boolean) => "BOOLEAN",
            (Self::DataFusion, Type::Integer) => "BIGINT",
            (Self::DataFusion, Type::Float) => "DOUBLE",
            (Self::DataFusion, Type::Text | Type::Null) => "VARCHAR",
            (Self::DataFusion, Type::Decimal(precision, scale)) => {
                return format!("CAST({value} AS DECIMAL({precision}, {scale}))");
            }
        };
        format!("CAST({value} AS {name})")
    }

    fn ordered(self, value: String, of: Type) -> String {
        if self == Self::Postgres && of == Type::Text {
            format!("{value} COLLATE \"C\"")
        } else {
            value
        }
    }
}

/// Text as SQL's literal.
pub(super) fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A `LIKE` pattern as `SQLite`'s `GLOB`, which tells upper case from lower as `LIKE` does elsewhere.
pub(super) fn glob(pattern: &str) -> String {
    let mut glob = String::with_capacity(pattern.len() + 4);
    for character in pattern.chars() {
        match character {
            '%' => glob.push('*'),
            '_' => glob.push('?'),
            '*' | '?' | '[' => {
                // Writing to a string cannot fail.
                let _ = write!(glob, "[{character}]");
            }
            other => glob.push(other),
        }
    }
    glob
}
