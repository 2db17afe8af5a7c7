//! Plans as SELECT statements: each node fills a part of the block below it, or puts a block around it where that part is
//! taken.

use std::cell::Cell;

use datafusion::common::{JoinType, NullEquality};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Filter, Join, Limit, LogicalPlan, Projection, Sort, TableScan, Union, Window,
};

use super::dialect::Sql;
use super::expression::{Scope, Written};
use super::functions::PARAMETER;
use super::kind::{Stored, Type};
use super::tables::Tables;
use super::{NATIVE, Refusal, literal};
use sinks::answer::Dialect;
use sinks::sql::quote_ident;

/// Beyond this a column's text is given a name by a block of its own rather than repeated.
const LONGEST: usize = 400;

/// Writes one statement.
pub(super) struct Writer<'a> {
    pub(super) dialect: Dialect,
    tables: &'a Tables,
    /// Names of tables are t1, t2, …, so that no two are the same.
    named: Cell<usize>,
}

/// One SELECT in the making.
#[derive(Debug, Default)]
pub(super) struct Block {
    from: String,
    filters: Vec<String>,
    /// Keys; empty for one group of all rows.
    group: Option<Vec<String>>,
    columns: Vec<Written>,
    distinct: bool,
    order: Vec<String>,
    limit: Option<(Option<String>, Option<String>)>,
    /// The columns are names and nothing else.
    plain: bool,
    /// FROM has more than one table.
    joined: bool,
}

impl Block {
    /// Whether what is computed of the rows so far would change if more were filtered.
    fn is_computed(&self) -> bool {
        let windows = self.columns.iter().any(|column| column.window);
        self.group.is_some() || windows || self.distinct || self.is_cut()
    }

    fn is_cut(&self) -> bool {
        self.limit.is_some()
    }

    /// The statement, its columns named c1, c2, ….
    pub(super) fn select(&self, dialect: Dialect) -> String {
        let names: Vec<String> = (1..=self.columns.len())
            .map(|number| format!("c{number}"))
            .collect();
        self.named(names.iter().map(String::as_str), dialect)
    }

    /// The statement, with names of its own for its columns.
    pub(super) fn named<'a>(&self, names: impl Iterator<Item = &'a str>, dialect: Dialect) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .zip(names)
            .map(|(column, name)| format!("{} AS {}", column.text, quote_ident(name)))
            .collect();
        let mut text = format!(
            "SELECT {}{}",
            if self.distinct { "DISTINCT " } else { "" },
            if columns.is_empty() {
                "1".to_owned()
            } else {
                columns.join(", ")
            }
        );
        let mut part = |word: &str, parts: &[String], between: &str| {
            if !parts.is_empty() {
                text.extend([" ", word, " ", &parts.join(between)]);
            }
        };
        if !self.from.is_empty() {
            part("FROM", std::slice::from_ref(&self.from), "");
        }
        part("WHERE", &self.filters, " AND ");
        part("GROUP BY", self.group.as_deref().unwrap_or_default(), ", ");
        part("ORDER BY", &self.order, ", ");
        if let Some((fetch, skip)) = &self.limit {
            // SQLite has no OFFSET without a LIMIT.
            let all = (skip.is_some() && dialect == Dialect::Sqlite).then(|| "-1".to_owned());
            part("LIMIT", fetch.clone().or(all).as_slice(), "");
            part("OFFSET", skip.as_slice(), "");
        }
        text
    }
}

impl<'a> Writer<'a> {
    pub(super) fn new(dialect: Dialect, tables: &'a Tables) -> Self {
        Self {
            dialect,
            tables,
            named: Cell::new(0),
        }
    }

    fn table(&self) -> String {
        self.named.set(self.named.get() + 1);
        format!("t{}", self.named.get())
    }

    /// The block as a table.
    fn wrapped(&self, block: &Block) -> Block {
        let table = self.table();
        let columns = (1..=block.columns.len())
            .map(|number| Written::column(format!("{table}.\"c{number}\"")))
            .collect();
        Block {
            from: format!("({}) AS {table}", block.select(self.dialect)),
            columns,
            plain: true,
            ..Block::default()
        }
    }

    fn wrapped_if(&self, block: Block, taken: bool) -> Block {
        if taken { self.wrapped(&block) } else { block }
    }

    /// The plan as a block; `outer` has the columns of the query around a subquery.
    pub(super) fn block(&self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Result<Block, Refusal> {
        match plan {
            LogicalPlan::TableScan(scan) => Ok(self.scan(scan)),
            LogicalPlan::SubqueryAlias(alias) => self.block(&alias.input, outer),
            LogicalPlan::Subquery(subquery) => self.block(&subquery.subquery, outer),
            LogicalPlan::Projection(projection) => self.projection(projection, outer),
            LogicalPlan::Filter(filter) => self.filter(filter, outer),
            LogicalPlan::Aggregate(aggregate) => self.grouped(aggregate, outer),
            LogicalPlan::Window(window) => self.windowed(window, outer),
            LogicalPlan::Sort(sort) => self.sorted(sort, outer),
            LogicalPlan::Limit(limit) => self.limited(limit, outer),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let block = self.block(input, outer)?;
                let taken = block.is_cut() || !block.order.is_empty();
                let mut block = self.wrapped_if(block, taken);
                block.distinct = true;
                block.plain = false;
                Ok(block)
            }
            LogicalPlan::Distinct(Distinct::On(_)) => Err(Refusal::new(
                "DISTINCT ON is not portable",
                "number the rows with row_number() OVER (PARTITION BY … ORDER BY …), and take those with number 1",
            )),
            LogicalPlan::Union(union) => self.union(union, outer),
            LogicalPlan::Join(join) => self.join(join, outer),
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => Ok(Block::default()),
            LogicalPlan::RecursiveQuery(_) => Err(Refusal::new("WITH RECURSIVE is not portable", NATIVE)),
            LogicalPlan::Values(_) => Err(Refusal::new(
                "VALUES is not portable",
                "write SELECT … UNION ALL SELECT …",
            )),
            other => {
                let node = other.display().to_string();
                let word = node.split([':', ' ']).next().unwrap_or_default().to_owned();
                Err(Refusal::new(format!("{word} is not portable in a query"), NATIVE))
            }
        }
    }

    fn scan(&self, scan: &TableScan) -> Block {
        let table = self.table();
        let name = scan.table_name.table();
        let columns = scan.projected_schema.fields().iter().map(|field| {
            let text = format!("{table}.{}", quote_ident(field.name()));
            let stored = self.tables.stored(name, field.name());
            Written::column(match (self.dialect, stored) {
                (Dialect::Postgres, Stored::Zoned) => format!("({text} AT TIME ZONE 'UTC')"),
                (Dialect::Postgres, Stored::Single) => self.dialect.cast(&text, Type::Float),
                _ => text,
            })
        });
        Block {
            columns: columns.collect(),
            from: format!("{} AS {table}", quote_ident(name)),
            plain: true,
            ..Block::default()
        }
    }

    fn projection(&self, projection: &Projection, outer: Option<&Scope<'_>>) -> Result<Block, Refusal> {
        let block = self.block(&projection.input, outer)?;
        let long = block.columns.iter().any(|column| column.text.len() > LONGEST);
        let taken = block.distinct || (long && block.order.is_empty());
        let mut block = self.wrapped_if(block, taken);
        let scope = Scope {
            schema: projection.input.schema(),
            columns: &block.columns,
            outer,
        };
        let columns: Result<Vec<Written>, Refusal> = projection
            .expr
            .iter()
            .map(|expr| self.written(expr, scope))
            .collect();
        let names_only = projection
            .expr
            .iter()
            .all(|expr| matches!(expr.clone().unalias_nested().data, Expr::Column(_)));
        block.columns = columns?;
        block.plain &= names_only;
        Ok(block)
    }

    fn filter(&self, filter: &Filter, outer: Option<&Scope<'_>>) -> Result<Block, Refusal> {
        let block = self.block(&filter.input, outer)?;
        let taken = block.is_computed();
        let mut block = self.wrapped_if(block, taken);
        let scope = Scope {
            schema: filter.input.schema(),
            columns: &block.columns,
            outer,
        };
        let condition = self.expression(&filter.predicate, scope)?;
        block.filters.push(condition);
        Ok(block)
    }

    fn grouped(&self, aggregate: &Aggregate, outer: Option<&Scope<'_>>) -> Result<Block, Refusal> {
        let block = self.block(&aggregate.input, outer)?;
        let taken = block.is_computed();
        let mut block = self.wrapped_if(block, taken);
        let scope = Scope {
            schema: aggregate.input.schema(),
            columns: &block.columns,
            outer,
        };
        let write = |exprs: &[Expr]| -> Result<Vec<Written>, Refusal> {
            exprs.iter().map(|expr| self.written(expr, scope)).collect()
        };
        let keys = write(&aggregate.group_expr)?;
        let values = write(&aggregate.aggr_expr)?;
        // A literal is no key to a database; of a constant it makes no difference which it is.
        let group = keys
            .iter()
            .map(|key| {
                if key.constant {
                    format!("coalesce({}, {})", key.text, key.text)
                } else {
                    key.text.clone()
                }
            })
            .collect();
        block.order.clear();
        block.columns = keys.into_iter().chain(values).collect();
        block.group = Some(group);
        block.plain = false;
        Ok(block)
    }

    fn windowed(&self, window: &Window, outer: Option<&Scope<'_>>) -> Result<Block, Refusal> {
        let block = self.block(&window.input, outer)?;
        let taken = block.group.is_some() || block.distinct || block.is_cut();
        let mut block = self.wrapped_if(block, taken);
        let over_windows = {
            let scope = Scope {
                schema: window.input.schema(),
                columns: &block.columns,
                outer,
            };
            let mut columns = window.window_expr.iter().flat_map(Expr::column_refs);
            columns.any(|column| scope.is_window(column))
        };
        // A window over a window's result needs that to be there already.
        if over_windows {
            block = self.wrapped(&block);
        }
        let scope = Scope {
            schema: window.input.schema(),
            columns: &block.columns,
            outer,
        };
        let added: Result<Vec<Written>, Refusal> = window
            .window_expr
            .iter()
            .map(|expr| self.written(expr, scope))
            .collect();
        let added = added?;
        block.columns.extend(added);
        block.plain = false;
        Ok(block)
    }

    fn sorted(&self, sort: &Sort, outer: Option<&Scope<'_>>) -> Result<Block, Refusal> {
        let block = self.block(&sort.input, outer)?;
        let taken = block.distinct || block.is_cut();
        let mut block = self.wrapped_if(block, taken);
        let scope = Scope {
            schema: sort.input.schema(),
            columns: &block.columns,
            outer,
        };
        let order = self.order(&sort.expr, scope)?;
        block.order = order;
        if let Some(fetch) = sort.fetch {
            block.limit = Some((Some(fetch.to_string()), None));
        }
        Ok(block)
    }

    fn limited(&self, limit: &Limit, outer: Option<&Scope<'_>>) -> Result<Block, Refusal> {
        let block = self.block(&limit.input, outer)?;
        let taken = block.is_cut();
        let mut block = self.wrapped_if(block, taken);
        let rows = |expr: &Option<Box<Expr>>| expr.as_deref().map(rows).transpose();
        let skip = rows(&limit.skip)?.filter(|skip| skip != "0");
        block.limit = Some((rows(&limit.fetch)?, skip));
        Ok(block)
    }

    fn union(&self, union: &Union, outer: Option<&Scope<'_>>) -> Result<Block, Refusal> {
        let selects: Result<Vec<String>, Refusal> = union
            .inputs
            .iter()
            .map(|input| {
                let block = self.block(input, outer)?;
                // What is ordered or cut stands in parentheses, which SQLite does not take here.
                let taken = block.is_cut() || !block.order.is_empty();
                Ok(self.wrapped_if(block, taken).select(self.dialect))
            })
            .collect();
        let table = self.table();
        let columns = (1..=union.schema.fields().len())
            .map(|number| Written::column(format!("{table}.\"c{number}\"")))
            .collect();
        Ok(Block {
            from: format!("({}) AS {table}", selects?.join(" UNION ALL ")),
            columns,
            plain: true,
            ..Block::default()
        })
    }

    fn join(&self, join: &Join, outer: Option<&Scope<'_>>) -> Result<Block, Refusal> {
        let word = match join.join_type {
            JoinType::Inner => "JOIN",
            JoinType::Left => "LEFT JOIN",
            JoinType::Right => "RIGHT JOIN",
            JoinType::Full => "FULL JOIN",
            _ => return Err(set_operation()),
        };
        if join.null_equality == NullEquality::NullEqualsNull {
            return Err(set_operation());
        }
        let side = |plan: &LogicalPlan| -> Result<Block, Refusal> {
            let block = self.block(plan, outer)?;
            let taken =
                block.is_computed() || !block.filters.is_empty() || !block.plain || block.from.is_empty();
            Ok(self.wrapped_if(block, taken))
        };
        let (left, right) = (side(&join.left)?, side(&join.right)?);
        let mut conditions = Vec::new();
        for (a, b) in &join.on {
            let of = |plan, columns| Scope {
                schema: plan,
                columns,
                outer,
            };
            let a = self.expression(a, of(join.left.schema(), left.columns.as_slice()))?;
            let b = self.expression(b, of(join.right.schema(), right.columns.as_slice()))?;
            conditions.push(format!("({a} = {b})"));
        }
        let columns: Vec<Written> = left.columns.into_iter().chain(right.columns).collect();
        if let Some(filter) = &join.filter {
            let scope = Scope {
                schema: &join.schema,
                columns: &columns,
                outer,
            };
            conditions.push(self.expression(filter, scope)?);
        }
        let right = if right.joined {
            format!("({})", right.from)
        } else {
            right.from
        };
        let from = match (conditions.as_slice(), join.join_type) {
            ([], JoinType::Inner) => format!("{} CROSS JOIN {right}", left.from),
            ([], _) => format!("{} {word} {right} ON (1 = 1)", left.from),
            (conditions, _) => format!("{} {word} {right} ON {}", left.from, conditions.join(" AND ")),
        };
        Ok(Block {
            from,
            columns,
            plain: true,
            joined: true,
            ..Block::default()
        })
    }
}

fn set_operation() -> Refusal {
    Refusal::new(
        "INTERSECT and EXCEPT are not portable",
        "write WHERE x IN (SELECT …) or WHERE NOT EXISTS (SELECT …)",
    )
}

/// A LIMIT's number: written out, or a parameter.
fn rows(expr: &Expr) -> Result<String, Refusal> {
    match expr {
        Expr::ScalarFunction(call) if call.name().starts_with(PARAMETER) => Ok(call.name().to_owned()),
        _ => literal::integer(expr)
            .filter(|rows| *rows >= 0)
            .map(|rows| rows.to_string())
            .ok_or_else(|| {
                Refusal::new(
                    "LIMIT and OFFSET take a number",
                    "write it out, or as a parameter of the type long",
                )
            }),
    }
}
