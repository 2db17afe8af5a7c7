//! A typed answer: what a store gives for a question, the same whichever store it is.

use std::fmt::Write;

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp};

/// Instants and days are counted from here.
const EPOCH: Date = Date::constant(1970, 1, 1);

/// What a column of an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Boolean,
    /// Whole numbers of at most 64 bits.
    Integer,
    /// Exact decimal numbers.
    Decimal {
        /// Digits after the point; `None` where the store says so of each number.
        scale: Option<u8>,
    },
    /// Floating point numbers.
    Float,
    /// Text, and whatever has no kind of its own, as the store prints it.
    Text,
    /// Instants in UTC.
    Timestamp,
    /// Instants in UTC of a column that says so (`timestamp with time zone`).
    ZonedTimestamp,
    /// Days.
    Date,
    /// Bytes, as `\x` and hexadecimal digits.
    Bytes,
    /// JSON, as text.
    Json,
}

impl Kind {
    /// Whether it can be drawn as a length.
    #[must_use]
    pub fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal { .. } | Self::Float)
    }

    /// What a store that types each value rather than the column holds in it.
    #[must_use]
    pub fn of_values<'a>(values: impl Iterator<Item = &'a Value>) -> Self {
        let mut kind = None;
        for value in values {
            let of = match value {
                Value::Null => continue,
                Value::Boolean(_) => Self::Boolean,
                Value::Integer(_) => Self::Integer,
                Value::Decimal(_) => Self::Decimal { scale: None },
                Value::Float(_) => Self::Float,
                Value::Timestamp(_) => Self::Timestamp,
                Value::Date(_) => Self::Date,
                Value::Text(_) => Self::Text,
            };
            kind = match (kind, of) {
                (None, of) => Some(of),
                (Some(known), of) if known == of => Some(of),
                (Some(known), of) if known.is_number() && of.is_number() => Some(Self::Float),
                _ => return Self::Text,
            };
        }
        kind.unwrap_or(Self::Text)
    }
}

/// A cell of an answer, or the value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A decimal number, all its digits.
    Decimal(String),
    /// A floating point number.
    Float(f64),
    /// Text; of bytes and JSON too.
    Text(String),
    /// Microseconds since 1970, UTC. The largest and the smallest are infinity and -infinity.
    Timestamp(i64),
    /// Days since 1970.
    Date(i32),
}

impl From<Timestamp> for Value {
    fn from(instant: Timestamp) -> Self {
        Self::Timestamp(instant.as_microsecond())
    }
}

impl Value {
    /// The number to draw, where it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        let number = match self {
            Self::Integer(number) => *number as f64,
            Self::Float(number) => *number,
            Self::Decimal(text) => text.parse().ok()?,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }

    /// The value as one of this kind; as it is if it is of no such kind. A store without types of its own gives
    /// booleans as 0 and 1, and instants and decimals as text and numbers.
    #[must_use]
    pub fn into_kind(self, kind: Kind) -> Self {
        match (kind, self) {
            (Kind::Boolean, Self::Integer(number)) => Self::Boolean(number != 0),
            (Kind::Float, Self::Integer(number)) => Self::Float(number as f64),
            (Kind::Integer, Self::Float(number)) if number.fract() == 0.0 => Self::Integer(number as i64),
            (Kind::Decimal { scale: Some(scale) }, Self::Float(number)) => {
                Self::Decimal(format!("{number:.*}", usize::from(scale)))
            }
            (Kind::Decimal { scale: Some(scale) }, Self::Integer(number)) if scale > 0 => {
                Self::Decimal(format!("{number}.{}", "0".repeat(usize::from(scale))))
            }
            (Kind::Decimal { .. }, Self::Integer(number)) => Self::Decimal(number.to_string()),
            (Kind::Timestamp, Self::Text(text)) => match parse_instant(&text) {
                Some(micros) => Self::Timestamp(micros),
                None => Self::Text(text),
            },
            (Kind::Date, Self::Text(text)) => match text.parse::<Date>() {
                Ok(date) => Self::Date(days(date)),
                Err(_) => Self::Text(text),
            },
            (_, value) => value,
        }
    }

    /// As text for people and CSV, as the store writes it; `None` for NULL.
    #[must_use]
    pub fn text(&self, dialect: Dialect) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Boolean(value) => match (dialect, value) {
                (Dialect::Postgres, true) => "t".to_owned(),
                (Dialect::Postgres, false) => "f".to_owned(),
                (_, value) => value.to_string(),
            },
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => match dialect {
                Dialect::Postgres => postgres_float(*number),
                _ => format!("{number:?}"),
            },
            Self::Decimal(text) | Self::Text(text) => text.clone(),
            Self::Timestamp(micros) => timestamp_text(*micros, dialect),
            Self::Date(days) => match date(*days) {
                Some(date) => date.to_string(),
                None => infinite(*days > 0),
            },
        })
    }
}

/// The SQL that a store reads. It writes values as text in a form of its own too, which CSV and tables keep: they are read
/// next to what the store's own tools print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Text has no digits that say nothing: `12`, `2026-01-31 12:00:00`.
    Postgres,
    /// Instants and dates are stored as text of one form, and decimals as floating point numbers: `12.0`,
    /// `2026-01-31 12:00:00.000000`.
    Sqlite,
    /// `DataFusion`, for stores that have no SQL; text is as in `SQLite`.
    DataFusion,
}

impl Dialect {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Postgres, Self::Sqlite, Self::DataFusion];
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// What is in it.
    pub kind: Kind,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The columns, from left to right; names may repeat.
    pub columns: Vec<Column>,
    /// The rows, each with a value for every column.
    pub rows: Vec<Vec<Value>>,
    /// The store that was asked.
    pub dialect: Dialect,
}

impl Answer {
    /// The names of the columns.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.name.as_str()).collect()
    }

    /// The rows as text, NULL as `None`.
    #[must_use]
    pub fn texts(&self) -> Vec<Vec<Option<String>>> {
        let text = |value: &Value| value.text(self.dialect);
        self.rows
            .iter()
            .map(|row| row.iter().map(text).collect())
            .collect()
    }

    /// The same answer with columns of these kinds: what a question's plan knows and the store does not.
    #[must_use]
    pub fn into_kinds(mut self, columns: Vec<Column>) -> Self {
        for row in &mut self.rows {
            for (value, column) in row.iter_mut().zip(&columns) {
                *value = std::mem::replace(value, Value::Null).into_kind(column.kind);
            }
        }
        self.columns = columns;
        self
    }
}

/// Days since 1970 of a date.
#[must_use]
pub fn days(date: Date) -> i32 {
    let since = date.duration_since(EPOCH);
    i32::try_from(since.as_hours() / 24).unwrap_or(i32::MAX)
}

fn date(days: i32) -> Option<Date> {
    let since = SignedDuration::from_hours(i64::from(days) * 24);
    EPOCH.checked_add(since).ok()
}

/// Text of the form in which the sinks store instants.
fn parse_instant(text: &str) -> Option<i64> {
    let civil: DateTime = text.parse().ok()?;
    let since = civil.duration_since(EPOCH.to_datetime(Time::midnight()));
    i64::try_from(since.as_micros()).ok()
}

fn infinite(positive: bool) -> String {
    if positive { "infinity" } else { "-infinity" }.to_owned()
}

fn timestamp_text(micros: i64, dialect: Dialect) -> String {
    if micros == i64::MAX || micros == i64::MIN {
        return infinite(micros > 0);
    }
    let since = SignedDuration::from_micros(micros);
    let Ok(civil) = EPOCH.to_datetime(Time::midnight()).checked_add(since) else {
        return micros.to_string();
    };
    let text = civil.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string();
    match dialect {
        Dialect::Postgres => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => text,
    }
}

/// The shortest digits that read back as the number, with an exponent where `PostgreSQL` has one.
fn postgres_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..15).contains(&exponent) {
        return number.to_string();
    }
    let mut text = digits.to_owned();
    let sign = if exponent < 0 { '-' } else { '+' };
    // Writing to a string cannot fail.
    let _ = write!(text, "e{sign}{:02}", exponent.unsigned_abs());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_their_store_writes_them() {
        for (value, postgres, sqlite) in [
            (Value::Integer(-7), "-7", "-7"),
            (Value::Float(12.0), "12", "12.0"),
            (Value::Float(1e20), "1e+20", "1e20"),
            (Value::Float(0.00001), "1e-05", "1e-5"),
            (Value::Float(0.1), "0.1", "0.1"),
            (Value::Decimal("12.50".to_owned()), "12.50", "12.50"),
            (Value::Boolean(true), "t", "true"),
            (Value::Date(20_454), "2026-01-01", "2026-01-01"),
            (
                Value::Timestamp(1_767_225_600_500_000),
                "2026-01-01 00:00:00.5",
                "2026-01-01 00:00:00.500000",
            ),
            (
                Value::Timestamp(1_767_225_600_000_000),
                "2026-01-01 00:00:00",
                "2026-01-01 00:00:00.000000",
            ),
            (Value::Timestamp(i64::MAX), "infinity", "infinity"),
        ] {
            assert_eq!(value.text(Dialect::Postgres).as_deref(), Some(postgres));
            assert_eq!(value.text(Dialect::Sqlite).as_deref(), Some(sqlite));
        }
        assert_eq!(Value::Null.text(Dialect::Sqlite), None);
    }

    #[test]
    fn what_a_store_has_no_type_for_gets_the_plan_s() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (value, kind, expected) in [
            (Value::Integer(1), Kind::Boolean, Value::Boolean(true)),
            (
                text("2026-01-01 00:00:00.500000"),
                Kind::Timestamp,
                Value::Timestamp(1_767_225_600_500_000),
            ),
            (text("2026-01-01"), Kind::Date, Value::Date(20_454)),
            (text("soon"), Kind::Date, text("soon")),
            (
                Value::Float(12.5),
                Kind::Decimal { scale: Some(2) },
                Value::Decimal("12.50".to_owned()),
            ),
            (Value::Integer(2), Kind::Float, Value::Float(2.0)),
            (Value::Null, Kind::Integer, Value::Null),
        ] {
            assert_eq!(value.into_kind(kind), expected);
        }
    }

    #[test]
    fn a_column_s_kind_is_that_of_its_values() {
        let kind = |values: &[Value]| Kind::of_values(values.iter());
        assert_eq!(kind(&[Value::Null, Value::Integer(1)]), Kind::Integer);
        assert_eq!(kind(&[Value::Integer(1), Value::Float(1.5)]), Kind::Float);
        assert_eq!(
            kind(&[Value::Integer(1), Value::Text("x".to_owned())]),
            Kind::Text
        );
        assert_eq!(kind(&[Value::Null]), Kind::Text);
    }
}
