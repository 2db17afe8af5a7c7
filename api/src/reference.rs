//! `spec.references[]`: tables that are loaded once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kube::KubeSchema;
use kube::core::{Message, Rule};
use serde::{Deserialize, Serialize};

use crate::column::{ColumnName, columns};
use crate::field_type::{Field, FieldType};
use crate::generator::GeneratorSpec;
use crate::names::{TableName, table_name, table_name_rule};
use crate::problem::Collector;
use crate::rule::{RuleText, unique};
use crate::source;
use crate::topic::TopicSpec;
use crate::union::Union;
use crate::values::{fields, fields_schema};

const ROWS: Union = Union::of("source of rows", &["generated", "csv"]);

pub(crate) const REFERENCE_IS_TOPIC: RuleText = RuleText {
    problem: "a reference has the name of a topic",
    remedy: "rename the reference",
};
pub(crate) const NO_GENERATOR: RuleText = RuleText {
    problem: "a reference takes a table of generator.music, which is not set",
    remedy: "add generator.music, or load the reference from csv",
};

const KEY_NOT_A_FIELD: RuleText = RuleText {
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
    #[x_kube(validation = table_name_rule())]
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
#[x_kube(validation = ROWS.rule())]
pub struct ReferenceFromSpec {
    /// A table that belongs to the generator's source: `music.users`, `music.bulk_track_raw_data`,
    /// `music.artists`, `music.albums` or `music.tracks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = generated_table_rule())]
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

impl ReferenceSpec {
    /// The path of its file.
    pub(crate) fn paths_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.from.csv.iter_mut().map(|csv| &mut csv.path)
    }
}

fn generated_table_rule() -> Rule {
    let known: Vec<String> = source::tables().map(|table| format!("'{table}'")).collect();
    let (problem, remedy) = no_such_table();
    Rule::new(format!("self in [{}]", known.join(", ")))
        .message(Message::Message(format!("{problem}; {remedy}")))
}

/// What is wrong with a table that no source has, and the remedy.
fn no_such_table() -> (&'static str, String) {
    let known: Vec<&str> = source::tables().collect();
    (
        "no source of events has this table",
        format!("use one of {}", known.join(", ")),
    )
}

/// A table that is loaded once, usable in SQL, and written to the sink.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The table's name in SQL and in the sink.
    pub name: TableName,
    /// Where its rows come from.
    pub source: ReferenceSource,
    /// Columns of the primary key, possibly none.
    pub key: Vec<String>,
}

/// Where a reference's rows come from.
#[derive(Debug, Clone, PartialEq)]
pub enum ReferenceSource {
    /// Rows that belong to the generator's source, by name: `music.users`, `music.bulk_track_raw_data`,
    /// `music.artists`, `music.albums`, `music.tracks`.
    Generated(String),
    /// A CSV file with a header.
    Csv(CsvSource),
}

/// A CSV file with a header line.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvSource {
    /// Path of the file, relative to the manifest's directory.
    pub path: PathBuf,
    /// Columns to take, by the header's names, sorted by name.
    pub fields: Vec<Field>,
    /// Text that stands for an absent value, besides the empty cell.
    pub null: Option<String>,
}

pub(crate) fn references(
    specs: &[ReferenceSpec],
    topics: &[TopicSpec],
    generator: Option<&GeneratorSpec>,
    problems: &mut Collector,
) -> Option<Vec<Reference>> {
    let references: Vec<Option<Reference>> = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| {
            let path = format!("spec.references[{index}]");
            if topics.iter().any(|topic| topic.name == spec.name) {
                problems.broken(format!("{path}.name"), REFERENCE_IS_TOPIC);
            }
            reference(spec, generator, &path, problems)
        })
        .collect();
    references.into_iter().collect()
}

fn reference(
    spec: &ReferenceSpec,
    generator: Option<&GeneratorSpec>,
    path: &str,
    problems: &mut Collector,
) -> Option<Reference> {
    let name = table_name(&spec.name, &format!("{path}.name"), problems);
    let from = format!("{path}.from");
    ROWS.check(&spec.from, &from, problems);
    let generated = spec.from.generated.as_ref().map(|table| {
        let from = format!("{from}.generated");
        if !source::tables().any(|known| known == table) {
            let (problem, remedy) = no_such_table();
            problems.add(from, problem, remedy);
        } else if generator.is_none_or(|generator| generator.music.is_none()) {
            problems.broken(from, NO_GENERATOR);
        }
        ReferenceSource::Generated(table.clone())
    });
    let csv = spec
        .from
        .csv
        .as_ref()
        .map(|csv| self::csv(csv, &format!("{from}.csv"), problems));
    let key = columns(&spec.key, &format!("{path}.key"), problems);
    if let Some(csv) = &spec.from.csv {
        for (index, _) in key
            .iter()
            .enumerate()
            .filter(|(_, column)| !csv.fields.contains_key(*column))
        {
            problems.broken(format!("{path}.key[{index}]"), KEY_NOT_A_FIELD);
        }
    }
    Some(Reference {
        name: name?,
        source: generated.or(csv)?,
        key,
    })
}

fn csv(spec: &CsvSpec, path: &str, problems: &mut Collector) -> ReferenceSource {
    let fields = fields(&spec.fields, &format!("{path}.fields"), problems);
    for Field { name, data_type } in &fields {
        if matches!(
            data_type,
            FieldType::Array(_) | FieldType::Map(_) | FieldType::Struct(_)
        ) {
            problems.add(
                format!("{path}.fields.{name}"),
                format!("a cell of a CSV file cannot hold {data_type}"),
                "declare it as string",
            );
        }
    }
    ReferenceSource::Csv(CsvSource {
        path: PathBuf::from(&spec.path),
        fields,
        null: spec.null.clone(),
    })
}
