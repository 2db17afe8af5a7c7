//! `spec.reports[]`: named questions over the sink's tables.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::unique;
use crate::parameter::{Parameter, ParameterSpec, parameters};
use crate::problem::Collector;
use crate::rule::RuleText;
use crate::sql::{MAX_SQL, sql, sql_rule};

const REPORT_NAME: RuleText = RuleText {
    problem: "this is not a report name",
    remedy: "use at most 48 lower-case letters, digits, '_' and '-', beginning with a letter",
};

const NO_QUESTION: RuleText = RuleText {
    problem: "the report asks nothing",
    remedy: "add sql, or a text for each sink to native",
};

/// A named question over the sink's tables; the terminal, the web page and Grafana show it.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "has(self.sql) || (has(self.native) && (has(self.native.postgres) || has(self.native.sqlite)))"
).message(NO_QUESTION))]
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
    /// The question: one SELECT over the pipeline's tables, in SQL that is the same for all sinks (docs/reports.md).
    /// `:from` and `:to` are the bounds of the asked time, both timestamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SQL))]
    #[x_kube(validation = sql_rule())]
    pub sql: Option<String>,
    /// The question in the SQL of single sinks, for what `sql` cannot say. A sink that has a text here is asked that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<NativeSqlSpec>,
    /// What it is asked with besides the asked time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub parameters: Vec<ParameterSpec>,
}

/// A report's question in the SQL of single sinks.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NativeSqlSpec {
    /// In `PostgreSQL`'s SQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SQL))]
    #[x_kube(validation = sql_rule())]
    pub postgres: Option<String>,
    /// In `SQLite`'s SQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SQL))]
    #[x_kube(validation = sql_rule())]
    pub sqlite: Option<String>,
}

fn table() -> Chart {
    Chart::Table
}

/// A named question over the sink's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its name on the command line.
    pub name: String,
    pub title: String,
    pub chart: Chart,
    /// The question for every sink. `:from` and `:to` are the bounds of the asked time span. Absent only where `native` is
    /// there.
    pub sql: Option<String>,
    /// The question in the SQL of single sinks, which goes first.
    pub native: NativeSql,
    /// What it is asked with besides the asked time.
    pub parameters: Vec<Parameter>,
}

/// A report's question in the SQL of single sinks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NativeSql {
    /// In `PostgreSQL`'s SQL.
    pub postgres: Option<String>,
    /// In `SQLite`'s SQL.
    pub sqlite: Option<String>,
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
        .map(|(index, spec)| report(spec, &format!("spec.reports[{index}]"), problems))
        .collect()
}

fn report(spec: &ReportSpec, path: &str, problems: &mut Collector) -> Report {
    report_name(&spec.name, &format!("{path}.name"), problems);
    let native = spec.native.clone().unwrap_or_default();
    if spec.sql.is_none() && native.postgres.is_none() && native.sqlite.is_none() {
        problems.broken(path, NO_QUESTION);
    }
    let mut text = |text: &Option<String>, member: &str| {
        text.as_ref()
            .map(|text| sql(text, &format!("{path}.{member}"), problems))
    };
    Report {
        name: spec.name.clone(),
        title: spec.title.clone().unwrap_or_else(|| spec.name.clone()),
        chart: spec.chart,
        sql: text(&spec.sql, "sql"),
        native: NativeSql {
            postgres: text(&native.postgres, "native.postgres"),
            sqlite: text(&native.sqlite, "native.sqlite"),
        },
        parameters: parameters(&spec.parameters, &format!("{path}.parameters"), problems),
    }
}

fn report_name(name: &str, path: &str, problems: &mut Collector) {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(legal) {
        problems.broken(path, REPORT_NAME);
    }
}
