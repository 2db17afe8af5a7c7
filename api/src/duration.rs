//! Lengths of time as Kubernetes users write them: `500ms`, `60s`, `5m`, `1h30m`.
//!
//! The grammar is that of the Gateway API (GEP-2257): one to four groups of at most five digits and a unit.
//! It is a subset of what Go, and so CEL's `duration()`, understands; the bound on digits keeps every sum in
//! range.

use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time as it was written in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationText(pub String);

impl From<&str> for DurationText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl JsonSchema for DurationText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$", "maxLength": 28 })
    }
}

/// Why a length of time was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a length of time")]
pub struct DurationError {
    pub text: String,
}

impl DurationError {
    /// What to write instead, for an error message.
    pub const REMEDY: &'static str =
        "write whole hours, minutes, seconds and milliseconds such as 1h30m, 5m, 60s or 500ms";
}

/// Parses a length of time.
///
/// # Errors
/// [`DurationError`] when the text is not one to four groups of one to five digits and `h`, `m`, `s` or `ms`.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let error = || DurationError {
        text: text.to_owned(),
    };
    let mut total = Duration::ZERO;
    let mut rest = text;
    let mut groups = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits).ok_or_else(error)?;
        if !(1..=5).contains(&digits) {
            return Err(error());
        }
        let number: u64 = number.parse().map_err(|_| error())?;
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at_checked(letters).ok_or_else(error)?;
        total += match unit {
            "h" => Duration::from_secs(number * 3600),
            "m" => Duration::from_secs(number * 60),
            "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            _ => return Err(error()),
        };
        rest = after;
        groups += 1;
    }
    if (1..=4).contains(&groups) {
        Ok(total)
    } else {
        Err(error())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_kubernetes_users_write_is_understood() {
        for (text, milliseconds) in [
            ("60s", 60_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1s500ms", 1500),
            ("0s", 0),
        ] {
            assert_eq!(
                parse_duration(text).unwrap(),
                Duration::from_millis(milliseconds),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused_and_quoted() {
        for text in [
            "",
            "60",
            "s",
            "1.5s",
            "-1s",
            "1 s",
            "1d",
            "123456s",
            "1h1h1h1h1h",
            "60 s",
            "1µs",
            "5mm",
            "٣s",
        ] {
            assert_eq!(parse_duration(text).unwrap_err().text, text);
        }
    }

    proptest! {
        #[test]
        fn groups_add_up(h in 0u64..=99_999, m in 0u64..=99_999, s in 0u64..=99_999, ms in 0u64..=99_999) {
            let parsed = parse_duration(&format!("{h}h{m}m{s}s{ms}ms")).unwrap();
            prop_assert_eq!(u64::try_from(parsed.as_millis()).unwrap(), ((h * 60 + m) * 60 + s) * 1000 + ms);
        }

        #[test]
        fn no_text_is_too_much(text in ".*") {
            let _ = parse_duration(&text);
        }
    }
}
