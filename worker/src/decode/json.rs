//! One JSON value into columns, by serde's visitors: nothing is built in between.

use std::fmt;

use api::TimestampFormat;
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::column::{Column, Values};
use super::timestamp;

/// Decodes one value into the columns, which hold `row` rows; half-written columns are the caller's to cut back.
pub(super) fn decode_value(
    value: Option<&[u8]>,
    columns: &mut [(String, Column)],
    row: usize,
) -> Result<(), String> {
    let value = value.ok_or("the record has no value (a tombstone)")?;
    if value.is_empty() {
        return Err("the record's value is empty".to_owned());
    }
    let text = std::str::from_utf8(value).map_err(|error| {
        format!(
            "the record is not UTF-8: wrong byte at position {}",
            error.valid_up_to() + 1
        )
    })?;
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_any(Fields { columns, row })
        .and_then(|()| json.end())
        .map_err(|error| describe(&error))
}

/// `serde_json`'s message without its "at line 1": records are one line.
fn describe(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(text, _)| text);
    if error.is_data() {
        message.to_owned()
    } else {
        format!("not JSON: {message} at position {}", error.column())
    }
}

/// Decodes an object into the columns of a record or struct.
struct Fields<'a> {
    columns: &'a mut [(String, Column)],
    /// Rows that each column held before this object.
    row: usize,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { columns, row } = self;
        // Producers write their fields in one order: the next one expected is usually the next one there.
        let mut expected = 0;
        while let Some(found) = map.next_key_seed(FieldName { columns, expected })? {
            let Some(index) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            expected = index + 1;
            let Some((name, column)) = columns.get_mut(index) else {
                continue;
            };
            if column.len() > row {
                return Err(A::Error::custom(format_args!("the field {name} is there twice")));
            }
            map.next_value_seed(Value(column))
                .map_err(|error| within(name, error))?;
        }
        for (_, column) in columns.iter_mut().filter(|(_, column)| column.len() == row) {
            column.push_null();
        }
        Ok(())
    }
}

/// Puts the field's name before an error of its value, unless the JSON itself is broken there.
fn within<E: serde::de::Error>(name: &str, error: E) -> E {
    // Only errors made here begin like this; the parser's own keep their position.
    let message = error.to_string();
    match message.strip_prefix("field ") {
        Some(inner) => E::custom(format_args!("field {name}.{inner}")),
        None if message.starts_with("expected ") && message.contains(", found ") => {
            E::custom(format_args!("field {name}: {message}"))
        }
        None => error,
    }
}

/// Finds the column of an object's key without copying the key.
struct FieldName<'a> {
    columns: &'a [(String, Column)],
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for FieldName<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        let named = |index: &usize| self.columns.get(*index).is_some_and(|(name, _)| name == key);
        Ok(Some(self.expected)
            .filter(named)
            .or_else(|| (0..self.columns.len()).find(named)))
    }
}

/// Decodes one value into the end of a column.
pub(super) struct Value<'a>(pub(super) &'a mut Column);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Value<'_> {
    fn mismatch<E: serde::de::Error>(&self, found: &dyn fmt::Display) -> E {
        let wanted = match &self.0.values {
            Values::Boolean(_) => "boolean",
            Values::Int(_) => "int",
            Values::Long(_) => "long",
            Values::Float(_) => "float",
            Values::Double(_) => "double",
            Values::Text(_) => "string",
            Values::Timestamp(TimestampFormat::Text, _) => "timestamp as text",
            Values::Timestamp(TimestampFormat::Milliseconds, _) => "timestamp in milliseconds",
            Values::Timestamp(TimestampFormat::Seconds, _) => "timestamp in seconds",
            Values::List { .. } => "array",
            Values::Map { .. } | Values::Struct(_) => "object",
        };
        E::custom(format_args!("expected {wanted}, found {found}"))
    }

    fn integer<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        let fits = match &mut self.0.values {
            Values::Int(values) => i32::try_from(number).map(|number| values.push(number)).is_ok(),
            Values::Long(values) => {
                values.push(number);
                true
            }
            Values::Float(values) => {
                values.push(number as f32);
                true
            }
            Values::Double(values) => {
                values.push(number as f64);
                true
            }
            Values::Text(text) => {
                text.push(&number.to_string());
                true
            }
            Values::Timestamp(format, values) => timestamp::from_number(*format, number)
                .map(|micros| values.push(micros))
                .is_some(),
            _ => false,
        };
        self.settle(fits, &number)
    }

    /// Counts the pushed value, or refuses what was found.
    fn settle<E: serde::de::Error>(self, fits: bool, found: &dyn fmt::Display) -> Result<(), E> {
        if fits {
            self.0.pushed();
            Ok(())
        } else {
            Err(self.mismatch(found))
        }
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        let fits = match &mut self.0.values {
            Values::Boolean(values) => {
                values.push(value);
                true
            }
            Values::Text(text) => {
                text.push(if value { "true" } else { "false" });
                true
            }
            _ => false,
        };
        self.settle(fits, &value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.integer(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.integer(value),
            Err(_) => self.visit_f64(value as f64),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        let fits = match &mut self.0.values {
            Values::Float(values) => {
                values.push(value as f32);
                true
            }
            Values::Double(values) => {
                values.push(value);
                true
            }
            Values::Text(text) => {
                text.push(&value.to_string());
                true
            }
            _ => false,
        };
        self.settle(fits, &value)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        let fits = match &mut self.0.values {
            Values::Text(text) => {
                text.push(value);
                true
            }
            Values::Timestamp(TimestampFormat::Text, values) => timestamp::parse(value)
                .map(|micros| values.push(micros))
                .is_some(),
            Values::Int(values) => value.trim().parse().map(|number| values.push(number)).is_ok(),
            Values::Long(values) => value.trim().parse().map(|number| values.push(number)).is_ok(),
            _ => false,
        };
        self.settle(fits, &Quoted(value))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.0.push_null();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        let Values::List { ends, items } = &mut self.0.values else {
            return Err(self.mismatch(&"an array"));
        };
        while sequence.next_element_seed(Value(items))?.is_some() {}
        ends.push(items.len() as i32);
        self.0.pushed();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let row = self.0.len();
        match &mut self.0.values {
            Values::Struct(columns) => Fields { columns, row }.visit_map(map)?,
            Values::Map { ends, keys, values } => {
                while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                    keys.push(&key);
                    map.next_value_seed(Value(values))
                        .map_err(|error| within(&key, error))?;
                }
                ends.push(values.len() as i32);
            }
            _ => return Err(self.mismatch(&"an object")),
        }
        self.0.pushed();
        Ok(())
    }
}

/// Text from a record in an error: quoted, and cut where it is long.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(60) {
            Some((end, _)) => write!(f, "{:?}…", self.0.get(..end).unwrap_or("")),
            None => write!(f, "{:?}", self.0),
        }
    }
}
