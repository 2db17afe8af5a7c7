//! Amounts of processor time and memory as Kubernetes users write them: `500m`, `1.5`, `512Mi`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::quantity::parse_quantity;

/// An amount as it was written in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AmountText(pub String);

impl JsonSchema for AmountText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^([0-9]{1,12}m|[0-9]{1,9}(\.[0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?)$",
            "maxLength": 15,
        })
    }
}

/// Why an amount was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an amount of processor time or memory")]
pub(crate) struct AmountError {
    pub(crate) text: String,
}

impl AmountError {
    /// What to write instead, for an error message.
    pub(crate) const REMEDY: &'static str =
        "write an amount such as 500m or 1.5 (processors), 512Mi or 1.5Gi (memory)";
}

/// Parses an amount and gives it in thousandths, so that `500m` is whole.
pub(crate) fn parse_amount(text: &str) -> Result<u128, AmountError> {
    let error = || AmountError {
        text: text.to_owned(),
    };
    if let Some(digits) = text.strip_suffix('m') {
        return match digits.len() {
            1..=12 if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| error()),
            _ => Err(error()),
        };
    }
    let whole_digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at_checked(whole_digits).ok_or_else(error)?;
    let (decimals, unit) = match rest.strip_prefix('.') {
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=3).contains(&digits) {
                return Err(error());
            }
            rest.split_at_checked(digits).ok_or_else(error)?
        }
        None => ("", rest),
    };
    if !(1..=9).contains(&whole_digits) {
        return Err(error());
    }
    let factor = u128::from(parse_quantity(&format!("1{unit}")).map_err(|_| error())?);
    let thousandths: u128 = format!("{whole}{decimals:0<3}").parse().map_err(|_| error())?;
    Ok(thousandths * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_users_write_is_understood() {
        for (text, thousandths) in [
            ("500m", 500),
            ("1", 1000),
            ("1.5", 1500),
            ("0.25", 250),
            ("512Mi", 512_000 << 20),
            ("1.5Gi", 1500 << 30),
            ("2k", 2_000_000),
        ] {
            assert_eq!(parse_amount(text).unwrap(), thousandths, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_and_quoted() {
        for text in [
            "",
            "m",
            "Mi",
            "-1",
            "1.5m",
            "1.",
            ".5",
            "1.2345",
            "1 Gi",
            "1e3",
            "1234567890",
            "1K",
            "2x",
        ] {
            assert_eq!(parse_amount(text).unwrap_err().text, text);
        }
    }
}
