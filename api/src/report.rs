//! `spec.reports[]`: named questions over the sink's tables.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::unique;
use crate::problem::Collector;
use crate::rule::RuleText;
use crate::sql::{MAX_SQL, sql, sql_rule};

const REPORT_NAME: RuleText = RuleText {
    problem: "this is not a report name",
    remedy: "use at most 48 lower-case letters, digits, '_' and '-', beginning with a letter",
};

/// A named question over the sink's tables; the terminal, the web page and Grafana show it.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportSpec {
    /// Its name on the command line. Example: `top_genres`.
    #[schemars(length(max = 48))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z][a-z0-9_-]*$')").message(REPORT_NAME))]
    pub name: String,
    /// Its heading. Absent: the name. Example: `Top genres`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub title: Option<String>,
    /// How it is drawn: `table` (the default), `bar` (first column labels, last column lengths), `line` (over the
    /// first column) or `number` (one row, one column).
    #[serde(default = "table")]
    pub chart: Chart,
    /// The question, in the sink's SQL. `:from` and `:to` are the bounds of the asked time, both timestamps.
    #[schemars(length(max = MAX_SQL))]
    #[x_kube(validation = sql_rule())]
    pub sql: String,
}

fn table() -> Chart {
    Chart::Table
}

/// A named question over the sink's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its name on the command line.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// How it is drawn.
    pub chart: Chart,
    /// The question. `:from` and `:to` are the bounds of the asked time span.
    pub sql: String,
}

/// How a report is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Chart {
    /// Rows and columns only.
    Table,
    /// A bar a row: first column labels, last numeric column lengths.
    Bar,
    /// A line over the first column.
    Line,
    /// One number.
    Number,
}

pub(crate) fn reports(specs: &[ReportSpec], problems: &mut Collector) -> Vec<Report> {
    let paths = (0..).map(|index| format!("spec.reports[{index}].name"));
    unique(
        specs.iter().map(|spec| spec.name.as_str()).zip(paths),
        "report",
        problems,
    );
    specs
        .iter()
        .enumerate()
        .map(|(index, spec)| {
            let path = format!("spec.reports[{index}]");
            report_name(&spec.name, &format!("{path}.name"), problems);
            Report {
                name: spec.name.clone(),
                title: spec.title.clone().unwrap_or_else(|| spec.name.clone()),
                chart: spec.chart,
                sql: sql(&spec.sql, &format!("{path}.sql"), problems),
            }
        })
        .collect()
}

fn report_name(name: &str, path: &str, problems: &mut Collector) {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(legal) {
        problems.broken(path, REPORT_NAME);
    }
}
