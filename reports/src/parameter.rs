//! Values of parameters: read by their types, held to their choices. Pure: the clock is an argument.

use std::collections::BTreeMap;

use api::{Parameter, ParameterType};
use arrow::datatypes::{DataType, TimeUnit};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::span::instant;
use crate::sql::Placeholder;
use sinks::answer::{Value, days};

/// Digits of a decimal parameter, before the point and after it together.
const PRECISION: u8 = 38;
/// Digits of a decimal parameter after the point.
const SCALE: i8 = 10;
/// Choices that an error names.
const NAMED: usize = 10;

/// Values as they were typed, by the names of parameters.
pub type Given = BTreeMap<String, String>;

/// Why a report cannot be asked with these values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// It has no such parameter.
    #[error("there is no parameter {name}; {}", named(.known))]
    Unknown {
        /// As it was typed.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// It has no value.
    #[error("the parameter {name} has no default; give it with --param {name}=VALUE ({of})")]
    Missing {
        /// Its name.
        name: String,
        /// Its type.
        of: &'static str,
    },
    /// The value is not of its type.
    #[error("the parameter {name}: {value:?} is no {of}; write {like}")]
    Type {
        /// Its name.
        name: String,
        /// As it was typed.
        value: String,
        /// Its type.
        of: &'static str,
        /// Values of that type.
        like: &'static str,
    },
    /// The value is not among the choices.
    #[error("the parameter {name}: {value:?} is not among its choices; take one of {}", first(.choices))]
    Choice {
        /// Its name.
        name: String,
        /// As it was typed.
        value: String,
        /// Those that there are.
        choices: Vec<String>,
    },
}

fn named(names: &[String]) -> String {
    if names.is_empty() {
        "there are none besides --from and --to".to_owned()
    } else {
        format!("name one of {}", names.join(", "))
    }
}

fn first(choices: &[String]) -> String {
    let more = choices.len().saturating_sub(NAMED);
    let named: Vec<&str> = choices.iter().take(NAMED).map(String::as_str).collect();
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more (--params lists them)")
    };
    named.join(", ") + &more
}

/// The typed text of a parameter's value: what was given, else the default.
pub(crate) fn typed<'a>(parameter: &'a Parameter, given: &'a Given) -> Result<&'a str, ParameterError> {
    given
        .get(&parameter.name)
        .or(parameter.default.as_ref())
        .map(String::as_str)
        .ok_or_else(|| ParameterError::Missing {
            name: parameter.name.clone(),
            of: parameter.parameter_type.name(),
        })
}

/// The value that a text is.
///
/// # Errors
/// [`ParameterError::Type`].
pub fn read(parameter: &Parameter, text: &str, now: Timestamp) -> Result<Value, ParameterError> {
    let of = parameter.parameter_type;
    let value = match of {
        ParameterType::String => Some(Value::Text(text.to_owned())).filter(|_| !text.contains('\0')),
        ParameterType::Int => text
            .parse::<i32>()
            .ok()
            .map(|number| Value::Integer(number.into())),
        ParameterType::Long => text.parse().ok().map(Value::Integer),
        ParameterType::Double => {
            let number = text.parse().ok().filter(|number: &f64| number.is_finite());
            number.map(Value::Float)
        }
        ParameterType::Decimal => is_decimal(text).then(|| Value::Decimal(text.to_owned())),
        ParameterType::Boolean => text.parse().ok().map(Value::Boolean),
        ParameterType::Date => text.parse::<Date>().ok().map(|date| Value::Date(days(date))),
        ParameterType::Timestamp => instant(text, now).ok().map(Value::from),
    };
    value.ok_or_else(|| ParameterError::Type {
        name: parameter.name.clone(),
        value: text.to_owned(),
        of: of.name(),
        like: like(of),
    })
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let most = usize::from(PRECISION) - SCALE.unsigned_abs() as usize;
    all(whole) && all(fraction) && (1..=most).contains(&whole.len()) && fraction.len() <= SCALE as usize
}

fn like(of: ParameterType) -> &'static str {
    match of {
        ParameterType::String => "text",
        ParameterType::Int | ParameterType::Long => "a whole number",
        ParameterType::Double => "a number, 1.5 or 1e9",
        ParameterType::Decimal => "a number of at most 28 digits and 10 after the point, 12.50",
        ParameterType::Boolean => "true or false",
        ParameterType::Date => "2026-01-31",
        ParameterType::Timestamp => "2026-01-31T12:00:00Z, 2026-01-31, -2h (two hours ago) or now",
    }
}

/// Holds a text to the choices that there are. Values are compared, so that `1` is among `01`.
pub(crate) fn among(
    parameter: &Parameter,
    text: &str,
    choices: &[String],
    now: Timestamp,
) -> Result<(), ParameterError> {
    let value = read(parameter, text, now)?;
    let same = |choice: &String| read(parameter, choice, now).is_ok_and(|choice| choice == value);
    if choices.iter().any(same) {
        return Ok(());
    }
    Err(ParameterError::Choice {
        name: parameter.name.clone(),
        value: text.to_owned(),
        choices: choices.to_vec(),
    })
}

/// What a parameter is in SQL.
pub(crate) fn placeholder(parameter: &Parameter) -> Placeholder {
    let of = match parameter.parameter_type {
        ParameterType::String => DataType::Utf8,
        ParameterType::Int | ParameterType::Long => DataType::Int64,
        ParameterType::Double => DataType::Float64,
        ParameterType::Decimal => DataType::Decimal128(PRECISION, SCALE),
        ParameterType::Boolean => DataType::Boolean,
        ParameterType::Date => DataType::Date32,
        ParameterType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
    };
    Placeholder {
        name: parameter.name.clone(),
        of,
        value: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(parameter_type: ParameterType) -> Parameter {
        Parameter {
            name: "x".to_owned(),
            title: "x".to_owned(),
            parameter_type,
            default: None,
            choices: None,
        }
    }

    #[test]
    fn values_are_read_by_their_types() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let read = |of, text: &str| read(&parameter(of), text, now);
        for (of, text, value) in [
            (ParameterType::String, "it's", Value::Text("it's".to_owned())),
            (ParameterType::Int, "-7", Value::Integer(-7)),
            (ParameterType::Long, "9000000000", Value::Integer(9_000_000_000)),
            (ParameterType::Double, "1e3", Value::Float(1000.0)),
            (
                ParameterType::Decimal,
                "-12.50",
                Value::Decimal("-12.50".to_owned()),
            ),
            (ParameterType::Boolean, "true", Value::Boolean(true)),
            (ParameterType::Date, "1970-01-02", Value::Date(1)),
            (ParameterType::Timestamp, "1970-01-01", Value::Timestamp(0)),
            (
                ParameterType::Timestamp,
                "-1h",
                Value::Timestamp((now.as_second() - 3600) * 1_000_000),
            ),
        ] {
            assert_eq!(read(of, text), Ok(value), "{text}");
        }
        for (of, text) in [
            (ParameterType::Int, "9000000000"),
            (ParameterType::Int, "1.5"),
            (ParameterType::Long, "x"),
            (ParameterType::Double, "inf"),
            (ParameterType::Decimal, "1e3"),
            (ParameterType::Decimal, ""),
            (ParameterType::Boolean, "yes"),
            (ParameterType::Date, "31.1.2026"),
            (ParameterType::Timestamp, "yesterday"),
        ] {
            let error = read(of, text).unwrap_err().to_string();
            let expected = format!("the parameter x: {text:?} is no {}; write ", of.name());
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn a_value_is_one_of_the_choices() {
        let now = Timestamp::UNIX_EPOCH;
        let choices: Vec<String> = (1..=12).map(|number| format!("0{number}")).collect();
        let int = parameter(ParameterType::Int);
        assert_eq!(among(&int, "1", &choices, now), Ok(()));
        assert_eq!(
            among(&int, "99", &choices, now).unwrap_err().to_string(),
            "the parameter x: \"99\" is not among its choices; take one of 01, 02, 03, 04, 05, 06, 07, 08, 09, 010 and \
             2 more (--params lists them)"
        );
    }
}
