//! `spec.tables[]`: what records are turned into.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::column::{ColumnName, column, columns};
use crate::names::{self, TableName, table_name, table_name_rule};
use crate::problem::Collector;
use crate::rule::{RuleText, unique};
use crate::schema::Nothing;
use crate::sql::{MAX_SQL, sql, sql_rule};
use crate::union::Union;

const WRITES: Union = Union::of("way to write", &["append", "insertOnce", "upsert", "merge"])
    .or("; without write, rows are appended");

const NOTHING_MERGED: RuleText = RuleText {
    problem: "no column is merged",
    remedy: "name columns under sum, min or max, or use upsert or insertOnce",
};
const LATEST_BY_IN_KEY: RuleText = RuleText {
    problem: "a column of the key is the same in the old and the new row",
    remedy: "name a column that is not in the key",
};

/// A table of the sink: the rows that a query makes of records.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TableSpec {
    /// The table's name in the sink. Example: `plays_by_genre_hour`.
    #[schemars(length(max = 48))]
    #[x_kube(validation = table_name_rule())]
    pub name: String,
    /// A `SELECT` over one topic, and references joined to it. It runs over each batch of records, so
    /// aggregates are a batch's: let `write.merge` add them up. `now()` is the instant when the batch began.
    /// Example: `SELECT user_id, event_timestamp FROM music_streaming_data WHERE event_type = 'like'`.
    #[schemars(length(max = MAX_SQL))]
    #[x_kube(validation = sql_rule())]
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
#[x_kube(validation = WRITES.rule())]
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

/// A table that records are turned into.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The table's name in the sink.
    pub name: TableName,
    /// A `SELECT` over topics and references.
    pub sql: String,
    /// How rows are written.
    pub write: Write,
    /// Secondary indexes: columns of each.
    pub indexes: Vec<Vec<String>>,
}

/// How rows go into a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Every row is added.
    Append,
    /// A row whose key is there already is ignored.
    InsertOnce {
        /// Primary key.
        key: Vec<String>,
    },
    /// A row replaces the one with the same key.
    Upsert {
        /// Primary key.
        key: Vec<String>,
        /// Replace only if this column is not smaller than the stored one; absent means that the last one wins.
        latest_by: Option<String>,
    },
    /// Rows with the same key are added up in the sink: the sink is the state store.
    Merge {
        /// Primary key.
        key: Vec<String>,
        /// Every column that is not in the key, with how two values become one.
        columns: Vec<MergeColumn>,
    },
}

impl Write {
    /// The primary key's columns; none for `append`.
    #[must_use]
    pub fn key(&self) -> &[String] {
        match self {
            Self::Append => &[],
            Self::InsertOnce { key } | Self::Upsert { key, .. } | Self::Merge { key, .. } => key,
        }
    }
}

/// A merged column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeColumn {
    /// The column.
    pub name: String,
    /// How two values become one.
    pub function: MergeFunction,
}

/// How two values of a merged column become one. All are associative and commutative, so batches may arrive
/// in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeFunction {
    /// Added.
    Sum,
    /// The smaller.
    Min,
    /// The larger.
    Max,
}

pub(crate) fn tables(specs: &[TableSpec], problems: &mut Collector) -> Option<Vec<Table>> {
    let tables: Vec<Option<Table>> = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| table(spec, &format!("spec.tables[{index}]"), problems))
        .collect();
    tables.into_iter().collect()
}

fn table(spec: &TableSpec, path: &str, problems: &mut Collector) -> Option<Table> {
    let name = table_name(&spec.name, &format!("{path}.name"), problems);
    let sql = sql(&spec.sql, &format!("{path}.sql"), problems);
    let write = match &spec.write {
        Some(write) => self::write(write, &format!("{path}.write"), problems),
        None => Write::Append,
    };
    let indexes = spec
        .indexes
        .iter()
        .enumerate()
        .map(|(index, list)| columns(&list.0, &format!("{path}.indexes[{index}]"), problems))
        .collect();
    Some(Table {
        name: name?,
        sql,
        write,
        indexes,
    })
}

fn write(spec: &WriteSpec, path: &str, problems: &mut Collector) -> Write {
    let WriteSpec {
        append: _,
        insert_once,
        upsert,
        merge,
    } = spec;
    WRITES.check(spec, path, problems);
    if let Some(insert_once) = insert_once {
        Write::InsertOnce {
            key: columns(&insert_once.key, &format!("{path}.insertOnce.key"), problems),
        }
    } else if let Some(upsert) = upsert {
        self::upsert(upsert, &format!("{path}.upsert"), problems)
    } else if let Some(merge) = merge {
        self::merge(merge, &format!("{path}.merge"), problems)
    } else {
        Write::Append
    }
}

fn upsert(spec: &UpsertSpec, path: &str, problems: &mut Collector) -> Write {
    let key = columns(&spec.key, &format!("{path}.key"), problems);
    let latest_by = spec
        .latest_by
        .as_ref()
        .map(|name| column(name, &format!("{path}.latestBy"), problems));
    if latest_by.as_ref().is_some_and(|name| key.contains(name)) {
        problems.broken(format!("{path}.latestBy"), LATEST_BY_IN_KEY);
    }
    Write::Upsert { key, latest_by }
}

fn merge(spec: &MergeSpec, path: &str, problems: &mut Collector) -> Write {
    let lists = [
        ("key", &spec.key),
        ("sum", &spec.sum),
        ("min", &spec.min),
        ("max", &spec.max),
    ];
    let places = lists.iter().flat_map(|(list, names)| {
        names
            .iter()
            .enumerate()
            .map(move |(index, name)| (name.0.as_str(), format!("{path}.{list}[{index}]")))
    });
    names::unique(places, "column", problems);
    let key = columns(&spec.key, &format!("{path}.key"), problems);
    let functions = [
        ("sum", &spec.sum, MergeFunction::Sum),
        ("min", &spec.min, MergeFunction::Min),
        ("max", &spec.max, MergeFunction::Max),
    ];
    let columns: Vec<MergeColumn> = functions
        .into_iter()
        .flat_map(|(list, names, function)| {
            columns(names, &format!("{path}.{list}"), problems)
                .into_iter()
                .map(move |name| MergeColumn { name, function })
        })
        .collect();
    if columns.is_empty() {
        problems.broken(path, NOTHING_MERGED);
    }
    Write::Merge { key, columns }
}
