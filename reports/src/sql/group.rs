//! Functions of many rows: aggregates, and windows.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{AggregateFunction, Sort, WindowFunction};
use datafusion::logical_expr::{Expr, WindowFrame, WindowFrameBound, WindowFrameUnits};

use super::dialect::Sql;
use super::expression::Scope;
use super::functions::refused;
use super::kind::Type;
use super::relation::Writer;
use super::{Refusal, literal};
use sinks::answer::Dialect;

impl Writer<'_> {
    pub(super) fn aggregate(&self, call: &AggregateFunction, scope: Scope<'_>) -> Result<String, Refusal> {
        let params = &call.params;
        if !params.order_by.is_empty() || params.null_treatment.is_some() {
            return Err(Refusal::new(
                "ORDER BY within an aggregate is not portable",
                "leave it out; order the rows of the answer",
            ));
        }
        self.reduced(
            call.func.name(),
            &params.args,
            params.distinct,
            params.filter.as_deref(),
            "",
            scope,
        )
    }

    /// An aggregate over a group, or over the window `over`.
    fn reduced(
        &self,
        name: &str,
        args: &[Expr],
        distinct: bool,
        filter: Option<&Expr>,
        over: &str,
        scope: Scope<'_>,
    ) -> Result<String, Refusal> {
        let [arg] = args else {
            return Err(refused(name));
        };
        let filter = match filter {
            Some(filter) => format!(" FILTER (WHERE {})", self.expression(filter, scope)?),
            None => String::new(),
        };
        let distinct = if distinct { "DISTINCT " } else { "" };
        // The planner writes count(*) as the count of a constant.
        if name == "count" && distinct.is_empty() && literal::of(arg).is_some_and(|value| !value.is_null()) {
            return Ok(format!("count(*){filter}{over}"));
        }
        let of = scope.type_of(arg)?;
        let value = self.expression(arg, scope)?;
        let (call, cast) = match (name, of) {
            ("count", _) => ("count", false),
            // PostgreSQL makes more digits of it than a sum of 64 bits has.
            ("sum", Type::Integer) => ("sum", self.dialect == Dialect::Postgres),
            ("sum", Type::Float | Type::Decimal(..)) | ("avg", Type::Float) => (name, false),
            ("avg", Type::Decimal(..)) => {
                return Err(Refusal::new(
                    "how many digits the average of a decimal has is not portable",
                    "write avg(CAST(x AS double))",
                ));
            }
            ("min" | "max", of) if of != Type::Boolean => (name, false),
            ("min" | "max", _) => {
                return Err(Refusal::new(
                    format!("{name} of true and false is not portable"),
                    "write bool_and(x) or bool_or(x)",
                ));
            }
            ("bool_and" | "bool_or", Type::Boolean) => match (self.dialect, name) {
                (Dialect::Sqlite, "bool_and") => ("min", false),
                (Dialect::Sqlite, _) => ("max", false),
                _ => (name, false),
            },
            _ => return Err(refused(name)),
        };
        let value = match call {
            "min" | "max" => self.dialect.ordered(value, of),
            _ => value,
        };
        let text = format!("{call}({distinct}{value}){filter}{over}");
        Ok(if cast {
            self.dialect.cast(&text, Type::Integer)
        } else {
            text
        })
    }

    pub(super) fn window(&self, call: &WindowFunction, scope: Scope<'_>) -> Result<String, Refusal> {
        let params = &call.params;
        let name = call.fun.name();
        if params.null_treatment.is_some() {
            return Err(Refusal::new("IGNORE NULLS is not portable", "leave it out"));
        }
        let mut parts = Vec::new();
        if !params.partition_by.is_empty() {
            parts.push(format!(
                "PARTITION BY {}",
                self.expressions(&params.partition_by, scope, ", ")?
            ));
        }
        let order = self.order(&params.order_by, scope)?;
        if !order.is_empty() {
            parts.push(format!("ORDER BY {}", order.join(", ")));
        }
        let ranks = matches!(name, "row_number" | "rank" | "dense_rank" | "lag" | "lead");
        if !ranks {
            parts.push(frame(&params.window_frame)?);
        }
        let over = format!(" OVER ({})", parts.join(" "));
        match (name, params.args.as_slice()) {
            ("row_number" | "rank" | "dense_rank", []) => Ok(format!("{name}(){over}")),
            ("first_value" | "last_value" | "lag" | "lead", [x]) => {
                Ok(format!("{name}({}){over}", self.expression(x, scope)?))
            }
            ("lag" | "lead", [x, by]) => match literal::integer(by) {
                Some(by) if by >= 0 => Ok(format!("{name}({}, {by}){over}", self.expression(x, scope)?)),
                _ => Err(Refusal::new(
                    format!("{name} takes a number of rows that is written out"),
                    format!("write {name}(x, 1)"),
                )),
            },
            (_, args) => self.reduced(
                name,
                args,
                params.distinct,
                params.filter.as_deref(),
                &over,
                scope,
            ),
        }
    }

    /// Keys of an ORDER BY. Constants order nothing, and would be read as the numbers of columns.
    pub(super) fn order(&self, keys: &[Sort], scope: Scope<'_>) -> Result<Vec<String>, Refusal> {
        keys.iter()
            .filter(|key| !scope.is_constant(&key.expr))
            .map(|key| {
                let of = scope.type_of(&key.expr)?;
                let value = self.dialect.ordered(self.expression(&key.expr, scope)?, of);
                let direction = if key.asc { "ASC" } else { "DESC" };
                let nulls = if key.nulls_first { "FIRST" } else { "LAST" };
                Ok(format!("{value} {direction} NULLS {nulls}"))
            })
            .collect()
    }
}

fn frame(frame: &WindowFrame) -> Result<String, Refusal> {
    let units = match frame.units {
        WindowFrameUnits::Rows => "ROWS",
        WindowFrameUnits::Range => "RANGE",
        WindowFrameUnits::Groups => {
            return Err(Refusal::new(
                "GROUPS frames are not portable",
                "write ROWS or RANGE",
            ));
        }
    };
    let bound = |value: &ScalarValue, side: &str| -> Result<String, Refusal> {
        if value.is_null() {
            return Ok(format!("UNBOUNDED {side}"));
        }
        let rows = match value.cast_to(&arrow::datatypes::DataType::UInt64) {
            Ok(ScalarValue::UInt64(rows)) if units == "ROWS" => rows,
            _ => None,
        };
        rows.map(|rows| format!("{rows} {side}")).ok_or_else(|| {
            Refusal::new(
                "a RANGE of a distance is not portable",
                "write ROWS, or RANGE with UNBOUNDED PRECEDING and CURRENT ROW",
            )
        })
    };
    let written = |side: &WindowFrameBound| match side {
        WindowFrameBound::Preceding(value) => bound(value, "PRECEDING"),
        WindowFrameBound::CurrentRow => Ok("CURRENT ROW".to_owned()),
        WindowFrameBound::Following(value) => bound(value, "FOLLOWING"),
    };
    Ok(format!(
        "{units} BETWEEN {} AND {}",
        written(&frame.start_bound)?,
        written(&frame.end_bound)?
    ))
}
