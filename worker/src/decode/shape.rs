//! The short cut for records that look like the one before: a flat object without blanks, the same fields in the same
//! order, strings without escapes. Nearly every producer writes such; the general reader costs three times as much.
//!
//! What the short cut takes, the general reader would take with the same result. What it does not take says nothing:
//! the general reader looks at it.

use api::TimestampFormat;

use super::column::{Column, Values};
use super::timestamp;

/// More digits might not fit into 64 bits.
const MOST_DIGITS: usize = 18;

/// How a record looks.
#[derive(Debug)]
pub(super) struct Shape {
    fields: Vec<Known>,
    /// Columns that no field is for.
    absent: Vec<usize>,
}

#[derive(Debug)]
struct Known {
    /// `{"name":` of the first field, `,"name":` of others.
    before: Box<[u8]>,
    /// `None` for a field that is not declared.
    column: Option<usize>,
}

impl Shape {
    /// The shape of a record that the general reader has taken; `None` if the short cut is not for its like.
    pub(super) fn of(value: &[u8], columns: &[(String, Column)]) -> Option<Self> {
        let mut fields: Vec<Known> = Vec::new();
        let mut rest = value;
        while rest != b"}" {
            let opening = if fields.is_empty() { b'{' } else { b',' };
            let (&first, after) = rest.split_first()?;
            let (name, _) = string(after)?;
            let length = name.len() + 4;
            let (before, after) = rest.split_at_checked(length)?;
            if first != opening || before.last() != Some(&b':') {
                return None;
            }
            let column = columns.iter().position(|(column, _)| column.as_bytes() == name);
            fields.push(Known {
                before: before.into(),
                column,
            });
            rest = string(after)
                .or_else(|| integer(after).map(|(_, rest)| (after, rest)))?
                .1;
        }
        let takes = |index: usize| fields.iter().any(|field| field.column == Some(index));
        let absent = (0..columns.len()).filter(|index| !takes(*index)).collect();
        Some(Self { fields, absent })
    }

    /// Reads a record into the columns; half-written columns are the caller's to cut back if it does not.
    pub(super) fn read(&self, value: &[u8], columns: &mut [(String, Column)]) -> bool {
        self.try_read(value, columns).is_some()
    }

    fn try_read(&self, value: &[u8], columns: &mut [(String, Column)]) -> Option<()> {
        let mut rest = value;
        for field in &self.fields {
            rest = rest.strip_prefix(&*field.before)?;
            rest = match field.column {
                Some(index) => push(&mut columns.get_mut(index)?.1, rest)?,
                None => {
                    string(rest)
                        .or_else(|| integer(rest).map(|(_, after)| (rest, after)))?
                        .1
                }
            };
        }
        if rest != b"}" {
            return None;
        }
        for index in &self.absent {
            columns.get_mut(*index)?.1.push_null();
        }
        Some(())
    }
}

/// Takes one value off and pushes it; gives what follows.
fn push<'a>(column: &mut Column, input: &'a [u8]) -> Option<&'a [u8]> {
    let rest = match &mut column.values {
        Values::Int(values) => {
            let (number, rest) = integer(input)?;
            values.push(i32::try_from(number).ok()?);
            rest
        }
        Values::Long(values) => {
            let (number, rest) = integer(input)?;
            values.push(number);
            rest
        }
        Values::Text(text) => {
            let (bytes, rest) = string(input)?;
            text.push(std::str::from_utf8(bytes).ok()?);
            rest
        }
        Values::Timestamp(TimestampFormat::Text, values) => {
            let (bytes, rest) = string(input)?;
            values.push(timestamp::common_form(bytes)?);
            rest
        }
        Values::Timestamp(format, values) => {
            let (number, rest) = integer(input)?;
            values.push(timestamp::from_number(*format, number)?);
            rest
        }
        _ => return None,
    };
    column.pushed();
    Some(rest)
}

/// A string without escapes, and what follows its closing quote. Whether it is UTF-8 is not looked at.
fn string(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = input.strip_prefix(b"\"")?;
    let end = text
        .iter()
        .position(|byte| *byte == b'"' || *byte == b'\\' || *byte < b' ')?;
    let (text, rest) = text.split_at_checked(end)?;
    Some((text, rest.strip_prefix(b"\"")?))
}

/// A whole number as JSON writes it, and what follows.
fn integer(input: &[u8]) -> Option<(i64, &[u8])> {
    let (negative, digits) = match input.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, input),
    };
    let count = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    let (digits, rest) = digits.split_at_checked(count)?;
    let plain = match digits {
        [] => false,
        [b'0', ..] => count == 1 && !negative,
        _ => count <= MOST_DIGITS,
    };
    // What a fraction or an exponent follows is another number.
    if !plain || !matches!(rest.first(), Some(b',' | b'}')) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    Some((if negative { -number } else { number }, rest))
}
