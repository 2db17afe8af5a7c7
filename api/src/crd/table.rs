//! `spec.tables[]`: what records are turned into.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rule::{BLANK_SQL, MAX_SQL, RuleText, TABLE_NAME, unique};
use super::schema::{ColumnName, Nothing};

pub(crate) const ONE_WRITE: RuleText = RuleText {
    problem: "there has to be exactly one way to write",
    remedy: "set one of append, insertOnce, upsert, merge; without write, rows are appended",
};
pub(crate) const NOTHING_MERGED: RuleText = RuleText {
    problem: "no column is merged",
    remedy: "name columns under sum, min or max, or use upsert or insertOnce",
};
pub(crate) const LATEST_BY_IN_KEY: RuleText = RuleText {
    problem: "a column of the key is the same in the old and the new row",
    remedy: "name a column that is not in the key",
};

/// A table of the sink: the rows that a query makes of records.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TableSpec {
    /// The table's name in the sink. Example: `plays_by_genre_hour`.
    #[schemars(length(max = 48))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z_][a-z0-9_]*$') && !self.startsWith('streampipeline_')").message(TABLE_NAME))]
    pub name: String,
    /// A `SELECT` over one topic, and references joined to it. It runs over each batch of records, so
    /// aggregates are a batch's: let `write.merge` add them up. `now()` is the instant when the batch began.
    /// Example: `SELECT user_id, event_timestamp FROM music_streaming_data WHERE event_type = 'like'`.
    #[schemars(length(max = MAX_SQL))]
    #[x_kube(validation = Rule::new(r"self.matches('\\S')").message(BLANK_SQL))]
    pub sql: String,
    /// How rows are written. Absent: appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<WriteSpec>,
    /// Secondary indexes of the table, each a list of columns. Example: `[[user_id, event_timestamp]]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub indexes: Vec<IndexSpec>,
}

/// Columns of an index.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(transparent)]
pub struct IndexSpec(pub Vec<ColumnName>);

impl schemars::JsonSchema for IndexSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Index".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let column = generator.subschema_for::<ColumnName>();
        schemars::json_schema!({
            "type": "array",
            "items": column,
            "minItems": 1,
            "maxItems": 8,
            "x-kubernetes-validations": [unique("self", "column")],
        })
    }
}

/// How rows go into a table. All of them are exactly once: a batch that is repeated after a crash changes nothing.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "[has(self.append), has(self.insertOnce), has(self.upsert), has(self.merge)].filter(x, x).size() == 1"
).message(ONE_WRITE))]
pub struct WriteSpec {
    /// Every row is added. Written as `append: {}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append: Option<Nothing>,
    /// A row whose key is there already is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insert_once: Option<InsertOnceSpec>,
    /// A row replaces the one with the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upsert: Option<UpsertSpec>,
    /// A row is added up with the one with the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<MergeSpec>,
}

/// A row whose key is there already is ignored.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InsertOnceSpec {
    /// Columns of the primary key. Example: `[order_id]`.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(validation = unique("self", "column"))]
    pub key: Vec<ColumnName>,
}

/// A row replaces the one with the same key.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.latestBy) || !(self.latestBy in self.key)").message(LATEST_BY_IN_KEY).field_path(".latestBy"))]
pub struct UpsertSpec {
    /// Columns of the primary key. Example: `[user_id]`.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(validation = unique("self", "column"))]
    pub key: Vec<ColumnName>,
    /// Replace only if this column is not smaller than the stored one. Absent: the last row wins.
    /// Example: `event_timestamp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_by: Option<ColumnName>,
}

/// A row is added up with the one with the same key, in the sink. Every column that the query gives is in the key
/// or in one of the lists. An average is a sum and a count; divide them in a report.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.sum.size() + self.min.size() + self.max.size() > 0").message(NOTHING_MERGED))]
#[x_kube(validation = unique("(self.key + self.sum + self.min + self.max)", "column"))]
pub struct MergeSpec {
    /// Columns of the primary key. Example: `[genre, hour]`.
    #[schemars(length(min = 1, max = 8))]
    pub key: Vec<ColumnName>,
    /// Columns whose values are added. Example: `[plays]`.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub sum: Vec<ColumnName>,
    /// Columns of which the smallest value is kept.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub min: Vec<ColumnName>,
    /// Columns of which the largest value is kept.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub max: Vec<ColumnName>,
}
