//! The functions that portable SQL has: the one list that they are written from, and that docs/reports.md shows.

use std::fmt::Write;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;

use super::dialect::Sql;
use super::expression::Scope;
use super::kind::Type;
use super::relation::Writer;
use super::{NATIVE, Refusal, literal, time};
use sinks::answer::Dialect;

/// A function of portable SQL.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// How it is called.
    pub form: &'static str,
    /// What it gives, as far as stores would differ.
    pub note: &'static str,
}

const fn function(form: &'static str, note: &'static str) -> Function {
    Function { form, note }
}

/// Functions of a row.
pub const SCALAR: &[Function] = &[
    function("abs(x)", "the number without its sign"),
    function(
        "round(x), round(x, digits)",
        "half away from zero; digits are written out, 0 to 9",
    ),
    function(
        "floor(x), ceil(x)",
        "the whole number below and above, as a floating point number",
    ),
    function("coalesce(x, y, …)", "the first that is not NULL"),
    function("nullif(x, y)", "NULL where both are equal"),
    function("lower(x), upper(x)", "changes the letters A to Z and no others"),
    function("length(x)", "characters, not bytes"),
    function("trim(x), ltrim(x), rtrim(x)", "without the blanks at the ends"),
    function(
        "substr(x, start), substr(x, start, length)",
        "start counts from 1; both are written out",
    ),
    function("replace(x, from, to)", "from is written out, and not empty"),
    function("concat(x, y, …)", "NULL counts as no text, other than with ||"),
    function("starts_with(x, y)", "whether the text x begins with y"),
    function("strpos(x, y)", "where y begins in x, from 1; 0 if nowhere"),
    function(
        "date_trunc(unit, at)",
        "unit: second, minute, hour, day, week, month, quarter, year; weeks begin on Monday",
    ),
    function(
        "date_part(field, at), extract(field from at)",
        "field: second, minute, hour, day, dow, doy, week, month, quarter, year, epoch; whole numbers, but for epoch \
         (seconds since 1970); dow is 0 on Sunday, week is ISO's",
    ),
    function(
        "now()",
        "the instant at which the report is asked, also as current_timestamp",
    ),
];

/// Functions of many rows.
pub const AGGREGATE: &[Function] = &[
    function(
        "count(*), count(x), count(DISTINCT x)",
        "0 where there are no rows",
    ),
    function(
        "sum(x), sum(DISTINCT x)",
        "NULL where there are no rows; whole numbers stay whole",
    ),
    function("avg(x)", "a floating point number"),
    function("min(x), max(x)", "text is compared by its bytes"),
    function("bool_and(x), bool_or(x)", "whether all are true, whether any is"),
];

/// Functions of a row among others; all aggregates are window functions too.
pub const WINDOW: &[Function] = &[
    function("row_number(), rank(), dense_rank()", "with ORDER BY in OVER"),
    function(
        "lag(x), lag(x, n), lead(x), lead(x, n)",
        "n is written out; NULL where there is no such row",
    ),
    function("first_value(x), last_value(x)", "of the window's frame"),
];

/// The lists as docs/reports.md has them.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::new();
    for (heading, functions) in [
        ("of a row", SCALAR),
        ("of many rows, also with `FILTER (WHERE …)`", AGGREGATE),
        (
            "of a row among others, with `OVER (…)`; those of many rows too",
            WINDOW,
        ),
    ] {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n| function {heading} | gives |\n|---|---|\n");
        for Function { form, note } in functions {
            let _ = writeln!(text, "| `{form}` | {note} |");
        }
    }
    text + "\n"
}

/// What to write in place of functions that people reach for.
const INSTEAD: &[(&str, &str)] = &[
    (
        "median",
        "store what is wanted by a model, or write spec.reports[].native",
    ),
    ("approx_distinct", "write count(DISTINCT x)"),
    ("string_agg", "select the rows themselves"),
    ("array_agg", "select the rows themselves"),
    ("greatest", "write CASE WHEN a > b THEN a ELSE b END"),
    ("least", "write CASE WHEN a < b THEN a ELSE b END"),
    ("current_date", "write CAST(now() AS date)"),
    ("current_time", "write now()"),
    ("today", "write CAST(now() AS date)"),
    ("btrim", "write trim(x) without a second argument"),
    ("contains", "write strpos(x, y) > 0"),
    ("left", "write substr(x, 1, n)"),
    ("right", "write substr(x, start)"),
    ("split_part", "split the text in the table's own SQL"),
    ("regexp_like", "write LIKE"),
    (
        "to_char",
        "select the instant itself, or date_trunc and date_part of it",
    ),
    (
        "date_format",
        "select the instant itself, or date_trunc and date_part of it",
    ),
    (
        "to_timestamp",
        "write a literal, TIMESTAMP '2026-01-31 12:00:00', or a parameter of the type timestamp",
    ),
    ("date_bin", "write date_trunc('minute', at)"),
    ("nvl", "write coalesce(x, y)"),
    ("ifnull", "write coalesce(x, y)"),
];

/// A function that is not portable, with what to write in its place.
pub(super) fn refused(name: &str) -> Refusal {
    let instead = INSTEAD.iter().find(|(known, _)| *known == name);
    Refusal::new(
        format!("the function {name} is not portable"),
        instead.map_or(NATIVE, |(_, instead)| *instead),
    )
}

/// The name by which a parameter is a function without arguments.
pub(super) const PARAMETER: char = ':';

impl Writer<'_> {
    pub(super) fn function(&self, call: &ScalarFunction, scope: Scope<'_>) -> Result<String, Refusal> {
        let name = call.name();
        let args = call.args.as_slice();
        if name.starts_with(PARAMETER) {
            return Ok(name.to_owned());
        }
        let types: Vec<Type> = args
            .iter()
            .map(|arg| scope.type_of(arg))
            .collect::<Result<_, _>>()?;
        let write = |arg: &Expr| self.expression(arg, scope);
        let plain = |name: &str| Ok(format!("{name}({})", self.expressions(args, scope, ", ")?));
        let sqlite = self.dialect == Dialect::Sqlite;
        match (name, args) {
            ("date_trunc", _) => time::truncated(self, args, scope),
            ("date_part", _) => time::part(self, args, scope),
            ("coalesce", [only]) => write(only),
            ("coalesce" | "nullif", _) | ("abs", [_]) => plain(name),
            ("floor" | "ceil", [x]) if types == [Type::Float] => Ok(self.whole(name, &write(x)?)),
            ("round", [x]) if types == [Type::Float] => self.rounded(&write(x)?, 0),
            ("round", [x, digits]) if types.first() == Some(&Type::Float) => {
                let digits = literal::integer(digits).and_then(|digits| u32::try_from(digits).ok());
                let digits = digits.filter(|digits| *digits <= 9).ok_or_else(|| {
                    Refusal::new("round takes digits that are written out", "write 0 to 9 of them")
                })?;
                self.rounded(&write(x)?, digits)
            }
            ("floor" | "ceil" | "round", _) => Err(Refusal::new(
                format!("{name} of this type is not portable"),
                format!("write {name}(CAST(x AS double), …)"),
            )),
            ("lower" | "upper", [x]) => Ok(self.folded(name, &write(x)?)),
            ("character_length" | "char_length" | "length", [x]) => Ok(format!("length({})", write(x)?)),
            ("trim" | "btrim" | "ltrim" | "rtrim", [x]) => {
                Ok(format!("{}({})", name.trim_start_matches('b'), write(x)?))
            }
            ("substr" | "substring", [_, start, rest @ ..]) => {
                let counted = literal::integer(start).is_some_and(|start| start >= 1)
                    && rest
                        .iter()
                        .all(|length| literal::integer(length).is_some_and(|length| length >= 0));
                if !counted {
                    return Err(Refusal::new(
                        "substr takes a start and a length that are written out",
                        "count the start from 1, and the length from 0",
                    ));
                }
                plain("substr")
            }
            ("replace", [_, from, _]) => {
                if literal::text(from).is_none_or(|from| from.is_empty()) {
                    return Err(Refusal::new(
                        "replace takes a text that is written out, and not empty",
                        "write replace(x, 'old', y)",
                    ));
                }
                plain(name)
            }
            ("concat", [_, ..]) if types.iter().all(|of| matches!(of, Type::Text | Type::Null)) => {
                let parts: Result<Vec<String>, Refusal> = args
                    .iter()
                    .map(|arg| Ok(format!("coalesce({}, '')", write(arg)?)))
                    .collect();
                Ok(format!("({})", parts?.join(" || ")))
            }
            ("starts_with", [x, y]) => {
                let (x, y) = (write(x)?, write(y)?);
                Ok(if sqlite {
                    format!("(substr({x}, 1, length({y})) = {y})")
                } else {
                    format!("starts_with({x}, {y})")
                })
            }
            ("strpos" | "instr" | "position", [x, y]) => {
                let (x, y) = (write(x)?, write(y)?);
                let found = if sqlite { "instr" } else { "strpos" };
                Ok(self.dialect.cast(&format!("{found}({x}, {y})"), Type::Integer))
            }
            _ => Err(refused(name)),
        }
    }

    /// Letters A to Z alone: that is what `SQLite` folds.
    fn folded(&self, name: &str, x: &str) -> String {
        const UPPER: &str = "'ABCDEFGHIJKLMNOPQRSTUVWXYZ'";
        const LOWER: &str = "'abcdefghijklmnopqrstuvwxyz'";
        match self.dialect {
            Dialect::Sqlite => format!("{name}({x})"),
            Dialect::Postgres => format!("{name}({x} COLLATE \"C\")"),
            Dialect::DataFusion if name == "lower" => format!("translate({x}, {UPPER}, {LOWER})"),
            Dialect::DataFusion => format!("translate({x}, {LOWER}, {UPPER})"),
        }
    }

    /// `floor` and `ceil`. `SQLite` is built without them; beyond 64 bits every number is whole.
    fn whole(&self, name: &str, x: &str) -> String {
        if self.dialect != Dialect::Sqlite {
            return format!("{name}({x})");
        }
        let cut = format!("CAST(CAST({x} AS INTEGER) AS REAL)");
        let step = if name == "floor" {
            format!("- ({x} < {cut})")
        } else {
            format!("+ ({x} > {cut})")
        };
        format!("(CASE WHEN abs({x}) < 9e15 THEN {cut} {step} ELSE {x} END)")
    }

    /// Written out, since stores round halves differently: the same steps give the same number everywhere.
    fn rounded(&self, x: &str, digits: u32) -> Result<String, Refusal> {
        let number = |number: f64| literal::write(&ScalarValue::Float64(Some(number)), self.dialect);
        let (half, scale, zero) = (number(0.5)?, number(10_f64.powi(digits as i32))?, number(0.0)?);
        let up = self.whole("floor", &format!("(abs({x}) * {scale} + {half})"));
        Ok(format!(
            "(CASE WHEN {x} < {zero} THEN - ({up} / {scale}) ELSE {up} / {scale} END)"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_GOLDEN=1` writes the list anew.
    #[test]
    fn the_documentation_lists_the_functions() {
        const BEGIN: &str = "<!-- functions: written from reports/src/sql/functions.rs -->\n";
        const END: &str = "<!-- /functions -->";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reports.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (listed, after) = rest.split_once(END).unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", markdown())).unwrap();
        } else {
            assert_eq!(listed, markdown(), "UPDATE_GOLDEN=1 writes docs/reports.md");
        }
    }
}
