//! Instants and dates: cut to a unit, taken apart, moved by an interval.
//!
//! `SQLite` has them as text of one form, `2026-01-31 12:00:00.000000`: cutting is taking a part of the text.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::Refusal;
use super::dialect::Sql;
use super::expression::Scope;
use super::kind::Type;
use super::literal;
use super::relation::Writer;
use sinks::answer::Dialect;

/// Units of `date_trunc`.
pub(super) const UNITS: &str = "second, minute, hour, day, week, month, quarter, year";
/// Fields of `date_part`.
pub(super) const FIELDS: &str = "second, minute, hour, day, dow, doy, week, month, quarter, year, epoch";

/// `date_trunc(unit, at)`.
pub(super) fn truncated(writer: &Writer<'_>, args: &[Expr], scope: Scope<'_>) -> Result<String, Refusal> {
    let [unit, at] = args else {
        return Err(Refusal::new(
            "date_trunc takes a unit and an instant",
            "write date_trunc('hour', at)",
        ));
    };
    let unit = known(unit, UNITS, "date_trunc")?;
    let at = writer.instant(at, scope)?;
    if writer.dialect != Dialect::Sqlite {
        return Ok(format!("date_trunc('{unit}', {at})"));
    }
    let cut = |length: u8, rest: &str| format!("(substr({at}, 1, {length}) || '{rest}')");
    Ok(match unit.as_str() {
        "second" => cut(19, ".000000"),
        "minute" => cut(16, ":00.000000"),
        "hour" => cut(13, ":00:00.000000"),
        "day" => cut(10, " 00:00:00.000000"),
        "month" => cut(7, "-01 00:00:00.000000"),
        "year" => cut(4, "-01-01 00:00:00.000000"),
        // The Monday on it or before it.
        "week" => format!("(date({at}, '-6 days', 'weekday 1') || ' 00:00:00.000000')"),
        _ => format!(
            "(substr({at}, 1, 5) || substr('00010101040404070707101010', \
             2 * CAST(substr({at}, 6, 2) AS INTEGER) + 1, 2) || '-01 00:00:00.000000')"
        ),
    })
}

/// `date_part(field, at)`, and EXTRACT, which the planner makes of it.
pub(super) fn part(writer: &Writer<'_>, args: &[Expr], scope: Scope<'_>) -> Result<String, Refusal> {
    let [field, at] = args else {
        return Err(Refusal::new(
            "date_part takes a field and an instant",
            "write date_part('year', at)",
        ));
    };
    let field = known(field, FIELDS, "date_part")?;
    let at = writer.instant(at, scope)?;
    let whole = |text: String| writer.dialect.cast(&text, Type::Integer);
    if field == "epoch" {
        return Ok(match writer.dialect {
            Dialect::Sqlite => format!(
                "((CAST(strftime('%s', {at}) AS INTEGER) * 1000000 + CAST(substr({at}, 21, 6) AS INTEGER)) / 1000000.0)"
            ),
            _ => writer
                .dialect
                .cast(&format!("date_part('epoch', {at})"), Type::Float),
        });
    }
    Ok(match writer.dialect {
        Dialect::Postgres => whole(format!("floor(date_part('{field}', {at}))")),
        Dialect::DataFusion => whole(format!("date_part('{field}', {at})")),
        Dialect::Sqlite => match field.as_str() {
            "quarter" => format!("((CAST(substr({at}, 6, 2) AS INTEGER) + 2) / 3)"),
            field => {
                let format = match field {
                    "second" => "%S",
                    "minute" => "%M",
                    "hour" => "%H",
                    "day" => "%d",
                    "dow" => "%w",
                    "doy" => "%j",
                    "week" => "%V",
                    "month" => "%m",
                    _ => "%Y",
                };
                whole(format!("strftime('{format}', {at})"))
            }
        },
    })
}

fn known(expr: &Expr, list: &str, function: &str) -> Result<String, Refusal> {
    let word = literal::text(expr).map(|word| word.to_lowercase());
    word.filter(|word| list.split(", ").any(|known| known == word))
        .ok_or_else(|| {
            Refusal::new(
                format!("{function} of {expr} is not portable"),
                format!("write one of {list}"),
            )
        })
}

impl Writer<'_> {
    /// An argument that is an instant, or a day at its beginning.
    fn instant(&self, expr: &Expr, scope: Scope<'_>) -> Result<String, Refusal> {
        let of = scope.type_of(expr)?;
        let value = self.expression(expr, scope)?;
        match (of, self.dialect) {
            (Type::Timestamp, _) => Ok(value),
            (Type::Date, Dialect::Sqlite) => Ok(format!("({value} || ' 00:00:00.000000')")),
            (Type::Date, dialect) => Ok(dialect.cast(&value, Type::Timestamp)),
            _ => Err(Refusal::new(
                format!("{expr} is no instant"),
                "write a column or parameter of the type timestamp or date",
            )),
        }
    }
}

/// An instant plus or minus an interval that is written out; `None` for anything else.
pub(super) fn moved(
    writer: &Writer<'_>,
    binary: &BinaryExpr,
    scope: Scope<'_>,
) -> Result<Option<String>, Refusal> {
    let (at, sign, interval) = match (binary.op, literal::of(&binary.left), literal::of(&binary.right)) {
        (Operator::Plus, _, Some(ScalarValue::IntervalMonthDayNano(Some(interval)))) => {
            (&binary.left, 1, interval)
        }
        (Operator::Minus, _, Some(ScalarValue::IntervalMonthDayNano(Some(interval)))) => {
            (&binary.left, -1, interval)
        }
        (Operator::Plus, Some(ScalarValue::IntervalMonthDayNano(Some(interval))), _) => {
            (&binary.right, 1, interval)
        }
        _ => return Ok(None),
    };
    let of = scope.type_of(at)?;
    let (months, days) = (sign * i64::from(interval.months), sign * i64::from(interval.days));
    let seconds = sign * (interval.nanoseconds / 1_000_000_000);
    if interval.nanoseconds % 1_000_000_000 != 0 || (of == Type::Date && seconds != 0) {
        return Err(Refusal::new(
            "an interval of parts of a second, or of less than a day where a date is moved, is not portable",
            "write whole seconds, or whole days",
        ));
    }
    let at = writer.expression(at, scope)?;
    Ok(Some(match (writer.dialect, of) {
        (Dialect::Sqlite, _) => {
            let steps = format!("'{months:+} months', 'floor', '{days:+} days', '{seconds:+} seconds'");
            match of {
                Type::Date => format!("date({at}, {steps})"),
                _ => format!("(strftime('%Y-%m-%d %H:%M:%S', {at}, {steps}) || substr({at}, 20))"),
            }
        }
        (dialect, of) => {
            let moved = format!("({at} + INTERVAL '{months} months {days} days {seconds} seconds')");
            dialect.cast(&moved, of)
        }
    }))
}
