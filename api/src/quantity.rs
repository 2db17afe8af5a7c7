//! Sizes in bytes as Kubernetes users write them: `16Mi`, `1G`, `1048576`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A size as it was written in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QuantityText(pub String);

impl From<&str> for QuantityText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl JsonSchema for QuantityText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]{1,12}(k|M|G|T|Ki|Mi|Gi|Ti)?$", "maxLength": 14 })
    }
}

/// Why a size was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a size in bytes")]
pub struct QuantityError {
    pub text: String,
}

impl QuantityError {
    /// What to write instead, for an error message.
    pub const REMEDY: &'static str =
        "write a whole number with one of k, M, G, T, Ki, Mi, Gi, Ti, such as 16Mi";
}

/// Parses a size and gives it in bytes.
///
/// # Errors
/// [`QuantityError`] when the text is not one to twelve digits and a unit, or nothing instead of the unit.
pub fn parse_quantity(text: &str) -> Result<u64, QuantityError> {
    let error = || QuantityError {
        text: text.to_owned(),
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(error)?;
    let factor: u64 = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return Err(error()),
    };
    if !(1..=12).contains(&digits) {
        return Err(error());
    }
    // Twelve digits of terabytes are more than 64 bits hold: no machine has so many, so the largest will do.
    Ok(number.parse::<u64>().map_err(|_| error())?.saturating_mul(factor))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_kubernetes_users_write_is_understood() {
        for (text, bytes) in [
            ("16Mi", 16 << 20),
            ("1G", 1_000_000_000),
            ("512Ki", 512 << 10),
            ("1048576", 1 << 20),
            ("2k", 2000),
        ] {
            assert_eq!(parse_quantity(text).unwrap(), bytes, "{text}");
        }
        assert_eq!(parse_quantity("999999999999Ti").unwrap(), u64::MAX);
    }

    #[test]
    fn anything_else_is_refused_and_quoted() {
        for text in [
            "",
            "Mi",
            "1.5Gi",
            "-1",
            "1 Mi",
            "1MiB",
            "1m",
            "1K",
            "1234567890123",
            "1e3",
        ] {
            assert_eq!(parse_quantity(text).unwrap_err().text, text);
        }
    }

    proptest! {
        #[test]
        fn a_unit_multiplies(number in 0u64..1_000_000) {
            prop_assert_eq!(parse_quantity(&number.to_string()).unwrap(), number);
            prop_assert_eq!(parse_quantity(&format!("{number}Mi")).unwrap(), number << 20);
            prop_assert_eq!(parse_quantity(&format!("{number}M")).unwrap(), number * 1_000_000);
        }

        #[test]
        fn no_text_is_too_much(text in ".*") {
            let _ = parse_quantity(&text);
        }
    }
}
