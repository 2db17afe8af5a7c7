//! A report's text: one SELECT, its parameters found.

use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::{
    self, Expr, Function, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Query, SetExpr, Value,
    visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::{
    Dialect as Syntax, GenericDialect, PostgreSqlDialect, SQLiteDialect,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::{Refusal, functions};
use sinks::answer::Dialect;

/// The query, with each `:name` as a call of the function of that name.
pub(super) fn portable(sql: &str, parameters: &[&str]) -> Result<Statement, Refusal> {
    let statements =
        DFParser::parse_sql_with_dialect(sql, &GenericDialect {}).map_err(|error| Refusal::of(&error))?;
    let mut statements = statements.into_iter();
    let (Some(Statement::Statement(statement)), None) = (statements.next(), statements.next()) else {
        return Err(not_one_select());
    };
    let ast::Statement::Query(mut query) = *statement else {
        return Err(not_one_select());
    };
    check(&query)?;
    replace(&mut query, parameters)?;
    Ok(Statement::Statement(Box::new(ast::Statement::Query(query))))
}

/// Whether text in a store's own SQL is one SELECT.
pub(super) fn native(sql: &str, dialect: Dialect) -> Result<(), Refusal> {
    let syntax: &dyn Syntax = match dialect {
        Dialect::Postgres => &PostgreSqlDialect {},
        Dialect::Sqlite => &SQLiteDialect {},
        Dialect::DataFusion => &GenericDialect {},
    };
    let statements = Parser::parse_sql(syntax, sql).map_err(|error| {
        Refusal::new(
            error.to_string().trim_start_matches("sql parser error: "),
            "fix the syntax there",
        )
    })?;
    match statements.as_slice() {
        [ast::Statement::Query(query)] => check(query),
        _ => Err(not_one_select()),
    }
}

fn not_one_select() -> Refusal {
    Refusal::new(
        "a report is one SELECT, also with WITH before it",
        "leave out every other statement",
    )
}

fn check(query: &Query) -> Result<(), Refusal> {
    let parts = query.with.iter().flat_map(|with| &with.cte_tables);
    for part in parts {
        check(&part.query)?;
    }
    if !query.locks.is_empty() || !reads(&query.body) {
        return Err(not_one_select());
    }
    Ok(())
}

fn reads(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.into.is_none(),
        SetExpr::Query(query) => check(query).is_ok(),
        SetExpr::SetOperation { left, right, .. } => reads(left) && reads(right),
        SetExpr::Values(_) => true,
        _ => false,
    }
}

fn replace(query: &mut Query, parameters: &[&str]) -> Result<(), Refusal> {
    let outcome = visit_expressions_mut(query, |expr| {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(name) = &value.value
        {
            if !parameters
                .iter()
                .any(|known| name.strip_prefix(functions::PARAMETER) == Some(known))
            {
                return ControlFlow::Break(unknown(name, parameters));
            }
            *expr = call(name);
        }
        ControlFlow::Continue(())
    });
    match outcome {
        ControlFlow::Break(refusal) => Err(refusal),
        ControlFlow::Continue(()) => Ok(()),
    }
}

fn unknown(name: &str, parameters: &[&str]) -> Refusal {
    let known: Vec<String> = parameters.iter().map(|name| format!(":{name}")).collect();
    Refusal::new(
        format!("there is no parameter {name}"),
        format!("use {}, or add it to parameters", known.join(", ")),
    )
}

fn call(name: &str) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::with_quote('"', name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: Vec::new(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
