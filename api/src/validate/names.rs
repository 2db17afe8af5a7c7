//! Names: each by its own rule, and unique where they share a place.

use std::collections::HashSet;

use super::problem::Report;
use crate::crd::{
    ColumnName, DUPLICATE_REMEDY, PIPELINE_NAME, REPORT_NAME, SECRET_NAME, SecretRefSpec, TABLE_NAME,
    duplicate,
};
use crate::{PipelineName, SecretRef, TableName};

pub(super) fn pipeline_name(name: Option<&String>, report: &mut Report) -> Option<PipelineName> {
    let name = PipelineName::new(name.map_or("", String::as_str)).ok();
    if name.is_none() {
        report.broken("metadata.name", PIPELINE_NAME);
    }
    name
}

pub(super) fn table_name(name: &str, path: &str, report: &mut Report) -> Option<TableName> {
    let name = TableName::new(name).ok();
    if name.is_none() {
        report.broken(path, TABLE_NAME);
    }
    name
}

pub(super) fn report_name(name: &str, path: &str, report: &mut Report) {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(legal) {
        report.broken(path, REPORT_NAME);
    }
}

pub(super) fn secret(reference: &SecretRefSpec, path: &str, report: &mut Report) -> SecretRef {
    let name = &reference.name;
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !name.starts_with(alphanumeric)
        || !name.ends_with(alphanumeric)
        || !name.chars().all(|c| alphanumeric(c) || c == '-' || c == '.')
    {
        report.broken(format!("{path}.name"), SECRET_NAME);
    }
    SecretRef { name: name.clone() }
}

/// A column by itself.
pub(super) fn column(column: &ColumnName, path: &str, report: &mut Report) -> String {
    let name = &column.0;
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !name.starts_with(first) || !name.chars().all(|c| first(c) || c.is_ascii_digit()) {
        report.add(
            path,
            format!("{name:?} is not a column name"),
            "use letters, digits and '_', not beginning with a digit; rename the column with AS in the SQL",
        );
    }
    name.clone()
}

/// Columns that have to differ.
pub(super) fn columns(list: &[ColumnName], path: &str, report: &mut Report) -> Vec<String> {
    let names: Vec<String> = list
        .iter()
        .enumerate()
        .map(|(index, name)| column(name, &format!("{path}[{index}]"), report))
        .collect();
    let places = names
        .iter()
        .enumerate()
        .map(|(index, name)| (name.as_str(), format!("{path}[{index}]")));
    unique(places, "column", report);
    names
}

/// Reports the second and later of equal names.
pub(super) fn unique<'a>(names: impl Iterator<Item = (&'a str, String)>, what: &str, report: &mut Report) {
    let mut seen: HashSet<&str> = HashSet::new();
    for (name, path) in names {
        if !seen.insert(name) {
            report.add(path, duplicate(what, name), DUPLICATE_REMEDY);
        }
    }
}
