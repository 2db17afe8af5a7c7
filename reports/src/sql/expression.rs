//! Expressions of a plan as a store's SQL.
//!
//! The plan is typed: the planner has put in every cast, so that operands have equal types, and what a store would do
//! differently with them is known here.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{InList, InSubquery, Like};
use datafusion::logical_expr::{Between, BinaryExpr, Case, Expr, ExprSchemable, Operator, Subquery};

use super::dialect::{Sql, glob, text_literal};
use super::kind::Type;
use super::relation::Writer;
use super::{NATIVE, Refusal, literal, time};
use sinks::answer::Dialect;

/// A column's SQL, in terms of what stands in FROM.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) text: String,
    /// It is the same in every row: no key to sort or group by.
    pub(super) constant: bool,
    /// It is computed of other rows than its own.
    pub(super) window: bool,
}

impl Written {
    pub(super) fn column(text: String) -> Self {
        Self {
            text,
            constant: false,
            window: false,
        }
    }
}

/// The columns that an expression may name.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) schema: &'a DFSchema,
    pub(super) columns: &'a [Written],
    /// Those of the query that a subquery stands in.
    pub(super) outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    fn find(&self, column: &Column) -> Result<&Written, Refusal> {
        let index = self.schema.index_of_column(column).ok();
        index.and_then(|index| self.columns.get(index)).ok_or_else(|| {
            Refusal::new(
                format!("the column {column} is not in reach"),
                "name the table's own columns",
            )
        })
    }

    fn find_outer(&self, column: &Column) -> Result<&Written, Refusal> {
        match self.outer {
            Some(outer) => outer.find(column).or_else(|_| outer.find_outer(column)),
            None => self.find(column),
        }
    }

    pub(super) fn type_of(&self, expr: &Expr) -> Result<Type, Refusal> {
        let data_type = expr.get_type(self.schema).map_err(|error| Refusal::of(&error))?;
        Type::of(&data_type)
    }

    pub(super) fn is_window(&self, column: &Column) -> bool {
        self.find(column).is_ok_and(|column| column.window)
    }

    /// Whether the expression is the same in every row.
    pub(super) fn is_constant(&self, expr: &Expr) -> bool {
        let mut constant = true;
        // The closure never fails.
        let _ = expr.apply(|node| {
            constant &= match node {
                Expr::Column(column) => self.find(column).is_ok_and(|column| column.constant),
                Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_) => false,
                _ => true,
            };
            Ok(TreeNodeRecursion::Continue)
        });
        constant
    }
}

impl Writer<'_> {
    /// The expression with what tells whether it is constant.
    pub(super) fn written(&self, expr: &Expr, scope: Scope<'_>) -> Result<Written, Refusal> {
        Ok(Written {
            text: self.expression(expr, scope)?,
            constant: scope.is_constant(expr),
            window: matches!(expr.clone().unalias_nested().data, Expr::WindowFunction(_))
                || expr
                    .column_refs()
                    .into_iter()
                    .any(|column| scope.is_window(column)),
        })
    }

    pub(super) fn expressions(
        &self,
        exprs: &[Expr],
        scope: Scope<'_>,
        between: &str,
    ) -> Result<String, Refusal> {
        let texts: Result<Vec<String>, Refusal> =
            exprs.iter().map(|expr| self.expression(expr, scope)).collect();
        Ok(texts?.join(between))
    }

    /// SQL that stands for itself wherever it is put: what has operators is in parentheses.
    pub(super) fn expression(&self, expr: &Expr, scope: Scope<'_>) -> Result<String, Refusal> {
        let write = |expr: &Expr| self.expression(expr, scope);
        if let Some(value) = literal::of(expr) {
            return literal::write(&value, self.dialect);
        }
        match expr {
            Expr::Alias(alias) => write(&alias.expr),
            Expr::Column(column) => {
                scope
                    .type_of(expr)
                    .map_err(|refusal| refusal.of_column(&column.name))?;
                Ok(scope.find(column)?.text.clone())
            }
            Expr::OuterReferenceColumn(_, column) => Ok(scope.find_outer(column)?.text.clone()),
            Expr::BinaryExpr(binary) => self.binary(binary, scope),
            Expr::Not(inner) => Ok(format!("(NOT {})", write(inner)?)),
            Expr::Negative(inner) => {
                scope.type_of(inner)?;
                Ok(format!("(- {})", write(inner)?))
            }
            Expr::IsNull(inner) | Expr::IsUnknown(inner) => Ok(format!("({} IS NULL)", write(inner)?)),
            Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => {
                Ok(format!("({} IS NOT NULL)", write(inner)?))
            }
            Expr::IsTrue(inner) => Ok(format!("({} IS TRUE)", write(inner)?)),
            Expr::IsNotTrue(inner) => Ok(format!("({} IS NOT TRUE)", write(inner)?)),
            Expr::IsFalse(inner) => Ok(format!("({} IS FALSE)", write(inner)?)),
            Expr::IsNotFalse(inner) => Ok(format!("({} IS NOT FALSE)", write(inner)?)),
            Expr::Between(between) => self.between(between, scope),
            Expr::InList(list) => self.in_list(list, scope),
            Expr::Like(like) => self.like(like, scope),
            Expr::Case(case) => self.case(case, scope),
            Expr::Cast(cast) if literal::of(&cast.expr).is_some() => Err(Refusal::new(
                format!("{} is no {}", cast.expr, cast.field.data_type()),
                "write a value of that type",
            )),
            Expr::Cast(cast) => self.cast(&cast.expr, Type::of(cast.field.data_type())?, scope),
            Expr::ScalarFunction(call) => self.function(call, scope),
            Expr::AggregateFunction(call) => self.aggregate(call, scope),
            Expr::WindowFunction(call) => self.window(call, scope),
            Expr::ScalarSubquery(subquery) => Ok(format!("({})", self.subquery(subquery, scope)?)),
            Expr::InSubquery(InSubquery {
                expr,
                subquery,
                negated,
            }) => Ok(format!(
                "({} {}IN ({}))",
                write(expr)?,
                not(*negated),
                self.subquery(subquery, scope)?
            )),
            Expr::Exists(exists) => Ok(format!(
                "({}EXISTS ({}))",
                not(exists.negated),
                self.subquery(&exists.subquery, scope)?
            )),
            Expr::GroupingSet(_) => Err(Refusal::new(
                "GROUPING SETS, ROLLUP and CUBE are not portable",
                "write a SELECT for each level, with UNION ALL between them",
            )),
            Expr::TryCast(_) => Err(Refusal::new(
                "TRY_CAST is not portable",
                "write CAST, with values that it can take",
            )),
            Expr::SimilarTo(_) => Err(Refusal::new("SIMILAR TO is not portable", "write LIKE")),
            other => Err(Refusal::new(format!("{other} is not portable"), NATIVE)),
        }
    }

    fn subquery(&self, subquery: &Subquery, scope: Scope<'_>) -> Result<String, Refusal> {
        Ok(self.block(&subquery.subquery, Some(&scope))?.select(self.dialect))
    }

    fn between(&self, between: &Between, scope: Scope<'_>) -> Result<String, Refusal> {
        let of = scope.type_of(&between.expr)?;
        let value = self.dialect.ordered(self.expression(&between.expr, scope)?, of);
        let (low, high) = (
            self.expression(&between.low, scope)?,
            self.expression(&between.high, scope)?,
        );
        Ok(format!(
            "({value} {}BETWEEN {low} AND {high})",
            not(between.negated)
        ))
    }

    fn in_list(&self, list: &InList, scope: Scope<'_>) -> Result<String, Refusal> {
        let value = self.expression(&list.expr, scope)?;
        let values = self.expressions(&list.list, scope, ", ")?;
        Ok(format!("({value} {}IN ({values}))", not(list.negated)))
    }

    fn case(&self, case: &Case, scope: Scope<'_>) -> Result<String, Refusal> {
        let mut text = "CASE".to_owned();
        let mut part = |word: &str, expr: &Expr| -> Result<(), Refusal> {
            let written = self.expression(expr, scope)?;
            text.extend([" ", word, &written]);
            Ok(())
        };
        if let Some(operand) = &case.expr {
            part("", operand)?;
        }
        for (when, then) in &case.when_then_expr {
            part("WHEN ", when)?;
            part("THEN ", then)?;
        }
        if let Some(otherwise) = &case.else_expr {
            part("ELSE ", otherwise)?;
        }
        Ok(format!("({text} END)"))
    }

    fn like(&self, like: &Like, scope: Scope<'_>) -> Result<String, Refusal> {
        if like.case_insensitive {
            return Err(Refusal::new(
                "ILIKE is not portable",
                "write lower(x) LIKE 'abc%', which folds the letters A to Z",
            ));
        }
        let pattern = match literal::of(&like.pattern) {
            Some(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)))
                if like.escape_char.is_none() && !text.contains('\\') =>
            {
                text
            }
            _ => {
                return Err(Refusal::new(
                    "LIKE takes a pattern that is written out, without escapes",
                    "write starts_with(x, y), or strpos(x, y) > 0 for a text anywhere in it",
                ));
            }
        };
        let value = self.expression(&like.expr, scope)?;
        let (word, pattern) = match self.dialect {
            Dialect::Sqlite => ("GLOB", glob(&pattern)),
            _ => ("LIKE", pattern),
        };
        Ok(format!(
            "({value} {}{word} {})",
            not(like.negated),
            text_literal(&pattern)
        ))
    }

    fn binary(&self, binary: &BinaryExpr, scope: Scope<'_>) -> Result<String, Refusal> {
        let BinaryExpr { left, op, right } = binary;
        if let Some(moved) = time::moved(self, binary, scope)? {
            return Ok(moved);
        }
        let (of_left, of_right) = (scope.type_of(left)?, scope.type_of(right)?);
        let (a, b) = (self.expression(left, scope)?, self.expression(right, scope)?);
        let symbol = match op {
            Operator::And => "AND",
            Operator::Or => "OR",
            Operator::Eq => "=",
            Operator::NotEq => "<>",
            Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                let a = self.dialect.ordered(a, of_left);
                return Ok(format!("({a} {op} {b})"));
            }
            Operator::IsDistinctFrom => "IS DISTINCT FROM",
            Operator::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
            Operator::StringConcat if of_left == Type::Text && of_right == Type::Text => "||",
            Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo => {
                return self.arithmetic(*op, (a, of_left), (b, of_right));
            }
            other => {
                return Err(Refusal::new(
                    format!("the operator {other} is not portable here"),
                    "compare with =, <, IN or LIKE; join text with ||",
                ));
            }
        };
        Ok(format!("({a} {symbol} {b})"))
    }

    /// Stores differ in what they divide by zero to: NULL here, as a missing value, in all of them.
    fn arithmetic(
        &self,
        op: Operator,
        (a, of_left): (String, Type),
        (b, of_right): (String, Type),
    ) -> Result<String, Refusal> {
        let divides = matches!(op, Operator::Divide | Operator::Modulo);
        let number = match (of_left, of_right) {
            (Type::Integer, Type::Integer) => Type::Integer,
            (Type::Float, Type::Float) if op != Operator::Modulo => Type::Float,
            (Type::Decimal(..), Type::Decimal(..)) if !divides => of_left,
            (Type::Decimal(..), Type::Decimal(..)) => {
                return Err(Refusal::new(
                    "how many digits a divided decimal keeps is not portable",
                    "write CAST(x AS double) / y",
                ));
            }
            (Type::Timestamp | Type::Date, Type::Timestamp | Type::Date) if op == Operator::Minus => {
                return Err(Refusal::new(
                    "the difference of two instants is no portable value",
                    "write date_part('epoch', a) - date_part('epoch', b), which is seconds",
                ));
            }
            _ => {
                return Err(Refusal::new(
                    format!("{op} is not portable between these types"),
                    "CAST both sides to one type of number",
                ));
            }
        };
        // PostgreSQL would add two columns of 32 bits in 32 bits.
        let a = match (self.dialect, number) {
            (Dialect::Postgres, Type::Integer) => self.dialect.cast(&a, Type::Integer),
            _ => a,
        };
        Ok(match number {
            Type::Float if divides => {
                let zero = literal::write(&ScalarValue::Float64(Some(0.0)), self.dialect)?;
                // The sum is no negative zero, which DataFusion tells from zero.
                format!("({a} {op} nullif(({b} + {zero}), {zero}))")
            }
            _ if divides => format!("({a} {op} nullif({b}, 0))"),
            _ => format!("({a} {op} {b})"),
        })
    }

    fn cast(&self, expr: &Expr, to: Type, scope: Scope<'_>) -> Result<String, Refusal> {
        let from = scope.type_of(expr)?;
        let value = self.expression(expr, scope)?;
        let dialect = self.dialect;
        let plain = || Ok(dialect.cast(&value, to));
        match (from, to) {
            (from, to) if from == to => Ok(value),
            (Type::Null, _)
            | (Type::Integer, Type::Float | Type::Decimal(..) | Type::Text)
            | (Type::Decimal(..), Type::Float)
            | (Type::Date, Type::Text) => plain(),
            (Type::Decimal(_, from), Type::Decimal(_, scale)) if scale >= from => match dialect {
                Dialect::Sqlite => Ok(value),
                _ => plain(),
            },
            // PostgreSQL rounds, the others cut off.
            (Type::Float | Type::Decimal(..), Type::Integer) => match dialect {
                Dialect::Postgres => Ok(dialect.cast(&format!("trunc({value})"), to)),
                _ => plain(),
            },
            (Type::Boolean, Type::Integer) => match dialect {
                Dialect::Postgres => Ok(dialect.cast(&format!("CAST({value} AS integer)"), to)),
                Dialect::Sqlite => Ok(value),
                Dialect::DataFusion => plain(),
            },
            (Type::Timestamp, Type::Date) => match dialect {
                Dialect::Sqlite => Ok(format!("substr({value}, 1, 10)")),
                _ => plain(),
            },
            (Type::Date, Type::Timestamp) => match dialect {
                Dialect::Sqlite => Ok(format!("({value} || ' 00:00:00.000000')")),
                _ => plain(),
            },
            (Type::Text, _) => Err(Refusal::new(
                "text in a column cannot be cast: stores differ in what they do with text that does not fit",
                "give the column the type that it needs in the table's own SQL",
            )),
            (Type::Timestamp, Type::Text) => Err(Refusal::new(
                "stores differ in how they write an instant as text",
                "select the instant itself, or CAST(CAST(x AS date) AS varchar) for its day",
            )),
            (Type::Float, Type::Text) => Err(Refusal::new(
                "stores differ in how they write a floating point number as text",
                "select the number itself",
            )),
            _ => Err(Refusal::new("this CAST is not portable", NATIVE)),
        }
    }
}

pub(super) fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}
