//! `spec.tables[]`.

use super::names::{column, columns, table_name, unique};
use super::problem::Report;
use super::values::{exactly_one, sql};
use crate::crd::{LATEST_BY_IN_KEY, MergeSpec, NOTHING_MERGED, ONE_WRITE, TableSpec, UpsertSpec, WriteSpec};
use crate::{MergeColumn, MergeFunction, Table, Write};

pub(super) fn tables(specs: &[TableSpec], report: &mut Report) -> Option<Vec<Table>> {
    let tables: Vec<Option<Table>> = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| table(spec, &format!("spec.tables[{index}]"), report))
        .collect();
    tables.into_iter().collect()
}

fn table(spec: &TableSpec, path: &str, report: &mut Report) -> Option<Table> {
    let name = table_name(&spec.name, &format!("{path}.name"), report);
    let sql = sql(&spec.sql, &format!("{path}.sql"), report);
    let write = match &spec.write {
        Some(write) => self::write(write, &format!("{path}.write"), report),
        None => Write::Append,
    };
    let indexes = spec
        .indexes
        .iter()
        .enumerate()
        .map(|(index, list)| columns(&list.0, &format!("{path}.indexes[{index}]"), report))
        .collect();
    Some(Table {
        name: name?,
        sql,
        write,
        indexes,
    })
}

fn write(spec: &WriteSpec, path: &str, report: &mut Report) -> Write {
    let WriteSpec {
        append,
        insert_once,
        upsert,
        merge,
    } = spec;
    let members = [
        append.is_some(),
        insert_once.is_some(),
        upsert.is_some(),
        merge.is_some(),
    ];
    exactly_one(&members, path, ONE_WRITE, report);
    if let Some(insert_once) = insert_once {
        Write::InsertOnce {
            key: columns(&insert_once.key, &format!("{path}.insertOnce.key"), report),
        }
    } else if let Some(upsert) = upsert {
        self::upsert(upsert, &format!("{path}.upsert"), report)
    } else if let Some(merge) = merge {
        self::merge(merge, &format!("{path}.merge"), report)
    } else {
        Write::Append
    }
}

fn upsert(spec: &UpsertSpec, path: &str, report: &mut Report) -> Write {
    let key = columns(&spec.key, &format!("{path}.key"), report);
    let latest_by = spec
        .latest_by
        .as_ref()
        .map(|name| column(name, &format!("{path}.latestBy"), report));
    if latest_by.as_ref().is_some_and(|name| key.contains(name)) {
        report.broken(format!("{path}.latestBy"), LATEST_BY_IN_KEY);
    }
    Write::Upsert { key, latest_by }
}

fn merge(spec: &MergeSpec, path: &str, report: &mut Report) -> Write {
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
    unique(places, "column", report);
    let key = columns(&spec.key, &format!("{path}.key"), report);
    let functions = [
        ("sum", &spec.sum, MergeFunction::Sum),
        ("min", &spec.min, MergeFunction::Min),
        ("max", &spec.max, MergeFunction::Max),
    ];
    let columns: Vec<MergeColumn> = functions
        .into_iter()
        .flat_map(|(list, names, function)| {
            columns(names, &format!("{path}.{list}"), report)
                .into_iter()
                .map(move |name| MergeColumn { name, function })
        })
        .collect();
    if columns.is_empty() {
        report.broken(path, NOTHING_MERGED);
    }
    Write::Merge { key, columns }
}
