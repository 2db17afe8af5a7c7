//! What can be wrong with a recorded trace, with its place and a remedy.

use jiff::Timestamp;

use super::recorded::{COLUMNS, LONGEST_GAP};

/// What is wrong with a recorded trace. The line is the file's; a file name is the caller's to add.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    #[error("line {line}: this is not CSV with as many fields as the heading has columns")]
    Csv {
        line: u64,
        #[source]
        source: csv::Error,
    },
    /// A column that nobody knows.
    #[error("line 1: the column {column:?} is unknown: remove it, or name it as one of {}", COLUMNS.join(", "))]
    UnknownColumn { column: String },
    #[error("line 1: the column {column:?} is there twice: remove one")]
    DoubledColumn { column: String },
    /// A column that must be there.
    #[error("line 1: the column {column:?} is missing: `streampipeline record` writes {}", COLUMNS.join(","))]
    MissingColumn { column: &'static str },
    /// A field that means nothing.
    #[error("line {line}, column {column:?}: {value:?} is not {expected}")]
    Value {
        line: u64,
        column: &'static str,
        value: String,
        expected: &'static str,
    },
    /// Rows that are not in order.
    #[error(
        "line {line}, column \"time\": {time} is not after the row before ({before}): sort the rows and remove repeated ones"
    )]
    Unordered {
        line: u64,
        time: Timestamp,
        before: Timestamp,
    },
    /// Rows that are too far apart.
    #[error(
        "line {line}, column \"time\": {seconds} s after the row before, and at most {LONGEST_GAP} s can be filled in: give the rows \
         between, or split the file here"
    )]
    Gap { line: u64, seconds: i64 },
    /// More than can be simulated in reasonable time.
    #[error("line {line}: this is more than 31 days after the first row: split the file")]
    TooLong { line: u64 },
    #[error("there are {rows} rows, and at least two are needed")]
    TooShort {
        /// How many there are.
        rows: usize,
    },
}
