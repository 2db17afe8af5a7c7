//! `spec.models[]` and `spec.reports[]`: scheduled work and questions over the sink's tables.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rule::{BLANK_SQL, MAX_SQL, RuleText, TABLE_NAME};
use super::schema::ColumnName;
use crate::Chart;

pub(crate) const ONE_MODEL: RuleText = RuleText {
    problem: "there has to be exactly one kind of model",
    remedy: "set one of sql, recommender",
};
pub(crate) const SAME_COLUMN: RuleText = RuleText {
    problem: "user and item are the same column",
    remedy: "name the interactions' column of users and that of items",
};
pub(crate) const REPORT_NAME: RuleText = RuleText {
    problem: "this is not a report name",
    remedy: "use at most 48 lower-case letters, digits, '_' and '-', beginning with a letter",
};

/// Scheduled work over the sink's tables.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.sql) != has(self.recommender)").message(ONE_MODEL))]
pub struct ModelSpec {
    /// The model's name and that of the table that it fills. Example: `recommendations`.
    #[schemars(length(max = 48))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z_][a-z0-9_]*$') && !self.startsWith('streampipeline_')").message(TABLE_NAME))]
    pub name: String,
    /// When it runs, as five cron fields in UTC: minute, hour, day of month, month, day of week.
    /// Example: `*/15 * * * *`.
    #[schemars(length(max = 256), regex(pattern = r"^\s*(\S+\s+){4}\S+\s*$"))]
    pub schedule: String,
    /// A query over the pipeline's tables, in the sink's SQL. Each run replaces the rows of the model's table by its
    /// answer, as a whole. Example: `SELECT track_id, count(*) AS plays FROM track_stream_event_log GROUP BY track_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SQL))]
    #[x_kube(validation = Rule::new(r"self.matches('\\S')").message(BLANK_SQL))]
    pub sql: Option<String>,
    /// Items that users may like, from what they and others chose. The model's table gets the columns of user and item,
    /// `rank` (from 1) and `score`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommender: Option<RecommenderSpec>,
}

/// Items that users may like, from what they and others chose.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.user != self.item").message(SAME_COLUMN))]
pub struct RecommenderSpec {
    /// The table with a row for each choice, one of the pipeline's own. Example: `track_stream_event_log`.
    #[schemars(length(max = 48))]
    pub interactions: String,
    /// Its column of users. Example: `user_id`.
    pub user: ColumnName,
    /// Its column of items. Example: `track_id`.
    pub item: ColumnName,
    /// Recommendations for each user. Default 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub top: i64,
}

fn ten() -> i64 {
    10
}

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
    #[x_kube(validation = Rule::new(r"self.matches('\\S')").message(BLANK_SQL))]
    pub sql: String,
}

fn table() -> Chart {
    Chart::Table
}
