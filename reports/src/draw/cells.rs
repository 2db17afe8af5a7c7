//! What every drawing needs of an answer: its cells as text and as numbers.

use crate::terminal::style::group_digits;
use crate::terminal::table::Align;
use sinks::answer::{Answer, Value};

/// What is shown for NULL.
pub(super) const NULL: &str = "–";

/// Databases print instants down to microseconds, also where they are whole hours.
pub(super) fn whole_seconds(text: &str) -> &str {
    text.strip_suffix(".000000").unwrap_or(text)
}

/// A cell in a table.
pub(super) fn text(answer: &Answer, value: &Value) -> String {
    let text = value.text(answer.dialect);
    text.as_deref().map_or(NULL, whole_seconds).to_owned()
}

/// A cell beside its bar: a number with its thousands apart, anything else as it is.
pub(super) fn shown(answer: &Answer, value: Option<&Value>) -> String {
    grouped(value.and_then(|value| value.text(answer.dialect)).as_deref())
}

fn grouped(cell: Option<&str>) -> String {
    let Some(text) = cell else { return NULL.to_owned() };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return text.to_owned();
    }
    // SQLite prints sums of reals as 12.0.
    let fraction = fraction.trim_end_matches('0');
    let fraction: String = fraction.chars().take(3).collect();
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", group_digits(whole))
}

/// The last column of numbers.
pub(super) fn last_number_column(answer: &Answer) -> Option<usize> {
    answer.columns.iter().rposition(|column| column.kind.is_number())
}

pub(super) fn align(answer: &Answer, column: usize) -> Align {
    let numeric = answer
        .columns
        .get(column)
        .is_some_and(|column| column.kind.is_number());
    if numeric { Align::Right } else { Align::Left }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_everything_else_is_left_alone() {
        for (cell, text) in [
            (Some("1234567"), "1,234,567"),
            (Some("-1234.5000"), "-1,234.5"),
            (Some("12.0"), "12"),
            (Some("0.123456"), "0.123"),
            (Some("1e9"), "1e9"),
            (Some("pop"), "pop"),
            (Some(""), ""),
            (None, "–"),
        ] {
            assert_eq!(grouped(cell), text);
        }
    }
}
