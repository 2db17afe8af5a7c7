//! `spec.models[]`: scheduled work over the sink's tables.

use cron::Schedule;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::column::{ColumnName, column};
use crate::names::{TableName, table_name, table_name_rule};
use crate::problem::Collector;
use crate::rule::RuleText;
use crate::sql::{MAX_SQL, sql, sql_rule};
use crate::table::TableSpec;
use crate::union::Union;
use crate::values::{narrow, schedule};

const KINDS: Union = Union::of("kind of model", &["sql", "recommender"]);

pub(crate) const NO_SUCH_INTERACTIONS: RuleText = RuleText {
    problem: "a recommender's interactions do not name a table of the pipeline",
    remedy: "name one of spec.tables",
};
const SAME_COLUMN: RuleText = RuleText {
    problem: "user and item are the same column",
    remedy: "name the interactions' column of users and that of items",
};

/// Scheduled work over the sink's tables.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = KINDS.rule())]
pub struct ModelSpec {
    /// The model's name and that of the table that it fills. Example: `recommendations`.
    #[schemars(length(max = 48))]
    #[x_kube(validation = table_name_rule())]
    pub name: String,
    /// When it runs, as five cron fields in UTC: minute, hour, day of month, month, day of week.
    /// Example: `*/15 * * * *`.
    #[schemars(length(max = 256), regex(pattern = r"^\s*(\S+\s+){4}\S+\s*$"))]
    pub schedule: String,
    /// A query over the pipeline's tables, in the sink's SQL. Each run replaces the rows of the model's table by its
    /// answer, as a whole. Example: `SELECT track_id, count(*) AS plays FROM track_stream_event_log GROUP BY track_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SQL))]
    #[x_kube(validation = sql_rule())]
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

/// Scheduled work over the sink's tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The table that it fills.
    pub name: TableName,
    /// When it runs.
    pub schedule: Schedule,
    /// What it does.
    pub kind: ModelKind,
}

/// What a model does.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelKind {
    /// Replaces its table's rows by a query's answer.
    Sql(String),
    /// Recommends items to users from their interactions.
    Recommender(Recommender),
}

/// What items are recommended from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recommender {
    /// Table of interactions.
    pub interactions: TableName,
    /// Its user column.
    pub user: String,
    /// Its item column.
    pub item: String,
    /// Recommendations a user.
    pub top: u32,
}

pub(crate) fn models(
    specs: &[ModelSpec],
    tables: &[TableSpec],
    problems: &mut Collector,
) -> Option<Vec<Model>> {
    let models: Vec<Option<Model>> = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| model(spec, tables, &format!("spec.models[{index}]"), problems))
        .collect();
    models.into_iter().collect()
}

fn model(spec: &ModelSpec, tables: &[TableSpec], path: &str, problems: &mut Collector) -> Option<Model> {
    let name = table_name(&spec.name, &format!("{path}.name"), problems);
    let schedule = schedule(&spec.schedule, &format!("{path}.schedule"), problems);
    KINDS.check(spec, path, problems);
    let statement = spec
        .sql
        .as_ref()
        .map(|text| ModelKind::Sql(sql(text, &format!("{path}.sql"), problems)));
    let recommender = spec
        .recommender
        .as_ref()
        .map(|spec| recommender(spec, tables, &format!("{path}.recommender"), problems));
    Some(Model {
        name: name?,
        schedule: schedule?,
        kind: statement.or(recommender.flatten().map(ModelKind::Recommender))?,
    })
}

fn recommender(
    spec: &RecommenderSpec,
    tables: &[TableSpec],
    path: &str,
    problems: &mut Collector,
) -> Option<Recommender> {
    if !tables.iter().any(|table| table.name == spec.interactions) {
        problems.broken(format!("{path}.interactions"), NO_SUCH_INTERACTIONS);
    }
    let user = column(&spec.user, &format!("{path}.user"), problems);
    let item = column(&spec.item, &format!("{path}.item"), problems);
    if user == item {
        problems.broken(path, SAME_COLUMN);
    }
    let interactions = TableName::new(&spec.interactions).ok()?;
    Some(Recommender {
        interactions,
        user,
        item,
        top: narrow(spec.top),
    })
}
