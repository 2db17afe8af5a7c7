//! Values that occur in several parts of a manifest.

use std::collections::BTreeMap;
use std::time::Duration;

use cron::{Schedule, ScheduleError};

use crate::duration::{DurationError, DurationText, parse_duration};
use crate::field_type::{Field, FieldType};
use crate::problem::Collector;
use crate::rule::RuleText;

/// A number as the model has it. What does not fit is out of the schema's bounds and so is reported there.
pub(crate) fn narrow<T: TryFrom<i64> + Default>(number: i64) -> T {
    T::try_from(number).unwrap_or_default()
}

pub(crate) fn duration(text: &DurationText, path: &str, problems: &mut Collector) -> Option<Duration> {
    parse_duration(&text.0)
        .map_err(|error| problems.add(path, error.to_string(), DurationError::REMEDY))
        .ok()
}

/// A duration, which the rule wants between two others.
pub(crate) fn within(
    text: &DurationText,
    path: &str,
    bounds: &std::ops::RangeInclusive<Duration>,
    rule: RuleText,
    problems: &mut Collector,
) -> Option<Duration> {
    let duration = duration(text, path, problems)?;
    if !bounds.contains(&duration) {
        problems.broken(path, rule);
    }
    Some(duration)
}

pub(crate) fn schedule(text: &str, path: &str, problems: &mut Collector) -> Option<Schedule> {
    Schedule::parse(text)
        .map_err(|error| problems.add(path, error.to_string(), ScheduleError::REMEDY))
        .ok()
}

/// The schema of names and types of fields: a topic's, and a CSV file's.
pub(crate) fn fields_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": "string", "maxLength": 2048 },
        "minProperties": 1,
        "maxProperties": 256,
    })
}

/// Names and types of fields, sorted by name.
pub(crate) fn fields(fields: &BTreeMap<String, String>, path: &str, problems: &mut Collector) -> Vec<Field> {
    fields
        .iter()
        .filter_map(|(name, text)| {
            let path = format!("{path}.{name}");
            if name.is_empty() || name.len() > 128 || name.chars().any(|c| c.is_control() || c == '"') {
                problems.add(
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
                    problems.add(
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
