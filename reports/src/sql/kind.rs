//! The types that portable SQL has, and how Arrow's and the sinks' map to them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use sinks::answer::Kind;

use super::Refusal;

/// A type that means the same in every store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Boolean,
    /// 64 bits, whatever a column has.
    Integer,
    Float,
    Decimal(u8, i8),
    Text,
    /// UTC, microseconds.
    Timestamp,
    Date,
    /// Of a bare NULL.
    Null,
}

impl Type {
    /// The type of what an expression gives.
    pub(super) fn of(data_type: &DataType) -> Result<Self, Refusal> {
        Ok(match data_type {
            DataType::Boolean => Self::Boolean,
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64 => Self::Integer,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => Self::Decimal(*precision, *scale),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Null => Self::Null,
            DataType::Dictionary(_, value) => return Self::of(value),
            DataType::Duration(_) => {
                return Err(Refusal::new(
                    "the difference of two instants is no portable value",
                    "write date_part('epoch', a) - date_part('epoch', b), which is seconds",
                ));
            }
            DataType::Interval(_) => {
                return Err(Refusal::new(
                    "an interval stands alone",
                    "add it to a timestamp or take it from one, written out: at + INTERVAL '1 hour'",
                ));
            }
            other => {
                return Err(Refusal::new(
                    format!("values of the type {other} are not portable"),
                    super::NATIVE,
                ));
            }
        })
    }

    /// What an answer's cells of this type are.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Boolean => Kind::Boolean,
            Self::Integer => Kind::Integer,
            Self::Float => Kind::Float,
            Self::Decimal(_, scale) => Kind::Decimal {
                scale: Some(u8::try_from(scale).unwrap_or(0)),
            },
            Self::Text | Self::Null => Kind::Text,
            Self::Timestamp => Kind::Timestamp,
            Self::Date => Kind::Date,
        }
    }
}

/// How a column is held by the stores, as far as that is not its portable type already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    Plain,
    /// `timestamp with time zone` in `PostgreSQL`.
    Zoned,
    /// `real` in `PostgreSQL`.
    Single,
}

impl Stored {
    pub(super) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Timestamp(_, Some(_)) => Self::Zoned,
            DataType::Float16 | DataType::Float32 => Self::Single,
            DataType::Dictionary(_, value) => Self::of(value),
            _ => Self::Plain,
        }
    }
}

/// The schema that a query over a stored table is planned with. Columns that are not portable keep their type: they
/// are refused where they are used.
pub(super) fn portable(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| Field::new(field.name(), widened(field.data_type()), true);
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn widened(data_type: &DataType) -> DataType {
    match data_type {
        // A store has no unsigned 64 bits; the sinks hold them as whole numbers of 20 digits.
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Dictionary(_, value) => widened(value),
        other => match Type::of(other) {
            Ok(Type::Integer) => DataType::Int64,
            Ok(Type::Float) => DataType::Float64,
            Ok(Type::Text | Type::Null) => DataType::Utf8,
            Ok(Type::Timestamp) => DataType::Timestamp(TimeUnit::Microsecond, None),
            Ok(Type::Date) => DataType::Date32,
            _ => other.clone(),
        },
    }
}
