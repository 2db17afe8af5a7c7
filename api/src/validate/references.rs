//! `spec.references[]`.

use std::path::PathBuf;

use super::names::{columns, table_name};
use super::problem::Report;
use super::values::{exactly_one, fields};
use crate::crd::{
    CsvSpec, GENERATED_TABLE, GENERATED_TABLES, KEY_NOT_A_FIELD, NO_GENERATOR, ONE_REFERENCE_SOURCE,
    REFERENCE_IS_TOPIC, ReferenceSpec, StreamPipelineSpec,
};
use crate::{CsvSource, Field, FieldType, Reference, ReferenceSource};

pub(super) fn references(spec: &StreamPipelineSpec, report: &mut Report) -> Option<Vec<Reference>> {
    let references: Vec<Option<Reference>> = spec
        .references
        .iter()
        .enumerate()
        .map(|(index, reference)| {
            self::reference(reference, spec, &format!("spec.references[{index}]"), report)
        })
        .collect();
    references.into_iter().collect()
}

fn reference(
    spec: &ReferenceSpec,
    pipeline: &StreamPipelineSpec,
    path: &str,
    report: &mut Report,
) -> Option<Reference> {
    let name = table_name(&spec.name, &format!("{path}.name"), report);
    if pipeline.topics.iter().any(|topic| topic.name == spec.name) {
        report.broken(format!("{path}.name"), REFERENCE_IS_TOPIC);
    }
    let from = format!("{path}.from");
    exactly_one(
        &[spec.from.generated.is_some(), spec.from.csv.is_some()],
        &from,
        ONE_REFERENCE_SOURCE,
        report,
    );
    let generated = spec.from.generated.as_ref().map(|table| {
        let from = format!("{from}.generated");
        if !GENERATED_TABLES.contains(&table.as_str()) {
            report.broken(from, GENERATED_TABLE);
        } else if pipeline
            .generator
            .as_ref()
            .is_none_or(|generator| generator.music.is_none())
        {
            report.broken(from, NO_GENERATOR);
        }
        ReferenceSource::Generated(table.clone())
    });
    let csv = spec
        .from
        .csv
        .as_ref()
        .map(|csv| self::csv(csv, &format!("{from}.csv"), report));
    let key = columns(&spec.key, &format!("{path}.key"), report);
    if let Some(csv) = &spec.from.csv {
        for (index, _) in key
            .iter()
            .enumerate()
            .filter(|(_, column)| !csv.fields.contains_key(*column))
        {
            report.broken(format!("{path}.key[{index}]"), KEY_NOT_A_FIELD);
        }
    }
    Some(Reference {
        name: name?,
        source: generated.or(csv)?,
        key,
    })
}

fn csv(spec: &CsvSpec, path: &str, report: &mut Report) -> ReferenceSource {
    let fields = fields(&spec.fields, &format!("{path}.fields"), report);
    for Field { name, data_type } in &fields {
        if matches!(
            data_type,
            FieldType::Array(_) | FieldType::Map(_) | FieldType::Struct(_)
        ) {
            report.add(
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
