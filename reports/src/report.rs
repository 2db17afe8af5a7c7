//! Reports, asked of a sink.

use api::{Choices, Parameter, Report};
use jiff::Timestamp;
use sinks::{Sink, SinkError, SinkErrorKind};

use crate::parameter::{self, Given, ParameterError};
use crate::span::Span;
use crate::sql::{self, Placeholder, Planned, Refusal, Tables};
use sinks::answer::{Answer, Column, Dialect, Value};

/// Why a report has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Its values.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// Its SQL, or that of a parameter's choices.
    #[error(transparent)]
    Sql(#[from] Refusal),
    /// The sink refused it, or is away.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Its answer.
    #[error("the answer cannot be written as CSV")]
    Csv(#[source] csv::Error),
}

impl ReportError {
    /// Whether every other report would fail in the same way.
    #[must_use]
    pub fn concerns_all(&self) -> bool {
        matches!(self, Self::Sink(error) if error.kind == SinkErrorKind::Unavailable)
    }

    /// Whether the command line has to be typed differently.
    #[must_use]
    pub fn is_typed(&self) -> bool {
        matches!(self, Self::Parameter(_))
    }
}

/// A text that a sink can be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// In the sink's SQL, with `:name` where a value is bound.
    pub sql: String,
    /// The columns of the answer; `None` where only the sink knows them.
    pub columns: Option<Vec<Column>>,
    /// Why the text is asked as it stands rather than written anew: it is not portable.
    pub note: Option<Refusal>,
}

/// What stays the same for all reports that are asked together.
#[derive(Debug)]
pub struct Asking<'a> {
    /// The pipeline's sink.
    pub sink: &'a Sink,
    /// The tables in it.
    pub tables: &'a Tables,
    /// The asked time.
    pub span: Span,
    /// The instant that `now()` gives.
    pub now: Timestamp,
    /// Values of parameters.
    pub given: &'a Given,
}

/// A parameter with the values that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered<'a> {
    /// The parameter.
    pub parameter: &'a Parameter,
    /// Its choices, as they may be given; `None` if any value of its type will do.
    pub choices: Option<Vec<String>>,
}

impl Asking<'_> {
    /// Asks a report. The note of a text that is not portable comes with its answer.
    ///
    /// # Errors
    /// Values that do not fit, SQL that is refused, or a sink that is away.
    pub async fn ask(&self, report: &Report) -> Result<(Answer, Option<Refusal>), ReportError> {
        let values = self.values(report).await?;
        let question = question(report, self.tables, self.sink.dialect()?).await?;
        let answer = self.query(&question, &values).await?;
        Ok((answer, question.note))
    }

    /// The report's parameters with their choices.
    ///
    /// # Errors
    /// A query for choices that is refused, or a sink that is away.
    pub async fn offered<'r>(&self, report: &'r Report) -> Result<Vec<Offered<'r>>, ReportError> {
        let mut offered = Vec::with_capacity(report.parameters.len());
        for parameter in &report.parameters {
            let choices = self.choices(parameter).await?;
            offered.push(Offered { parameter, choices });
        }
        Ok(offered)
    }

    async fn values<'r>(&self, report: &'r Report) -> Result<Vec<(&'r str, Value)>, ReportError> {
        let mut values: Vec<(&str, Value)> = self.times().into();
        for parameter in &report.parameters {
            let text = parameter::typed(parameter, self.given)?;
            let value = parameter::read(parameter, text, self.now)?;
            if let Some(choices) = self.choices(parameter).await? {
                parameter::among(parameter, text, &choices, self.now)?;
            }
            values.push((&parameter.name, value));
        }
        Ok(values)
    }

    fn times(&self) -> [(&'static str, Value); 3] {
        [
            ("from", self.span.from.into()),
            ("to", self.span.to.into()),
            ("now", self.now.into()),
        ]
    }

    async fn choices(&self, parameter: &Parameter) -> Result<Option<Vec<String>>, ReportError> {
        let sql = match &parameter.choices {
            None => return Ok(None),
            Some(Choices::List(choices)) => return Ok(Some(choices.clone())),
            Some(Choices::Query(sql)) => sql,
        };
        let question = written(sql, self.tables, &Placeholder::given(), self.sink.dialect()?).await?;
        let answer = self.query(&question, &self.times()).await?;
        let texts = answer.texts().into_iter();
        Ok(Some(
            texts.filter_map(|row| row.into_iter().next().flatten()).collect(),
        ))
    }

    async fn query(&self, question: &Question, values: &[(&str, Value)]) -> Result<Answer, SinkError> {
        let answer = self.sink.query(&question.sql, values).await?;
        Ok(match &question.columns {
            Some(columns) => answer.into_kinds(columns.clone()),
            None => answer,
        })
    }
}

/// The text of a report for a sink: its own if the report has one, else the portable one written anew. A text that is
/// not portable is asked as it stands, if it is one SELECT: manifests of before were written in the sink's SQL.
///
/// # Errors
/// A text that is not one SELECT.
pub async fn question(report: &Report, tables: &Tables, dialect: Dialect) -> Result<Question, Refusal> {
    let native = match dialect {
        Dialect::Postgres => report.native.postgres.as_deref(),
        Dialect::Sqlite => report.native.sqlite.as_deref(),
        Dialect::DataFusion => None,
    };
    if let Some(native) = native {
        sql::check_native(native, dialect)?;
        return Ok(as_it_stands(native, None));
    }
    let Some(sql) = &report.sql else {
        return Err(Refusal::new(
            "the report has no SQL for this sink",
            "add sql, which is for all sinks, or the sink's own text to native",
        ));
    };
    match written(sql, tables, &placeholders(report), dialect).await {
        Ok(question) => Ok(question),
        Err(refusal) if dialect != Dialect::DataFusion && sql::check_native(sql, dialect).is_ok() => {
            Ok(as_it_stands(sql, Some(refusal)))
        }
        Err(refusal) => Err(refusal),
    }
}

fn as_it_stands(sql: &str, note: Option<Refusal>) -> Question {
    Question {
        sql: sql.to_owned(),
        columns: None,
        note,
    }
}

async fn written(
    sql: &str,
    tables: &Tables,
    parameters: &[Placeholder],
    dialect: Dialect,
) -> Result<Question, Refusal> {
    let planned = Planned::new(sql, tables, parameters).await?;
    Ok(Question {
        sql: planned.write(dialect)?,
        columns: Some(planned.columns()?),
        note: None,
    })
}

fn placeholders(report: &Report) -> Vec<Placeholder> {
    let own = report.parameters.iter().map(parameter::placeholder);
    Placeholder::given().into_iter().chain(own).collect()
}

/// What is wrong with a report's SQL, each with its place in the report: `sql`, `native.sqlite`,
/// `parameters[0].choices.query`.
pub async fn check(report: &Report, tables: &Tables) -> Vec<(String, Refusal)> {
    let mut wrong = Vec::new();
    let given = Placeholder::given();
    let own = placeholders(report);
    let choices = report.parameters.iter().enumerate();
    let queries = choices.filter_map(|(index, parameter)| match &parameter.choices {
        Some(Choices::Query(sql)) => Some((format!("parameters[{index}].choices.query"), sql, &given[..])),
        _ => None,
    });
    let sql = report
        .sql
        .iter()
        .map(|sql| ("sql".to_owned(), sql, own.as_slice()));
    for (place, sql, parameters) in sql.chain(queries) {
        for dialect in Dialect::ALL {
            if let Err(refusal) = written(sql, tables, parameters, dialect).await {
                wrong.push((place, refusal));
                break;
            }
        }
    }
    for (place, sql, dialect) in [
        ("native.postgres", &report.native.postgres, Dialect::Postgres),
        ("native.sqlite", &report.native.sqlite, Dialect::Sqlite),
    ] {
        if let Some(Err(refusal)) = sql.as_ref().map(|sql| sql::check_native(sql, dialect)) {
            wrong.push((place.to_owned(), refusal));
        }
    }
    wrong
}

/// Refuses values for parameters that none of the reports has.
///
/// # Errors
/// [`ParameterError::Unknown`] with those that there are.
pub fn check_given(reports: &[&Report], given: &Given) -> Result<(), ParameterError> {
    let mut known: Vec<String> = Vec::new();
    for parameter in reports.iter().flat_map(|report| &report.parameters) {
        if !known.contains(&parameter.name) {
            known.push(parameter.name.clone());
        }
    }
    match given.keys().find(|name| !known.contains(name)) {
        Some(name) => Err(ParameterError::Unknown {
            name: name.clone(),
            known,
        }),
        None => Ok(()),
    }
}
