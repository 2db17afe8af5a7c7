//! An answer as CSV: what programs read.

use crate::report::ReportError;
use sinks::answer::Answer;

/// The names of the columns and all rows; NULL is nothing between two commas.
///
/// # Errors
/// [`ReportError::Csv`].
pub fn csv(answer: &Answer) -> Result<String, ReportError> {
    let written = || -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(answer.names())?;
        for row in answer.texts() {
            writer.write_record(row.iter().map(|cell| cell.as_deref().unwrap_or("")))?;
        }
        writer
            .into_inner()
            .map_err(|error| csv::Error::from(error.into_error()))
    };
    let bytes = written().map_err(ReportError::Csv)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
