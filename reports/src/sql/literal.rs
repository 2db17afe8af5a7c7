//! Values that are written out.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use jiff::civil::Date;
use jiff::{Span, Timestamp};

use super::dialect::{Sql, text_literal};
use super::kind::Type;
use super::{NATIVE, Refusal};
use sinks::answer::Dialect;

/// The value that an expression is, casts worked out.
pub(super) fn of(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Alias(alias) => of(&alias.expr),
        Expr::Cast(cast) => of(&cast.expr)?.cast_to(cast.field.data_type()).ok(),
        Expr::Negative(inner) => of(inner)?.arithmetic_negate().ok(),
        _ => None,
    }
}

/// The value's text, if it is one.
pub(super) fn text(expr: &Expr) -> Option<String> {
    match of(expr)? {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => text,
        _ => None,
    }
}

/// The value as a whole number, if it is one.
pub(super) fn integer(expr: &Expr) -> Option<i64> {
    match of(expr)?.cast_to(&arrow::datatypes::DataType::Int64).ok()? {
        ScalarValue::Int64(number) => number,
        _ => None,
    }
}

/// Instants as the sinks write them into text, so that they sort and compare as text.
pub(super) fn instant(micros: i64) -> Option<String> {
    let instant = Timestamp::from_microsecond(micros).ok()?;
    Some(instant.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

/// A day, counted from 1970, as the sinks write it.
fn day(days: i32) -> Option<String> {
    let date = Date::constant(1970, 1, 1).checked_add(Span::new().try_days(days).ok()?);
    Some(date.ok()?.to_string())
}

/// A value in a store's SQL.
pub(super) fn write(value: &ScalarValue, dialect: Dialect) -> Result<String, Refusal> {
    if let ScalarValue::IntervalMonthDayNano(_)
    | ScalarValue::IntervalDayTime(_)
    | ScalarValue::IntervalYearMonth(_) = value
    {
        return Type::of(&value.data_type()).map(|_| String::new());
    }
    let of = Type::of(&value.data_type())?;
    if value.is_null() {
        return Ok(dialect.cast("NULL", of));
    }
    let outside = || Refusal::new(format!("the value {value} is out of range"), NATIVE);
    match of {
        Type::Boolean => Ok(match (dialect, value) {
            (Dialect::Sqlite, ScalarValue::Boolean(Some(true))) => "1",
            (Dialect::Sqlite, _) => "0",
            (_, ScalarValue::Boolean(Some(true))) => "TRUE",
            _ => "FALSE",
        }
        .to_owned()),
        Type::Integer => match value.cast_to(&arrow::datatypes::DataType::Int64) {
            Ok(ScalarValue::Int64(Some(number))) if number >= 0 => Ok(number.to_string()),
            Ok(ScalarValue::Int64(Some(number))) if number > i64::MIN => Ok(format!("({number})")),
            _ => Err(outside()),
        },
        Type::Float => match value.cast_to(&arrow::datatypes::DataType::Float64) {
            Ok(ScalarValue::Float64(Some(number))) if number.is_finite() => {
                let text = format!("{number:?}");
                Ok(match dialect {
                    Dialect::Sqlite => format!("({text})"),
                    _ => dialect.cast(&text_literal(&text), of),
                })
            }
            _ => Err(outside()),
        },
        Type::Decimal(..) => {
            let text = value
                .cast_to(&arrow::datatypes::DataType::Utf8)
                .map_err(|_| outside())?;
            let text = text.to_string();
            Ok(match dialect {
                Dialect::Sqlite => dialect.cast(&text, of),
                _ => dialect.cast(&text_literal(&text), of),
            })
        }
        Type::Text => {
            let text = match value.cast_to(&arrow::datatypes::DataType::Utf8) {
                Ok(ScalarValue::Utf8(Some(text))) if !text.contains('\0') => text,
                _ => return Err(outside()),
            };
            Ok(match dialect {
                // A bare literal has no type yet, and is no key to sort or group by.
                Dialect::Postgres => dialect.cast(&text_literal(&text), of),
                _ => text_literal(&text),
            })
        }
        Type::Timestamp => {
            let micros = arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);
            let text = match value.cast_to(&micros) {
                Ok(ScalarValue::TimestampMicrosecond(Some(micros), _)) => instant(micros),
                _ => None,
            };
            Ok(stored(&text.ok_or_else(outside)?, of, dialect))
        }
        Type::Date => {
            let text = match value.cast_to(&arrow::datatypes::DataType::Date32) {
                Ok(ScalarValue::Date32(Some(days))) => day(days),
                _ => None,
            };
            Ok(stored(&text.ok_or_else(outside)?, of, dialect))
        }
        Type::Null => Ok(dialect.cast("NULL", of)),
    }
}

fn stored(text: &str, of: Type, dialect: Dialect) -> String {
    let text = text_literal(text);
    match dialect {
        Dialect::Sqlite => text,
        _ => dialect.cast(&text, of),
    }
}
