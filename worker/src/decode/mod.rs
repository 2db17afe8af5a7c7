//! JSON records → an Arrow batch, by the topic's declared fields. A record that does not fit is named with
//! the reason and leaves no trace in the batch.

mod column;
mod timestamp;

use std::fmt;
use std::sync::Arc;

use api::{Field, TimestampFormat};
use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::records::{Record, Records};
use column::{Column, Values, arrow_type};

pub(crate) use column::arrow_fields;

/// Columns that every topic's table has besides its fields: where the record came from.
pub const METADATA_COLUMNS: [&str; 4] = ["_partition", "_offset", "_timestamp", "_key"];

/// Decodes the records of one topic.
#[derive(Debug, Clone)]
pub struct Decoder {
    fields: Arc<[Field]>,
    schema: SchemaRef,
}

/// What became of a batch's records.
#[derive(Debug)]
pub struct Decoded {
    /// The records that fit, in order.
    pub batch: RecordBatch,
    /// For each row of `batch`, the index of its record.
    pub rows: Vec<u32>,
    /// The records that did not: index and reason.
    pub rejected: Vec<(u32, String)>,
}

impl Decoder {
    /// A decoder of records with these fields.
    #[must_use]
    pub fn new(fields: &[Field]) -> Self {
        let mut columns: Vec<ArrowField> = fields
            .iter()
            .map(|field| ArrowField::new(&field.name, arrow_type(&field.data_type), true))
            .collect();
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
        let metadata = [DataType::Int32, DataType::Int64, timestamp, DataType::Utf8];
        for (name, data_type) in METADATA_COLUMNS.into_iter().zip(metadata) {
            columns.push(ArrowField::new(name, data_type, true));
        }
        Self {
            fields: fields.into(),
            schema: Arc::new(Schema::new(columns)),
        }
    }

    /// The schema of the batches: the fields, then [`METADATA_COLUMNS`].
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Decodes all records.
    ///
    /// # Errors
    /// Only if a column grows beyond what Arrow can hold.
    pub fn decode(&self, records: &Records) -> Result<Decoded, ArrowError> {
        let mut columns: Vec<(String, Column)> = self
            .fields
            .iter()
            .map(|field| (field.name.clone(), Column::new(&field.data_type)))
            .collect();
        let mut rows = Vec::with_capacity(records.len());
        let mut rejected = Vec::new();
        for (index, record) in records.iter().enumerate() {
            match decode_value(record.value, &mut columns, rows.len()) {
                Ok(()) => rows.push(index as u32),
                Err(reason) => {
                    for (_, column) in &mut columns {
                        column.truncate(rows.len());
                    }
                    rejected.push((index as u32, reason));
                }
            }
        }
        let mut arrays: Vec<ArrayRef> = columns.iter_mut().map(|(_, column)| column.finish()).collect();
        arrays.extend(metadata_columns(records, &rows));
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?;
        Ok(Decoded {
            batch,
            rows,
            rejected,
        })
    }
}

/// Decodes rows of text cells, as a CSV file has them.
#[derive(Debug)]
pub(crate) struct TextDecoder {
    schema: SchemaRef,
    columns: Vec<Column>,
}

impl TextDecoder {
    pub(crate) fn new(fields: &[Field]) -> Self {
        let columns = fields.iter().map(|field| Column::new(&field.data_type)).collect();
        Self {
            schema: Arc::new(Schema::new(arrow_fields(fields))),
            columns,
        }
    }

    /// Adds a row; the error has the index of the field that does not fit.
    pub(crate) fn push<'a>(
        &mut self,
        cells: impl Iterator<Item = Option<&'a str>>,
    ) -> Result<(), (usize, String)> {
        for (index, (column, cell)) in self.columns.iter_mut().zip(cells).enumerate() {
            let pushed = match cell {
                Some(cell) => push_text(column, cell),
                None => Value(column).visit_unit::<serde::de::value::Error>(),
            };
            pushed.map_err(|error| (index, error.to_string()))?;
        }
        Ok(())
    }

    /// The rows since the last call.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(
            Arc::clone(&self.schema),
            self.columns.iter_mut().map(Column::finish).collect(),
        )
    }
}

fn push_text(column: &mut Column, text: &str) -> Result<(), serde::de::value::Error> {
    match &column.values {
        Values::Float(_) | Values::Double(_) => match text.trim().parse::<f64>() {
            Ok(number) => Value(column).visit_f64(number),
            Err(_) => Value(column).visit_str(text),
        },
        Values::Boolean(_) => match text.trim() {
            "true" | "True" | "TRUE" | "1" => Value(column).visit_bool(true),
            "false" | "False" | "FALSE" | "0" => Value(column).visit_bool(false),
            _ => Value(column).visit_str(text),
        },
        Values::Timestamp(TimestampFormat::Milliseconds | TimestampFormat::Seconds, _) => {
            match text.trim().parse() {
                Ok(number) => Value(column).visit_i64(number),
                Err(_) => Value(column).visit_str(text),
            }
        }
        _ => Value(column).visit_str(text),
    }
}

fn metadata_columns(records: &Records, rows: &[u32]) -> [ArrayRef; 4] {
    let taken = || rows.iter().filter_map(|row| records.get(*row as usize));
    let key = |record: Record<'_>| record.key.map(|key| String::from_utf8_lossy(key).into_owned());
    [
        Arc::new(Int32Array::from_value(records.partition.number, rows.len())),
        Arc::new(taken().map(|record| Some(record.offset)).collect::<Int64Array>()),
        Arc::new(
            taken()
                .map(|record| record.timestamp.map(|millis| millis * 1_000))
                .collect::<TimestampMicrosecondArray>(),
        ),
        Arc::new(taken().map(key).collect::<StringArray>()),
    ]
}

/// Decodes one value into the columns, which hold `row` rows; half-written columns are the caller's to cut back.
fn decode_value(value: Option<&[u8]>, columns: &mut [(String, Column)], row: usize) -> Result<(), String> {
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
struct Value<'a>(&'a mut Column);

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

#[cfg(test)]
mod tests {
    use super::*;
    use api::{FieldType, Partition};
    use arrow::array::{Array, AsArray};
    use arrow::util::pretty::pretty_format_batches;
    use proptest::prelude::*;

    fn decoder(fields: &[(&str, &str)]) -> Decoder {
        let fields: Vec<Field> = fields
            .iter()
            .map(|(name, text)| Field {
                name: (*name).to_owned(),
                data_type: FieldType::parse(text).unwrap(),
            })
            .collect();
        Decoder::new(&fields)
    }

    fn decode(decoder: &Decoder, values: &[&[u8]]) -> Decoded {
        let mut records = Records::new(
            Partition {
                topic: "t".into(),
                number: 0,
            },
            0,
        );
        for (offset, value) in values.iter().enumerate() {
            let (offset, value) = (offset as i64, Some(*value));
            records.push(Record {
                offset,
                timestamp: Some(5),
                key: Some(b"k"),
                value,
                sequence: None,
            });
        }
        decoder.decode(&records).unwrap()
    }

    #[test]
    fn values_become_columns_of_their_types() {
        let decoder = decoder(&[
            ("at", "timestamp"),
            ("count", "long"),
            ("flag", "boolean"),
            ("id", "int"),
            ("lat", "double"),
            ("name", "string"),
            ("options", "array<map<string>>"),
            ("ts", "timestamp(ms)"),
            ("user", "struct<age: int, tags: array<string>>"),
        ]);
        let decoded = decode(&decoder, &[
            br#"{"id":1,"name":"a \"b\" \u00e9","at":"2026-01-01T00:00:00.5Z","lat":1.5,"count":9007199254740993,"flag":true,
                 "ts":1000,"user":{"tags":["x",null],"age":"42"},"options":[{"k":"v"},{}],"other":{"deep":[1,{"a":2}]}}"#,
            br#"{"id":"7","name":false,"lat":2,"user":null}"#,
        ]);
        assert!(decoded.rejected.is_empty(), "{:?}", decoded.rejected);
        let expected = "\
+-------------------------+------------------+------+----+-----+---------+-----------------+---------------------+---------------------------+------------+---------+-------------------------+------+
| at                      | count            | flag | id | lat | name    | options         | ts                  | user                      | _partition | _offset | _timestamp              | _key |
+-------------------------+------------------+------+----+-----+---------+-----------------+---------------------+---------------------------+------------+---------+-------------------------+------+
| 2026-01-01T00:00:00.500 | 9007199254740993 | true | 1  | 1.5 | a \"b\" é | [{k: v}, {}]    | 1970-01-01T00:00:01 | {age: 42, tags: [x, ]}    | 0          | 0       | 1970-01-01T00:00:00.005 | k    |
|                         |                  |      | 7  | 2.0 | false   |                 |                     |                           | 0          | 1       | 1970-01-01T00:00:00.005 | k    |
+-------------------------+------------------+------+----+-----+---------+-----------------+---------------------+---------------------------+------------+---------+-------------------------+------+";
        let squeeze = |text: &str| {
            text.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .replace('-', "")
                .replace("+ ", "")
        };
        assert_eq!(
            squeeze(&pretty_format_batches(&[decoded.batch]).unwrap().to_string()),
            squeeze(expected)
        );
    }

    #[test]
    fn each_broken_record_is_named_with_its_reason_and_the_others_stay() {
        let decoder = decoder(&[
            ("id", "int"),
            ("when", "timestamp"),
            ("user", "struct<age: int>"),
            ("n", "array<int>"),
        ]);
        let cases: &[(&[u8], &str)] = &[
            (b"", "the record's value is empty"),
            (
                b"{\"id\":1",
                "not JSON: EOF while parsing an object at position 7",
            ),
            (b"{\"id\":1} x", "not JSON: trailing characters at position 10"),
            (b"[1]", "invalid type: sequence, expected an object"),
            (b"\"text\"", "invalid type: string \"text\", expected an object"),
            (
                b"{\"id\":\"\xff\"}",
                "the record is not UTF-8: wrong byte at position 8",
            ),
            (b"{\"id\":\"abc\"}", "field id: expected int, found \"abc\""),
            (b"{\"id\":3000000000}", "field id: expected int, found 3000000000"),
            (b"{\"id\":1.5}", "field id: expected int, found 1.5"),
            (b"{\"id\":{\"a\":1}}", "field id: expected int, found an object"),
            (b"{\"id\":1,\"id\":2}", "the field id is there twice"),
            (
                b"{\"when\":\"noon\"}",
                "field when: expected timestamp as text, found \"noon\"",
            ),
            (b"{\"when\":5}", "field when: expected timestamp as text, found 5"),
            (
                b"{\"user\":{\"age\":\"old\"}}",
                "field user.age: expected int, found \"old\"",
            ),
            (b"{\"user\":[]}", "field user: expected object, found an array"),
            (b"{\"n\":[1,2,\"x\"]}", "field n: expected int, found \"x\""),
        ];
        let mut values: Vec<&[u8]> = vec![b"{\"id\":1,\"n\":[1]}"];
        for (value, _) in cases {
            values.push(value);
            values.push(b"{\"id\":2,\"user\":{\"age\":3},\"n\":[4,5]}");
        }
        let decoded = decode(&decoder, &values);
        let reasons: Vec<&str> = decoded
            .rejected
            .iter()
            .map(|(_, reason)| reason.as_str())
            .collect();
        assert_eq!(
            reasons,
            cases.iter().map(|(_, reason)| *reason).collect::<Vec<_>>()
        );
        assert_eq!(decoded.batch.num_rows(), 1 + cases.len());
        let ids: Vec<i32> = decoded
            .batch
            .column(0)
            .as_primitive::<arrow::datatypes::Int32Type>()
            .values()
            .to_vec();
        assert_eq!(ids, [vec![1], vec![2; cases.len()]].concat());
        let lists = decoded.batch.column(3).as_list::<i32>();
        assert!(
            (1..lists.len()).all(|row| lists.value(row).len() == 2),
            "nothing of a broken record is left"
        );
        assert_eq!(
            decoded.rows,
            (0..=cases.len() as u32).map(|row| row * 2).collect::<Vec<_>>()
        );
    }

    #[test]
    fn deep_nesting_and_tombstones_are_refused_without_harm() {
        let decoder = decoder(&[("id", "int")]);
        let deep = ["{\"id\":".to_owned(), "[".repeat(100_000)].concat();
        let ignored = format!("{{\"other\":{}{},\"id\":1}}", "[".repeat(100), "]".repeat(100));
        let decoded = decode(&decoder, &[deep.as_bytes(), ignored.as_bytes()]);
        assert_eq!((decoded.rejected.len(), decoded.batch.num_rows()), (1, 1));
        let mut records = Records::new(
            Partition {
                topic: "t".into(),
                number: 0,
            },
            0,
        );
        records.push(Record {
            offset: 0,
            timestamp: None,
            key: None,
            value: None,
            sequence: None,
        });
        let decoded = decoder.decode(&records).unwrap();
        assert_eq!(
            decoded.rejected,
            [(0, "the record has no value (a tombstone)".to_owned())]
        );
    }

    proptest! {
        /// Whatever bytes come: every record is either a row or rejected, in order.
        #[test]
        fn no_record_disappears(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..30)) {
            let decoder = decoder(&[("a", "int"), ("b", "struct<c: array<map<double>>>")]);
            let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            let decoded = decode(&decoder, &values);
            let mut all: Vec<u32> = decoded.rows.iter().copied().chain(decoded.rejected.iter().map(|(row, _)| *row)).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..values.len() as u32).collect::<Vec<_>>());
            prop_assert_eq!(decoded.batch.num_rows(), decoded.rows.len());
        }

        /// Likely JSON: values of the right and the wrong shapes mixed.
        #[test]
        fn mutated_json_never_leaves_columns_of_different_lengths(cuts in prop::collection::vec((0_usize..60, any::<u8>()), 1..20)) {
            let decoder = decoder(&[("a", "int"), ("b", "struct<c: array<map<double>>>"), ("s", "string")]);
            let good = br#"{"a":1,"b":{"c":[{"x":1.5,"y":2},{}]},"s":"text"}"#;
            let values: Vec<Vec<u8>> = cuts.iter().map(|(at, byte)| {
                let mut value = good.to_vec();
                if let Some(place) = value.get_mut(*at) { *place = *byte }
                value
            }).collect();
            let decoded = decode(&decoder, &values.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert_eq!(decoded.batch.num_rows() + decoded.rejected.len(), values.len());
        }
    }
}
