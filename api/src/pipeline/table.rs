//! Tables, and what is made of them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Field, TableName};

/// A table that is loaded once, usable in SQL, and written to the sink.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The table's name in SQL and in the sink.
    pub name: TableName,
    /// Where its rows come from.
    pub source: ReferenceSource,
    /// Columns of the primary key, possibly none.
    pub key: Vec<String>,
}

/// Where a reference's rows come from.
#[derive(Debug, Clone, PartialEq)]
pub enum ReferenceSource {
    /// Rows that belong to the generator's source, by name: `music.users`, `music.bulk_track_raw_data`,
    /// `music.artists`, `music.albums`, `music.tracks`.
    Generated(String),
    /// A CSV file with a header.
    Csv(CsvSource),
}

/// A CSV file with a header line.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvSource {
    /// Path of the file, relative to the manifest's directory.
    pub path: PathBuf,
    /// Columns to take, by the header's names, sorted by name.
    pub fields: Vec<Field>,
    /// Text that stands for an absent value, besides the empty cell.
    pub null: Option<String>,
}

/// A table that records are turned into.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The table's name in the sink.
    pub name: TableName,
    /// A `SELECT` over topics and references.
    pub sql: String,
    /// How rows are written.
    pub write: Write,
    /// Secondary indexes: columns of each.
    pub indexes: Vec<Vec<String>>,
}

/// How rows go into a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Every row is added.
    Append,
    /// A row whose key is there already is ignored.
    InsertOnce {
        /// Primary key.
        key: Vec<String>,
    },
    /// A row replaces the one with the same key.
    Upsert {
        /// Primary key.
        key: Vec<String>,
        /// Replace only if this column is not smaller than the stored one; absent means that the last one wins.
        latest_by: Option<String>,
    },
    /// Rows with the same key are added up in the sink: the sink is the state store.
    Merge {
        /// Primary key.
        key: Vec<String>,
        /// Every column that is not in the key, with how two values become one.
        columns: Vec<MergeColumn>,
    },
}

impl Write {
    /// The primary key's columns; none for `append`.
    #[must_use]
    pub fn key(&self) -> &[String] {
        match self {
            Self::Append => &[],
            Self::InsertOnce { key } | Self::Upsert { key, .. } | Self::Merge { key, .. } => key,
        }
    }
}

/// A merged column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeColumn {
    /// The column.
    pub name: String,
    /// How two values become one.
    pub function: MergeFunction,
}

/// How two values of a merged column become one. All are associative and commutative, so batches may arrive
/// in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeFunction {
    /// Added.
    Sum,
    /// The smaller.
    Min,
    /// The larger.
    Max,
}

/// Scheduled work over the sink's tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The table that it fills.
    pub name: TableName,
    /// Cron expression, five fields, UTC.
    pub schedule: String,
    /// What it does.
    pub kind: ModelKind,
}

/// What a model does.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelKind {
    /// Replaces its table's rows by a query's answer.
    Sql(String),
    /// Recommends items to users from their interactions.
    Recommender(Recommender),
}

/// What items are recommended from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recommender {
    /// Table of interactions.
    pub interactions: TableName,
    /// Its user column.
    pub user: String,
    /// Its item column.
    pub item: String,
    /// Recommendations a user.
    pub top: u32,
}

/// A named question over the sink's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its name on the command line.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// How it is drawn.
    pub chart: Chart,
    /// The question. `:from` and `:to` are the bounds of the asked time span.
    pub sql: Option<String>,
    /// The same in the SQL of a sink, which goes first where it is there.
    pub native: crate::NativeSql,
    /// What it is asked with, besides the asked time.
    pub parameters: Vec<crate::Parameter>,
}

/// How a report is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Chart {
    /// Rows and columns only.
    Table,
    /// A bar a row: first column labels, last numeric column lengths.
    Bar,
    /// A line over the first column.
    Line,
    /// One number.
    Number,
}
