//! What a column holds, whichever sink it is in, and the one Arrow type in which encoders take it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, TimeUnit};
use arrow::error::ArrowError;

use super::cast::{cast, json_texts};

/// A kind of column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ColumnType {
    Boolean,
    Int16,
    Int32,
    Int64,
    /// Has no integer type of its own in either database.
    UInt64,
    Float32,
    Float64,
    Text,
    Bytes,
    /// An instant in UTC; `zoned` if the SQL says so, which changes the column's type but not the value.
    Timestamp {
        zoned: bool,
    },
    Date,
    Time,
    Decimal {
        precision: u8,
        scale: u8,
    },
    /// A list of one of the kinds above.
    List(Box<ColumnType>),
    /// Whatever has more structure: an object, a map, a list of these, as JSON text.
    Json,
}

impl ColumnType {
    /// The kind of column for an Arrow type; `None` for a type that no sink can hold.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int8 | DataType::UInt8 | DataType::Int16 => Self::Int16,
            DataType::UInt16 | DataType::Int32 => Self::Int32,
            DataType::UInt32 | DataType::Int64 => Self::Int64,
            DataType::UInt64 => Self::UInt64,
            DataType::Float16 | DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            // A column of nothing but NULL has no type; text is what the databases make of it too.
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Self::Text,
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::Bytes,
            DataType::Timestamp(_, zone) => Self::Timestamp {
                zoned: zone.is_some(),
            },
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale) => Self::Decimal {
                precision: *precision,
                scale: u8::try_from(*scale).ok().filter(|scale| scale <= precision)?,
            },
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                match Self::of(item.data_type())? {
                    Self::List(_) | Self::Json => Self::Json,
                    scalar => Self::List(Box::new(scalar)),
                }
            }
            DataType::Struct(fields) => {
                fields
                    .iter()
                    .try_for_each(|field| Self::of(field.data_type()).map(drop))?;
                Self::Json
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) => {
                    let key = fields.first().and_then(|key| Self::of(key.data_type()))?;
                    let value = fields.get(1).and_then(|value| Self::of(value.data_type()));
                    (key == Self::Text && value.is_some()).then_some(Self::Json)?
                }
                _ => return None,
            },
            DataType::Dictionary(_, value) => Self::of(value)?,
            _ => return None,
        })
    }

    /// Whether values can be added up.
    pub(crate) fn is_number(&self) -> bool {
        matches!(
            self,
            Self::Int16
                | Self::Int32
                | Self::Int64
                | Self::UInt64
                | Self::Float32
                | Self::Float64
                | Self::Decimal { .. }
        )
    }

    /// Whether there is a smallest and a largest value, in every sink.
    pub(crate) fn is_ordered(&self) -> bool {
        !matches!(self, Self::Bytes | Self::List(_) | Self::Json)
    }

    /// The one Arrow type in which encoders take this kind of column. `data_type` is what the SQL gives; of it
    /// only the time zone matters.
    fn canonical(&self, data_type: &DataType) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::UInt64 => DataType::UInt64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Text | Self::Json => DataType::Utf8View,
            Self::Bytes => DataType::BinaryView,
            Self::Timestamp { .. } => match data_type {
                DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
                DataType::Dictionary(_, value) => self.canonical(value),
                _ => DataType::Timestamp(TimeUnit::Microsecond, None),
            },
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Decimal { precision, scale } => {
                DataType::Decimal128(*precision, i8::try_from(*scale).unwrap_or(0))
            }
            Self::List(item) => {
                let inner = match data_type {
                    DataType::List(field)
                    | DataType::LargeList(field)
                    | DataType::FixedSizeList(field, _) => field.data_type(),
                    other => other,
                };
                DataType::List(Arc::new(Field::new_list_field(item.canonical(inner), true)))
            }
        }
    }

    /// `array` in the canonical Arrow type: what encoders downcast to. Arrays that have it already are shared,
    /// not copied. A value that does not fit (a timestamp beyond microseconds' range) is an error, not NULL.
    pub(crate) fn canonical_array(&self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        if *self == Self::Json {
            return json_texts(array);
        }
        cast(array, &self.canonical(array.data_type()))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        AsArray, DictionaryArray, FixedSizeBinaryArray, Int64Array, MapBuilder, StringArray, StringBuilder,
        StructArray, TimestampNanosecondArray, TimestampSecondArray, UInt32Array,
    };
    use arrow::datatypes::{Int8Type, Int64Type, TimestampMicrosecondType};

    use super::*;

    fn canonical(array: impl Array + 'static) -> Result<ArrayRef, ArrowError> {
        let array: ArrayRef = Arc::new(array);
        ColumnType::of(array.data_type()).unwrap().canonical_array(&array)
    }

    #[test]
    fn every_arrow_type_has_its_column_type_or_none() {
        let item = |data_type| Arc::new(Field::new_list_field(data_type, true));
        let object = DataType::Struct(vec![Field::new("a", DataType::Int8, true)].into());
        for (arrow, expected) in [
            (DataType::UInt32, Some(ColumnType::Int64)),
            (DataType::UInt64, Some(ColumnType::UInt64)),
            (DataType::Null, Some(ColumnType::Text)),
            (
                DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
                Some(ColumnType::Text),
            ),
            (
                DataType::Decimal128(10, 2),
                Some(ColumnType::Decimal {
                    precision: 10,
                    scale: 2,
                }),
            ),
            (DataType::Decimal128(10, -2), None),
            (DataType::Decimal256(70, 2), None),
            (
                DataType::List(item(DataType::Utf8)),
                Some(ColumnType::List(Box::new(ColumnType::Text))),
            ),
            (
                DataType::List(item(DataType::List(item(DataType::Int8)))),
                Some(ColumnType::Json),
            ),
            (DataType::List(item(object.clone())), Some(ColumnType::Json)),
            (object, Some(ColumnType::Json)),
            (DataType::Duration(TimeUnit::Second), None),
            (
                DataType::Struct(vec![Field::new("a", DataType::Duration(TimeUnit::Second), true)].into()),
                None,
            ),
        ] {
            assert_eq!(ColumnType::of(&arrow), expected, "{arrow}");
        }
    }

    #[test]
    fn arrays_are_widened_and_decoded_without_loss() {
        let widened = canonical(UInt32Array::from(vec![Some(u32::MAX), None])).unwrap();
        assert_eq!(widened.as_primitive::<Int64Type>().value(0), i64::from(u32::MAX));
        assert!(widened.is_null(1));

        let words: DictionaryArray<Int8Type> = vec![Some("pop"), None, Some("pop")].into_iter().collect();
        let words = canonical(words).unwrap();
        assert_eq!(
            words.as_string_view().iter().collect::<Vec<_>>(),
            [Some("pop"), None, Some("pop")]
        );

        let bytes = FixedSizeBinaryArray::try_from_iter([[1_u8, 2], [3, 4]].into_iter()).unwrap();
        assert_eq!(canonical(bytes).unwrap().as_binary_view().value(1), [3, 4]);

        let instants =
            canonical(TimestampNanosecondArray::from(vec![1_500]).with_timezone("+02:00")).unwrap();
        assert_eq!(instants.as_primitive::<TimestampMicrosecondType>().value(0), 1);
    }

    #[test]
    fn what_does_not_fit_is_an_error_and_not_null() {
        assert!(canonical(TimestampSecondArray::from(vec![i64::MAX])).is_err());
        let small: ArrayRef = Arc::new(Int64Array::from(vec![70_000]));
        assert!(cast(&small, &DataType::Int16).is_err());
    }

    #[test]
    fn structures_become_json() {
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a\"b"), None]));
        let object = StructArray::from(vec![(Arc::new(Field::new("name", DataType::Utf8, true)), names)]);
        let texts = canonical(object).unwrap();
        assert_eq!(texts.as_string_view().value(0), r#"{"name":"a\"b"}"#);
        assert_eq!(texts.as_string_view().value(1), r#"{"name":null}"#);

        let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        map.keys().append_value("k");
        map.values().append_null();
        map.append(true).unwrap();
        map.append(false).unwrap();
        let texts = canonical(map.finish()).unwrap();
        assert_eq!(texts.as_string_view().value(0), r#"{"k":null}"#);
        assert!(texts.is_null(1));
    }
}
