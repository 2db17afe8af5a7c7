//! Values that occur in several parts of a manifest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::problem::Report;
use crate::crd::{BLANK_SQL, RuleText};
use crate::duration::{DurationError, DurationText, parse_duration};
use crate::{Field, FieldType};

/// A number as the model has it. What does not fit is out of the schema's bounds and so is reported there.
pub(super) fn narrow<T: TryFrom<i64> + Default>(number: i64) -> T {
    T::try_from(number).unwrap_or_default()
}

/// A union has one member.
pub(super) fn exactly_one(members: &[bool], path: &str, rule: RuleText, report: &mut Report) {
    if members.iter().filter(|set| **set).count() != 1 {
        report.broken(path, rule);
    }
}

pub(super) fn duration(text: &DurationText, path: &str, report: &mut Report) -> Option<Duration> {
    parse_duration(&text.0)
        .map_err(|error| report.add(path, error.to_string(), DurationError::REMEDY))
        .ok()
}

pub(super) fn sql(text: &str, path: &str, report: &mut Report) -> String {
    if text.trim().is_empty() {
        report.broken(path, BLANK_SQL);
    }
    text.to_owned()
}

/// Names and types of fields, sorted by name.
pub(super) fn fields(fields: &BTreeMap<String, String>, path: &str, report: &mut Report) -> Vec<Field> {
    fields
        .iter()
        .filter_map(|(name, text)| {
            let path = format!("{path}.{name}");
            if name.is_empty() || name.len() > 128 || name.chars().any(|c| c.is_control() || c == '"') {
                report.add(
                    path,
                    format!("{name:?} is not a field's name"),
                    "use 1 to 128 characters without quotes and control characters",
                );
                return None;
            }
            match FieldType::parse(text) {
                Ok(data_type) => Some(Field {
                    name: name.clone(),
                    data_type,
                }),
                Err(error) => {
                    report.add(
                        path,
                        error.to_string(),
                        "write a type such as int, timestamp(ms) or array<string>",
                    );
                    None
                }
            }
        })
        .collect()
}
