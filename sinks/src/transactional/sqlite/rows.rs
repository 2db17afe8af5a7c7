//! Arrow arrays as the values that `SQLite` stores.

use std::fmt::Write as _;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, Float64Array, Int64Array, RecordBatch, StringViewArray,
    StringViewBuilder,
};
use arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use jiff::civil::Date;
use sqlx::Arguments;
use sqlx::sqlite::SqliteArguments;

use crate::shape::cast::{cast, json_texts};
use crate::shape::columns::ColumnType;
use crate::shape::layout::Layout;
use crate::{SinkError, SinkErrorKind};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// A batch's columns in one of the four types that `SQLite` stores.
pub(super) struct Rows {
    columns: Vec<Cells>,
    count: usize,
}

enum Cells {
    Integer(Int64Array),
    Real(Float64Array),
    Text(StringViewArray),
    Blob(BinaryViewArray),
}

impl Rows {
    pub(super) fn new(layout: &Layout, batch: &RecordBatch) -> Result<Self, SinkError> {
        let mut columns = Vec::with_capacity(layout.columns.len());
        for (array, column) in layout.arrays(batch)?.iter().zip(&layout.columns) {
            columns.push(Cells::new(array, &column.column_type).map_err(|error| SinkError {
                source: Some(Box::new(error)),
                ..SinkError::new(
                    SinkErrorKind::Row,
                    format!("writing table {}", layout.name),
                    format!("column {} holds a value that SQLite cannot", column.name),
                )
            })?);
        }
        Ok(Self {
            columns,
            count: batch.num_rows(),
        })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The values of rows `from..to`, row by row.
    pub(super) fn arguments(&self, from: usize, to: usize) -> Result<SqliteArguments, sqlx::Error> {
        let mut arguments = SqliteArguments::default();
        arguments.reserve((to - from) * self.columns.len(), 0);
        for row in from..to {
            for cells in &self.columns {
                cells.add(row, &mut arguments).map_err(sqlx::Error::Encode)?;
            }
        }
        Ok(arguments)
    }
}

impl Cells {
    /// `array` is of the column type's canonical Arrow type.
    fn new(array: &ArrayRef, column_type: &ColumnType) -> Result<Self, ArrowError> {
        Ok(match column_type {
            ColumnType::Boolean
            | ColumnType::Int16
            | ColumnType::Int32
            | ColumnType::Int64
            | ColumnType::UInt64 => {
                Self::Integer(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            ColumnType::Float32 | ColumnType::Float64 | ColumnType::Decimal { .. } => Self::Real(
                cast(array, &DataType::Float64)?
                    .as_primitive::<Float64Type>()
                    .clone(),
            ),
            ColumnType::Text | ColumnType::Json => Self::Text(array.as_string_view().clone()),
            ColumnType::Bytes => Self::Blob(array.as_binary_view().clone()),
            ColumnType::List(_) => Self::Text(json_texts(array)?.as_string_view().clone()),
            ColumnType::Timestamp { .. } => {
                let instants = array.as_primitive::<TimestampMicrosecondType>();
                Self::Text(texts(instants.iter(), |text, value| {
                    write_day(text, value.div_euclid(DAY))?;
                    text.push(' ');
                    write_time(text, value.rem_euclid(DAY))
                })?)
            }
            ColumnType::Date => {
                let days = array.as_primitive::<Date32Type>();
                Self::Text(texts(days.iter(), |text, day| write_day(text, day.into()))?)
            }
            ColumnType::Time => {
                let times = array.as_primitive::<Time64MicrosecondType>();
                Self::Text(texts(times.iter(), write_time)?)
            }
        })
    }

    fn add(&self, row: usize, arguments: &mut SqliteArguments) -> Result<(), sqlx::error::BoxDynError> {
        fn value<T>(array: &impl Array, row: usize, value: impl FnOnce(usize) -> T) -> Option<T> {
            (!array.is_null(row)).then(|| value(row))
        }
        match self {
            Self::Integer(array) => arguments.add(value(array, row, |row| array.value(row))),
            Self::Real(array) => arguments.add(value(array, row, |row| array.value(row))),
            Self::Text(array) => arguments.add(value(array, row, |row| array.value(row))),
            Self::Blob(array) => arguments.add(value(array, row, |row| array.value(row))),
        }
    }
}

/// Writes a day since 1970 whose year has four digits, so that days sort as text.
fn write_day(text: &mut String, day: i64) -> Option<()> {
    let day = jiff::Span::new().try_days(day).ok()?;
    let date = Date::constant(1970, 1, 1).checked_add(day).ok()?;
    (0..=9999).contains(&date.year()).then_some(())?;
    write!(text, "{date}").ok()
}

/// Writes a time of day in microseconds.
fn write_time(text: &mut String, time: i64) -> Option<()> {
    let (seconds, fraction) = (time / 1_000_000, time % 1_000_000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(text, "{hours:02}:{minutes:02}:{seconds:02}.{fraction:06}").ok()
}

/// Each value as `write` gives it; `None` of it is an error.
fn texts<T: std::fmt::Display + Copy>(
    values: impl ExactSizeIterator<Item = Option<T>>,
    write: impl Fn(&mut String, T) -> Option<()>,
) -> Result<StringViewArray, ArrowError> {
    let mut texts = StringViewBuilder::with_capacity(values.len());
    let mut text = String::new();
    for value in values {
        match value {
            None => texts.append_null(),
            Some(value) => {
                text.clear();
                write(&mut text, value)
                    .ok_or_else(|| ArrowError::ComputeError(format!("{value} is out of range")))?;
                texts.append_value(&text);
            }
        }
    }
    Ok(texts.finish())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Time64MicrosecondArray, TimestampMicrosecondArray,
        UInt64Array,
    };

    /// What `SQLite` is given for the column, as text.
    fn stored(array: impl Array + 'static) -> Result<Vec<String>, ArrowError> {
        let array: ArrayRef = Arc::new(array);
        let column_type = ColumnType::of(array.data_type()).unwrap();
        let array = column_type.canonical_array(&array)?;
        let cells: ArrayRef = match Cells::new(&array, &column_type)? {
            Cells::Integer(array) => Arc::new(array),
            Cells::Real(array) => Arc::new(array),
            Cells::Text(array) => Arc::new(array),
            Cells::Blob(array) => Arc::new(array),
        };
        let texts = cast(&cells, &DataType::Utf8View)?;
        Ok(texts
            .as_string_view()
            .iter()
            .map(|text| text.unwrap_or("NULL").to_owned())
            .collect())
    }

    #[test]
    fn values_are_stored_in_forms_that_sort_and_compare() {
        assert_eq!(
            stored(BooleanArray::from(vec![Some(true), Some(false), None])).unwrap(),
            ["1", "0", "NULL"]
        );
        assert_eq!(
            stored(TimestampMicrosecondArray::from(vec![
                0,
                -1,
                1_767_225_600_500_000
            ]))
            .unwrap(),
            [
                "1970-01-01 00:00:00.000000",
                "1969-12-31 23:59:59.999999",
                "2026-01-01 00:00:00.500000"
            ]
        );
        assert_eq!(
            stored(Date32Array::from(vec![0, 20_454])).unwrap(),
            ["1970-01-01", "2026-01-01"]
        );
        assert_eq!(
            stored(Time64MicrosecondArray::from(vec![86_399_000_001])).unwrap(),
            ["23:59:59.000001"]
        );
        let decimals = Decimal128Array::from(vec![-1_250])
            .with_precision_and_scale(10, 2)
            .unwrap();
        assert_eq!(stored(decimals).unwrap(), ["-12.5"]);
        let list = arrow::array::ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1), None])]);
        assert_eq!(stored(list).unwrap(), ["[1,null]"]);
    }

    #[test]
    fn what_would_not_sort_or_fit_is_an_error() {
        assert!(stored(UInt64Array::from(vec![u64::MAX])).is_err());
        assert!(stored(TimestampMicrosecondArray::from(vec![i64::MAX])).is_err());
        assert!(stored(TimestampMicrosecondArray::from(vec![-100_000_000_000_000_000])).is_err());
        assert!(stored(Date32Array::from(vec![i32::MIN])).is_err());
    }
}
