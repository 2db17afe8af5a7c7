//! Growing Arrow columns that can be cut back: a record that turns out to be broken half-way leaves no trace.

use std::sync::Arc;

use api::{Field, FieldType, TimestampFormat};
use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, ListArray, MapArray,
    StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field as ArrowField, Fields, TimeUnit};

/// A column that grows by one value a record.
#[derive(Debug)]
pub(super) struct Column {
    /// Whether each value is there; empty as long as none is missing.
    valid: Vec<bool>,
    length: usize,
    pub(super) values: Values,
}

/// The values of a column; a missing one takes a default's place.
#[derive(Debug)]
pub(super) enum Values {
    Boolean(Vec<bool>),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Text(Text),
    Timestamp(TimestampFormat, Vec<i64>),
    /// `ends[i]` is where the i-th list ends in `items`.
    List {
        ends: Vec<i32>,
        items: Box<Column>,
    },
    Map {
        ends: Vec<i32>,
        keys: Text,
        values: Box<Column>,
    },
    Struct(Vec<(String, Column)>),
}

/// Strings, one after the other.
#[derive(Debug, Default)]
pub(super) struct Text {
    ends: Vec<i32>,
    bytes: String,
}

impl Text {
    pub(super) fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len() as i32);
    }

    fn truncate(&mut self, length: usize) {
        self.ends.truncate(length);
        self.bytes
            .truncate(self.ends.last().map_or(0, |end| *end as usize));
    }

    fn finish(&mut self, nulls: Option<NullBuffer>) -> StringArray {
        let text = std::mem::take(self);
        StringArray::new(offsets(&text.ends), text.bytes.into_bytes().into(), nulls)
    }
}

/// The arrow type of a field's type. Instants have no zone: all of them are UTC.
pub(crate) fn arrow_type(field_type: &FieldType) -> DataType {
    match field_type {
        FieldType::Boolean => DataType::Boolean,
        FieldType::Int => DataType::Int32,
        FieldType::Long => DataType::Int64,
        FieldType::Float => DataType::Float32,
        FieldType::Double => DataType::Float64,
        FieldType::String => DataType::Utf8,
        FieldType::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
        FieldType::Array(item) => DataType::List(item_field(arrow_type(item))),
        FieldType::Map(value) => DataType::Map(map_entries(arrow_type(value)), false),
        FieldType::Struct(fields) => DataType::Struct(arrow_fields(fields)),
    }
}

/// The arrow fields of a record's or struct's fields; all may be null.
pub(crate) fn arrow_fields(fields: &[Field]) -> Fields {
    fields
        .iter()
        .map(|field| ArrowField::new(&field.name, arrow_type(&field.data_type), true))
        .collect()
}

fn item_field(item: DataType) -> Arc<ArrowField> {
    Arc::new(ArrowField::new("item", item, true))
}

fn map_entries(value: DataType) -> Arc<ArrowField> {
    let entry = vec![
        ArrowField::new("keys", DataType::Utf8, false),
        ArrowField::new("values", value, true),
    ];
    Arc::new(ArrowField::new("entries", DataType::Struct(entry.into()), false))
}

impl Column {
    /// A column that will hold about `expected` values.
    pub(super) fn new(field_type: &FieldType, expected: usize) -> Self {
        let values = match field_type {
            FieldType::Boolean => Values::Boolean(Vec::with_capacity(expected)),
            FieldType::Int => Values::Int(Vec::with_capacity(expected)),
            FieldType::Long => Values::Long(Vec::with_capacity(expected)),
            FieldType::Float => Values::Float(Vec::with_capacity(expected)),
            FieldType::Double => Values::Double(Vec::with_capacity(expected)),
            FieldType::String => Values::Text(Text::default()),
            FieldType::Timestamp(format) => Values::Timestamp(*format, Vec::with_capacity(expected)),
            FieldType::Array(item) => Values::List {
                ends: Vec::new(),
                items: Box::new(Self::new(item, expected)),
            },
            FieldType::Map(value) => Values::Map {
                ends: Vec::new(),
                keys: Text::default(),
                values: Box::new(Self::new(value, expected)),
            },
            FieldType::Struct(fields) => Values::Struct(
                fields
                    .iter()
                    .map(|field| (field.name.clone(), Self::new(&field.data_type, expected)))
                    .collect(),
            ),
        };
        Self {
            valid: Vec::new(),
            length: 0,
            values,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Counts the value that was just pushed to `values`.
    pub(super) fn pushed(&mut self) {
        self.length += 1;
        if !self.valid.is_empty() {
            self.valid.push(true);
        }
    }

    pub(super) fn push_null(&mut self) {
        match &mut self.values {
            Values::Boolean(values) => values.push(false),
            Values::Int(values) => values.push(0),
            Values::Long(values) | Values::Timestamp(_, values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Double(values) => values.push(0.0),
            Values::Text(text) => text.push(""),
            Values::List { ends, .. } | Values::Map { ends, .. } => {
                ends.push(ends.last().copied().unwrap_or(0));
            }
            Values::Struct(fields) => fields.iter_mut().for_each(|(_, column)| column.push_null()),
        }
        if self.valid.is_empty() {
            self.valid = vec![true; self.length];
        }
        self.valid.push(false);
        self.length += 1;
    }

    /// Cuts the column back to its first `length` values, whatever was pushed half-way after them.
    pub(super) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        self.valid.truncate(length);
        match &mut self.values {
            Values::Boolean(values) => values.truncate(length),
            Values::Int(values) => values.truncate(length),
            Values::Long(values) | Values::Timestamp(_, values) => values.truncate(length),
            Values::Float(values) => values.truncate(length),
            Values::Double(values) => values.truncate(length),
            Values::Text(text) => text.truncate(length),
            Values::List { ends, items } => {
                ends.truncate(length);
                items.truncate(ends.last().map_or(0, |end| *end as usize));
            }
            Values::Map { ends, keys, values } => {
                ends.truncate(length);
                let entries = ends.last().map_or(0, |end| *end as usize);
                keys.truncate(entries);
                values.truncate(entries);
            }
            Values::Struct(fields) => fields.iter_mut().for_each(|(_, column)| column.truncate(length)),
        }
    }

    /// The column's values as an array; the column is empty afterwards.
    pub(super) fn finish(&mut self) -> ArrayRef {
        let nulls = if self.valid.is_empty() {
            None
        } else {
            Some(NullBuffer::from(std::mem::take(&mut self.valid)))
        };
        let length = std::mem::take(&mut self.length);
        match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(std::mem::take(values).into(), nulls)),
            Values::Int(values) => Arc::new(Int32Array::new(std::mem::take(values).into(), nulls)),
            Values::Long(values) => Arc::new(Int64Array::new(std::mem::take(values).into(), nulls)),
            Values::Float(values) => Arc::new(Float32Array::new(std::mem::take(values).into(), nulls)),
            Values::Double(values) => Arc::new(Float64Array::new(std::mem::take(values).into(), nulls)),
            Values::Timestamp(_, values) => Arc::new(TimestampMicrosecondArray::new(
                std::mem::take(values).into(),
                nulls,
            )),
            Values::Text(text) => Arc::new(text.finish(nulls)),
            Values::List { ends, items } => {
                let items = items.finish();
                let field = item_field(items.data_type().clone());
                Arc::new(ListArray::new(
                    field,
                    offsets(&std::mem::take(ends)),
                    items,
                    nulls,
                ))
            }
            Values::Map { ends, keys, values } => {
                let values = values.finish();
                let field = map_entries(values.data_type().clone());
                let DataType::Struct(fields) = field.data_type().clone() else {
                    unreachable!("entries are a struct")
                };
                let entries = StructArray::new(fields, vec![Arc::new(keys.finish(None)), values], None);
                Arc::new(MapArray::new(
                    field,
                    offsets(&std::mem::take(ends)),
                    entries,
                    nulls,
                    false,
                ))
            }
            Values::Struct(fields) => {
                let (names, arrays): (Vec<ArrowField>, Vec<ArrayRef>) = fields
                    .iter_mut()
                    .map(|(name, column)| {
                        let array = column.finish();
                        (
                            ArrowField::new(name.as_str(), array.data_type().clone(), true),
                            array,
                        )
                    })
                    .unzip();
                debug_assert!(arrays.iter().all(|array| array.len() == length));
                Arc::new(StructArray::new(names.into(), arrays, nulls))
            }
        }
    }
}

/// Arrow's offsets (a leading zero) of ends.
fn offsets(ends: &[i32]) -> OffsetBuffer<i32> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.extend_from_slice(ends);
    OffsetBuffer::new(ScalarBuffer::from(offsets))
}
