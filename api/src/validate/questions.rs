//! `spec.models[]` and `spec.reports[]`.

use super::names::{column, report_name, table_name, unique};
use super::problem::Report as Problems;
use super::values::{exactly_one, narrow, sql};
use crate::crd::{
    ModelSpec, NO_SUCH_INTERACTIONS, ONE_MODEL, RecommenderSpec, ReportSpec, SAME_COLUMN, TableSpec,
};
use crate::{Model, ModelKind, Recommender, Report, TableName, cron};

pub(super) fn models(
    specs: &[ModelSpec],
    tables: &[TableSpec],
    problems: &mut Problems,
) -> Option<Vec<Model>> {
    let models: Vec<Option<Model>> = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| model(spec, tables, &format!("spec.models[{index}]"), problems))
        .collect();
    models.into_iter().collect()
}

fn model(spec: &ModelSpec, tables: &[TableSpec], path: &str, problems: &mut Problems) -> Option<Model> {
    let name = table_name(&spec.name, &format!("{path}.name"), problems);
    if let Err(problem) = cron::check(&spec.schedule) {
        problems.add(format!("{path}.schedule"), problem, cron::REMEDY);
    }
    exactly_one(
        &[spec.sql.is_some(), spec.recommender.is_some()],
        path,
        ONE_MODEL,
        problems,
    );
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
        schedule: spec.schedule.clone(),
        kind: statement.or(recommender.flatten().map(ModelKind::Recommender))?,
    })
}

fn recommender(
    spec: &RecommenderSpec,
    tables: &[TableSpec],
    path: &str,
    problems: &mut Problems,
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

pub(super) fn reports(specs: &[ReportSpec], problems: &mut Problems) -> Vec<Report> {
    let paths = (0..).map(|index| format!("spec.reports[{index}].name"));
    unique(
        specs.iter().map(|spec| spec.name.as_str()).zip(paths),
        "report",
        problems,
    );
    specs
        .iter()
        .enumerate()
        .map(|(index, spec)| {
            let path = format!("spec.reports[{index}]");
            report_name(&spec.name, &format!("{path}.name"), problems);
            Report {
                name: spec.name.clone(),
                title: spec.title.clone().unwrap_or_else(|| spec.name.clone()),
                chart: spec.chart,
                sql: Some(sql(&spec.sql, &format!("{path}.sql"), problems)),
                native: crate::NativeSql::default(),
                parameters: Vec::new(),
            }
        })
        .collect()
}
