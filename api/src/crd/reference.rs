//! `spec.references[]`: tables that are loaded once.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rule::{RuleText, TABLE_NAME, unique};
use super::schema::ColumnName;
use super::topic::fields_schema;

pub(crate) const ONE_REFERENCE_SOURCE: RuleText = RuleText {
    problem: "there has to be exactly one source of rows",
    remedy: "set one of generated, csv",
};
pub(crate) const GENERATED_TABLES: [&str; 5] = [
    "music.users",
    "music.bulk_track_raw_data",
    "music.artists",
    "music.albums",
    "music.tracks",
];
pub(crate) const GENERATED_TABLE: RuleText = RuleText {
    problem: "no source of events has this table",
    remedy: "use one of music.users, music.bulk_track_raw_data, music.artists, music.albums, music.tracks",
};
pub(crate) const KEY_NOT_A_FIELD: RuleText = RuleText {
    problem: "the key has a column that is not among the file's fields",
    remedy: "add it to from.csv.fields",
};

/// A table that is loaded once before any record is read. SQL can join it, and it is written to the sink.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "!has(self.from.csv) || self.key.all(column, column in self.from.csv.fields)"
).message(KEY_NOT_A_FIELD).field_path(".key"))]
pub struct ReferenceSpec {
    /// The table's name in SQL and in the sink. Example: `tracks`.
    #[schemars(length(max = 48))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z_][a-z0-9_]*$') && !self.startsWith('streampipeline_')").message(TABLE_NAME))]
    pub name: String,
    /// Where the rows come from.
    pub from: ReferenceFromSpec,
    /// Columns of the primary key. Absent: none. Example: `[track_id]`.
    #[serde(default)]
    #[schemars(length(max = 8))]
    #[x_kube(validation = unique("self", "column"))]
    pub key: Vec<ColumnName>,
}

/// Where a reference's rows come from.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.generated) != has(self.csv)").message(ONE_REFERENCE_SOURCE))]
pub struct ReferenceFromSpec {
    /// A table that belongs to the generator's source: `music.users`, `music.bulk_track_raw_data`,
    /// `music.artists`, `music.albums` or `music.tracks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(
        "self in ['music.users', 'music.bulk_track_raw_data', 'music.artists', 'music.albums', 'music.tracks']"
    ).message(GENERATED_TABLE))]
    pub generated: Option<String>,
    /// A CSV file with a header line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvSpec>,
}

/// A CSV file with a header line.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsvSpec {
    /// Path of the file, relative to the manifest's directory. Example: `data/states.csv`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// Columns to take, by the names in the header, each with its type (as a topic's fields have them).
    #[schemars(schema_with = "fields_schema")]
    pub fields: BTreeMap<String, String>,
    /// Text that stands for NULL besides the empty cell. Example: `NA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub null: Option<String>,
}
