//! One SQL for all stores.
//!
//! ```text
//! text ──parse──► one SELECT ──plan──► typed plan ──write──► PostgreSQL | SQLite | DataFusion
//! ```
//!
//! A report's SQL is planned by `DataFusion` against the columns that the pipeline's own SQL gives, and written anew for the
//! store that is asked. Only what means the same in every store is written; anything else is refused by name, with what to
//! write in its place. Values are never part of the text: it has `:name` where a sink binds them.

mod dialect;
mod expression;
pub mod functions;
mod group;
mod kind;
mod literal;
mod parse;
mod relation;
mod tables;
mod time;

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr_fn::SimpleScalarUDF;
use datafusion::logical_expr::{ColumnarValue, LogicalPlan, ScalarUDF, Signature, Volatility};
use datafusion::prelude::SessionContext;

use kind::Type;
use relation::Writer;
use sinks::answer::{Column, Dialect};

pub use tables::Tables;

/// What is always possible.
pub(crate) const NATIVE: &str = "write another form, or spec.reports[].native with the text for each sink";

/// Why SQL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct Refusal {
    /// What is wrong, with the place in the SQL where it is known.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl Refusal {
    pub(crate) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// With the column that it is about.
    fn of_column(self, name: &str) -> Self {
        Self {
            problem: format!("the column {name}: {}", self.problem),
            ..self
        }
    }

    /// The planner's own words, without its prefixes and backtrace.
    pub(crate) fn of(error: &DataFusionError) -> Self {
        let diagnostic = error.diagnostic();
        let place = diagnostic
            .and_then(|diagnostic| diagnostic.span)
            .map_or_else(String::new, |span| {
                format!(" at line {}, column {}", span.start.line, span.start.column)
            });
        let helps: Vec<&str> = diagnostic
            .map(|diagnostic| {
                diagnostic
                    .helps
                    .iter()
                    .map(|help| help.message.as_str())
                    .collect()
            })
            .unwrap_or_default();
        if let Some(function) = unknown_function(error) {
            let refusal = functions::refused(&function);
            return Self::new(format!("{}{place}", refusal.problem), refusal.remedy);
        }
        let (message, remedy) = match error.find_root() {
            DataFusionError::SQL(error, _) => (error.to_string(), "fix the syntax there"),
            error => (
                error.strip_backtrace(),
                "see docs/reports.md for the tables, columns and functions there are",
            ),
        };
        let message = message.lines().next().unwrap_or_default();
        let brief = ["sql parser error: ", "Error during planning: ", "Schema error: "]
            .iter()
            .find_map(|prefix| message.strip_prefix(prefix))
            .unwrap_or(message);
        let remedy = if helps.is_empty() {
            remedy.to_owned()
        } else {
            helps.join("; ")
        };
        Self::new(format!("{brief}{place}"), remedy)
    }
}

/// The name of a function that the planner does not know.
fn unknown_function(error: &DataFusionError) -> Option<String> {
    let message = error.strip_backtrace();
    let (_, rest) = message.split_once("Invalid function '")?;
    Some(rest.split_once('\'')?.0.to_owned())
}

/// A parameter of a query: its name, its type, and its value if the query is to be run here.
#[derive(Debug, Clone)]
pub(crate) struct Placeholder {
    pub(crate) name: String,
    pub(crate) of: DataType,
    pub(crate) value: Option<ScalarValue>,
}

impl Placeholder {
    /// The parameters that every report has.
    pub(crate) fn given() -> [Self; 3] {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, None);
        ["from", "to", "now"].map(|name| Self {
            name: name.to_owned(),
            of: instant.clone(),
            value: None,
        })
    }

    /// The one that a model's query has.
    pub(crate) fn now() -> [Self; 1] {
        let [_, _, now] = Self::given();
        [now]
    }

    fn function(&self) -> ScalarUDF {
        let (name, value) = (self.name.clone(), self.value.clone());
        let give = move |_: &[ColumnarValue]| match &value {
            Some(value) => Ok(ColumnarValue::Scalar(value.clone())),
            None => Err(DataFusionError::Plan(format!(
                "the parameter :{name} has no value"
            ))),
        };
        let function = ScalarUDF::from(SimpleScalarUDF::new_with_signature(
            format!("{}{}", functions::PARAMETER, self.name),
            Signature::nullary(Volatility::Stable),
            self.of.clone(),
            Arc::new(give),
        ));
        if self.name == "now" {
            function.with_aliases(["now", "current_timestamp"])
        } else {
            function
        }
    }
}

/// A query that is planned, and portable as far as its nodes are.
#[derive(Debug)]
pub(crate) struct Planned {
    plan: LogicalPlan,
    tables: Tables,
}

impl Planned {
    /// Plans a query over the tables.
    pub(crate) async fn new(sql: &str, tables: &Tables, parameters: &[Placeholder]) -> Result<Self, Refusal> {
        let context = tables.context().map_err(|error| Refusal::of(&error))?;
        let plan = plan(&context, sql, parameters).await?;
        Ok(Self {
            plan,
            tables: tables.clone(),
        })
    }

    /// The columns of the answer, as Arrow has them.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::new(self.plan.schema().as_arrow().clone())
    }

    /// The columns of the answer.
    pub(crate) fn columns(&self) -> Result<Vec<Column>, Refusal> {
        let fields = self.plan.schema().fields().iter();
        fields
            .map(|field| {
                let of = Type::of(field.data_type()).map_err(|refusal| refusal.of_column(field.name()))?;
                Ok(Column {
                    name: field.name().clone(),
                    kind: of.kind(),
                })
            })
            .collect()
    }

    /// The query in a store's SQL.
    pub(crate) fn write(&self, dialect: Dialect) -> Result<String, Refusal> {
        let columns = self.columns()?;
        let block = Writer::new(dialect, &self.tables).block(&self.plan, None)?;
        Ok(block.named(columns.iter().map(|column| column.name.as_str()), dialect))
    }
}

/// The typed plan: every cast that the planner would make without a word is in it.
pub(crate) async fn plan(
    context: &SessionContext,
    sql: &str,
    parameters: &[Placeholder],
) -> Result<LogicalPlan, Refusal> {
    let failed = |error: DataFusionError| Refusal::of(&error);
    let names: Vec<&str> = parameters
        .iter()
        .map(|parameter| parameter.name.as_str())
        .collect();
    let statement = parse::portable(sql, &names)?;
    for parameter in parameters {
        context.register_udf(parameter.function());
    }
    let state = context.state();
    let plan = state.statement_to_plan(statement).await.map_err(failed)?;
    state
        .analyzer()
        .execute_and_check(plan, state.config_options(), |_, _| {})
        .map_err(failed)
}

/// Whether text in a store's own SQL is one SELECT.
pub(crate) fn check_native(sql: &str, dialect: Dialect) -> Result<(), Refusal> {
    parse::native(sql, dialect)
}
