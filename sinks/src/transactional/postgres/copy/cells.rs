//! One column's values, downcast once, written cell by cell in `PostgreSQL`'s binary form.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, PrimitiveArray, StringViewArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};

use super::numeric;
use crate::shape::columns::ColumnType;
use crate::transactional::postgres::schema::element_oid;

/// 2000-01-01, `PostgreSQL`'s day 0, in days since 1970-01-01.
const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
const EPOCH_MICROSECONDS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;
/// The length that stands for NULL.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// First byte of a binary `jsonb`.
const JSONB_VERSION: u8 = 1;

/// A column's values.
pub(super) struct Cells {
    nulls: Option<NullBuffer>,
    values: Values,
}

enum Values {
    Boolean(BooleanArray),
    Int16(Int16Array),
    Int32(Int32Array),
    Int64(Int64Array),
    UInt64(UInt64Array),
    Float32(Float32Array),
    Float64(Float64Array),
    Text(StringViewArray),
    Bytes(BinaryViewArray),
    Json(StringViewArray),
    Timestamp(TimestampMicrosecondArray),
    Date(Date32Array),
    Time(Time64MicrosecondArray),
    Decimal(Decimal128Array, u8),
    List {
        offsets: OffsetBuffer<i32>,
        items: Box<Cells>,
        element_oid: u32,
    },
}

impl Cells {
    /// `array` must be of the column type's canonical Arrow type; `None` if it is not.
    pub(super) fn new(array: &ArrayRef, column_type: &ColumnType) -> Option<Self> {
        fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Option<PrimitiveArray<T>> {
            array.as_primitive_opt::<T>().cloned()
        }
        let values = match column_type {
            ColumnType::Boolean => Values::Boolean(array.as_boolean_opt()?.clone()),
            ColumnType::Int16 => Values::Int16(primitive::<Int16Type>(array)?),
            ColumnType::Int32 => Values::Int32(primitive::<Int32Type>(array)?),
            ColumnType::Int64 => Values::Int64(primitive::<Int64Type>(array)?),
            ColumnType::UInt64 => Values::UInt64(primitive::<UInt64Type>(array)?),
            ColumnType::Float32 => Values::Float32(primitive::<Float32Type>(array)?),
            ColumnType::Float64 => Values::Float64(primitive::<Float64Type>(array)?),
            ColumnType::Text => Values::Text(array.as_string_view_opt()?.clone()),
            ColumnType::Json => Values::Json(array.as_string_view_opt()?.clone()),
            ColumnType::Bytes => Values::Bytes(array.as_binary_view_opt()?.clone()),
            ColumnType::Timestamp { .. } => Values::Timestamp(primitive::<TimestampMicrosecondType>(array)?),
            ColumnType::Date => Values::Date(primitive::<Date32Type>(array)?),
            ColumnType::Time => Values::Time(primitive::<Time64MicrosecondType>(array)?),
            ColumnType::Decimal { scale, .. } => Values::Decimal(primitive::<Decimal128Type>(array)?, *scale),
            ColumnType::List(item) => {
                let list = array.as_list_opt::<i32>()?;
                Values::List {
                    offsets: list.offsets().clone(),
                    items: Box::new(Self::new(list.values(), item)?),
                    element_oid: element_oid(item),
                }
            }
        };
        Some(Self {
            nulls: array.nulls().cloned(),
            values,
        })
    }

    /// Bytes that a cell takes at least, its length included: to reserve space.
    pub(super) fn width(&self) -> usize {
        4 + match &self.values {
            Values::Boolean(_) => 1,
            Values::Int16(_) => 2,
            Values::Int32(_) | Values::Float32(_) | Values::Date(_) => 4,
            Values::Text(_)
            | Values::Bytes(_)
            | Values::Json(_)
            | Values::Decimal(..)
            | Values::UInt64(_) => 16,
            Values::List { .. } => 48,
            Values::Int64(_) | Values::Float64(_) | Values::Timestamp(_) | Values::Time(_) => 8,
        }
    }

    /// Writes the cell, or gives why `PostgreSQL` could not hold it. What `PostgreSQL` checks itself (encoding, range
    /// of dates) is left to it.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), &'static str> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            out.extend_from_slice(&NULL);
            return Ok(());
        }
        match &self.values {
            Values::Boolean(array) => fixed([u8::from(array.value(row))], out),
            Values::Int16(array) => fixed(array.value(row).to_be_bytes(), out),
            Values::Int32(array) => fixed(array.value(row).to_be_bytes(), out),
            Values::Int64(array) => fixed(array.value(row).to_be_bytes(), out),
            Values::UInt64(array) => numeric::write(i128::from(array.value(row)), 0, out),
            Values::Float32(array) => fixed(array.value(row).to_be_bytes(), out),
            Values::Float64(array) => fixed(array.value(row).to_be_bytes(), out),
            Values::Text(array) => variable(array.value(row).as_bytes(), out)?,
            Values::Bytes(array) => variable(array.value(row), out)?,
            Values::Json(array) => {
                let text = array.value(row).as_bytes();
                length(text.len() + 1, out)?;
                out.push(JSONB_VERSION);
                out.extend_from_slice(text);
            }
            // The extreme integers mean ±infinity, which no instant or day is.
            Values::Timestamp(array) => match array.value(row).checked_sub(EPOCH_MICROSECONDS) {
                Some(value) if value > i64::MIN && value < i64::MAX => fixed(value.to_be_bytes(), out),
                _ => return Err("the timestamp is out of range"),
            },
            Values::Date(array) => match array.value(row).checked_sub(EPOCH_DAYS) {
                Some(value) if value > i32::MIN && value < i32::MAX => fixed(value.to_be_bytes(), out),
                _ => return Err("the date is out of range"),
            },
            Values::Time(array) => fixed(array.value(row).to_be_bytes(), out),
            Values::Decimal(array, scale) => numeric::write(array.value(row), *scale, out),
            Values::List {
                offsets,
                items,
                element_oid,
            } => items.write_array(offsets, row, *element_oid, out)?,
        }
        Ok(())
    }

    /// Writes the elements of one list as a one-dimensional array.
    fn write_array(
        &self,
        offsets: &OffsetBuffer<i32>,
        row: usize,
        element_oid: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let bound = |index: usize| offsets.get(index).map_or(0, |offset| *offset as usize);
        let (start, end) = (bound(row), bound(row + 1));
        let has_null = self
            .nulls
            .as_ref()
            .is_some_and(|nulls| (start..end).any(|index| nulls.is_null(index)));
        let begin = out.len();
        out.extend_from_slice(&NULL);
        let dimensions = i32::from(end > start);
        out.extend_from_slice(&dimensions.to_be_bytes());
        out.extend_from_slice(&i32::from(has_null).to_be_bytes());
        out.extend_from_slice(&element_oid.to_be_bytes());
        if end > start {
            out.extend_from_slice(&((end - start) as i32).to_be_bytes());
            // Arrays begin at index 1.
            out.extend_from_slice(&1_i32.to_be_bytes());
            for index in start..end {
                self.write(index, out)?;
            }
        }
        let written = i32::try_from(out.len() - begin - 4).map_err(|_| TOO_LONG)?;
        if let Some(slot) = out.get_mut(begin..begin + 4) {
            slot.copy_from_slice(&written.to_be_bytes());
        }
        Ok(())
    }
}

const TOO_LONG: &str = "the value is longer than 1 GB";

fn fixed<const N: usize>(bytes: [u8; N], out: &mut Vec<u8>) {
    out.extend_from_slice(&(N as i32).to_be_bytes());
    out.extend_from_slice(&bytes);
}

fn variable(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    length(bytes.len(), out)?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// `PostgreSQL` refuses a field of 1 GB and loses the connection over it, so it is refused here.
fn length(bytes: usize, out: &mut Vec<u8>) -> Result<(), &'static str> {
    const MOST: usize = 0x3fff_ffff - 1024;
    if bytes > MOST {
        return Err(TOO_LONG);
    }
    out.extend_from_slice(&(bytes as i32).to_be_bytes());
    Ok(())
}
