//! `spec.reports[].parameters[]`: what a report is asked with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a report is asked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The SQL has it as `:name`.
    pub name: String,
    /// Readable in a list of parameters.
    pub title: String,
    /// How its value is read, and what it is in the SQL.
    pub parameter_type: ParameterType,
    /// The value where none is given; without one it must be given.
    pub default: Option<String>,
    /// The values that there are; any of its type if absent.
    pub choices: Option<Choices>,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParameterType {
    /// Text.
    String,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A floating point number.
    Double,
    /// A decimal number, exact.
    Decimal,
    /// `true` or `false`.
    Boolean,
    /// A day: `2026-01-31`.
    Date,
    /// An instant: `2026-01-31T12:00:00Z`, a date, `now`, or so long ago (`-2h`).
    Timestamp,
}

impl ParameterType {
    /// Its name in the manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Long => "long",
            Self::Double => "double",
            Self::Decimal => "decimal",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
        }
    }
}

/// Where the values of a parameter come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choices {
    /// Written out in the manifest.
    List(Vec<String>),
    /// The first column of a query over the pipeline's tables.
    Query(String),
}

/// A report's text in the SQL of one sink, for what portable SQL cannot say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NativeSql {
    /// For `PostgreSQL`.
    pub postgres: Option<String>,
    /// For `SQLite`.
    pub sqlite: Option<String>,
}
