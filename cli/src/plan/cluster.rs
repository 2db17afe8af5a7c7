//! `plan --cluster`: what the operator would do, as text. Asking is the operator room's business.

use std::path::Path;

use api::StreamPipeline;
use clap::ValueEnum;
use operator::installation::access::connect;
use operator::plan::{Change, Difference, Plan, PlannedTopic};
use serde_json::Value;

use crate::error::CliError;
use crate::style::{Style, count};
use crate::table::{Align, cut, render as columns};

/// Longest value of a field that is shown whole.
const VALUE: usize = 60;

/// How the objects are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// A line an object, with what would change in it
    Text,
    /// The objects as the operator would apply them
    Yaml,
}

/// Where the pipeline is to be.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) context: Option<&'a str>,
    pub(super) namespace: Option<&'a str>,
}

/// The manifest as it was typed: paths in it are the pods', not this machine's.
pub(super) fn read(file: &Path) -> Result<StreamPipeline, CliError> {
    let text = std::fs::read_to_string(file).map_err(CliError::io(format!(
        "cannot read the manifest {}",
        file.display()
    )))?;
    api::parse(&text).map_err(|error| wrong(file, &error))
}

fn wrong(file: &Path, problem: &dyn std::fmt::Display) -> CliError {
    CliError::Tables(format!("{}: {problem}", file.display()))
}

/// Asks the cluster.
pub(super) async fn ask(file: &Path, place: &Place<'_>) -> Result<Plan, CliError> {
    let resource = read(file)?;
    let typed = resource.metadata.namespace.clone();
    if let (Some(typed), Some(asked)) = (&typed, place.namespace)
        && typed != asked
    {
        return Err(CliError::Usage(format!(
            "{}: metadata.namespace is {typed}, and --namespace {asked}; leave one of them out",
            file.display()
        )));
    }
    let cluster = connect(place.context)
        .await
        .map_err(|error| CliError::Failed(runtime::report::line(&error)))?;
    let namespace = place.namespace.map(str::to_owned).or(typed);
    let namespace = namespace.unwrap_or_else(|| cluster.namespace.clone());
    Box::pin(operator::plan::plan(&cluster, resource, &namespace))
        .await
        .map_err(|error| {
            if error.is_about_the_manifest() {
                wrong(file, &error)
            } else {
                CliError::Failed(runtime::report::line(&error))
            }
        })
}

/// Whether the operator could do all of it.
pub(super) fn is_possible(plan: &Plan) -> bool {
    let hindered = |change: &Change| matches!(change, Change::Refused(_) | Change::Foreign(_));
    plan.problems.is_empty() && !plan.objects.iter().any(|object| hindered(&object.change))
}

/// Heading and lines of the objects; `shards` is the generator's own topic.
pub(super) fn lines(plan: &Plan, shards: Option<String>, style: Style) -> (String, Vec<String>) {
    let mut rows = Vec::new();
    let mut below = Vec::new();
    for topic in &plan.topics {
        let (what, differences) = topic_change(topic);
        rows.push(vec!["Kafka topic".to_owned(), topic.name.clone(), what]);
        below.push(differences);
    }
    if let Some(name) = shards {
        rows.push(vec![
            "Kafka topic".to_owned(),
            name,
            "made by the generator".to_owned(),
        ]);
        below.push(Vec::new());
    }
    for object in &plan.objects {
        let (what, differences) = change(&object.change);
        rows.push(vec![object.kind.to_owned(), object.name.clone(), what.to_owned()]);
        below.push(differences);
    }
    let mut table = columns(&["KIND", "NAME", "CHANGE"], &[Align::Left; 3], &rows, usize::MAX).into_iter();
    let mut lines: Vec<String> = table.next().into_iter().collect();
    for (line, below) in table.zip(below) {
        lines.push(line);
        lines.extend(below.into_iter().map(|line| format!("  {line}")));
    }
    lines.push(summary(plan));
    if let Some(operator) = &plan.operator {
        lines.push(format!("by the operator {operator}"));
    }
    lines.extend(plan.notes.iter().map(|note| style.dim(format!("note: {note}"))));
    lines.extend(
        plan.problems
            .iter()
            .map(|problem| style.red(format!("to fix: {problem}"))),
    );
    let there = if plan.exists { "" } else { ", where it is not yet" };
    (
        format!("objects in the namespace {}{there}", plan.namespace),
        lines,
    )
}

/// What does not stand in the YAML, for standard error.
pub(super) fn remarks(plan: &Plan) -> Vec<String> {
    let hindered = plan.objects.iter().filter_map(|object| {
        let (what, why) = match &object.change {
            Change::Refused(why) => ("is refused", why.clone()),
            Change::Foreign(owner) => ("is there", format!("it belongs to {owner}")),
            _ => return None,
        };
        Some(format!("to fix: {} {} {what}: {why}", object.kind, object.name))
    });
    let notes = plan.notes.iter().map(|note| format!("note: {note}"));
    let problems = plan.problems.iter().map(|problem| format!("to fix: {problem}"));
    notes.chain(problems).chain(hindered).collect()
}

fn summary(plan: &Plan) -> String {
    let of = |wanted: fn(&Change) -> bool| {
        plan.objects
            .iter()
            .filter(|object| wanted(&object.change))
            .count()
    };
    let mut parts = vec![
        format!("{} created", of(|change| matches!(change, Change::Created))),
        format!("{} changed", of(|change| matches!(change, Change::Changed(_)))),
        format!("{} unchanged", of(|change| matches!(change, Change::Unchanged))),
        format!("{} deleted", of(|change| matches!(change, Change::Deleted))),
    ];
    let hindered = of(|change| matches!(change, Change::Refused(_) | Change::Foreign(_)));
    if hindered > 0 {
        parts.push(format!("{hindered} in the way"));
    }
    parts.join(", ")
}

fn topic_change(topic: &PlannedTopic) -> (String, Vec<String>) {
    let PlannedTopic { partitions, seen, .. } = topic;
    let number = |partitions: i32| count(u64::from(partitions.unsigned_abs()), "partition", "partitions");
    match seen {
        None => (
            format!("{}, made if it is not there", number(*partitions)),
            Vec::new(),
        ),
        Some(seen) if seen < partitions => (
            "changed".to_owned(),
            vec![format!("partitions: {seen} → {partitions}")],
        ),
        Some(seen) if seen > partitions => (
            format!("unchanged: has {}, and none is taken away", number(*seen)),
            Vec::new(),
        ),
        Some(_) => ("unchanged".to_owned(), Vec::new()),
    }
}

fn change(change: &Change) -> (&'static str, Vec<String>) {
    match change {
        Change::Created => ("created", Vec::new()),
        Change::Changed(differences) => ("changed", differences.iter().map(difference).collect()),
        Change::Unchanged => ("unchanged", Vec::new()),
        Change::Deleted => ("deleted", Vec::new()),
        Change::Refused(why) => ("refused", vec![why.clone()]),
        Change::Foreign(owner) => (
            "in the way",
            vec![format!(
                "it belongs to {owner}; delete it, or rename the pipeline"
            )],
        ),
    }
}

fn difference(difference: &Difference) -> String {
    let Difference { path, old, new } = difference;
    format!("{path}: {} → {}", value(old.as_ref()), value(new.as_ref()))
}

fn value(value: Option<&Value>) -> String {
    let text = match value {
        None => return "none".to_owned(),
        Some(value) => match value.as_f64().filter(|_| value.is_f64()) {
            // 50.0, as 50 becomes in the API, is 50 to whoever has typed it.
            Some(number) => number.to_string(),
            None => value.to_string(),
        },
    };
    cut(&text, VALUE)
}

#[cfg(test)]
mod tests {
    use operator::plan::Planned;
    use serde_json::json;

    use super::*;

    fn planned(kind: &'static str, change: Change) -> Planned {
        Planned {
            kind,
            name: "music".to_owned(),
            change,
            body: None,
        }
    }

    fn plan(objects: Vec<Planned>) -> Plan {
        let topic = |name: &str, seen| PlannedTopic {
            name: name.to_owned(),
            partitions: 4,
            seen,
        };
        Plan {
            name: "music".to_owned(),
            namespace: "team".to_owned(),
            exists: true,
            operator: Some("ops/operator".to_owned()),
            topics: vec![
                topic("a", None),
                topic("b", Some(2)),
                topic("c", Some(4)),
                topic("d", Some(8)),
            ],
            objects,
            problems: Vec::new(),
            notes: vec!["something is not seen".to_owned()],
        }
    }

    #[test]
    fn each_object_has_a_line_and_what_changes_in_it_below() {
        let changed = Change::Changed(vec![
            Difference {
                path: "spec.replicas".to_owned(),
                old: Some(json!(1)),
                new: Some(json!(3)),
            },
            Difference {
                path: "metadata.labels.team".to_owned(),
                old: Some(json!("x".repeat(100))),
                new: None,
            },
        ]);
        let plan = plan(vec![
            planned("Service", Change::Created),
            planned("Deployment", changed),
            planned("Job", Change::Unchanged),
            planned("ConfigMap", Change::Deleted),
            planned("NetworkPolicy", Change::Foreign("somebody else".to_owned())),
        ]);
        let (heading, lines) = lines(&plan, Some("shards".to_owned()), Style::PLAIN);
        assert_eq!(heading, "objects in the namespace team");
        let cut = format!("\"{}…", "x".repeat(58));
        assert_eq!(
            lines,
            [
                "KIND           NAME    CHANGE",
                "Kafka topic    a       4 partitions, made if it is not there",
                "Kafka topic    b       changed",
                "  partitions: 2 → 4",
                "Kafka topic    c       unchanged",
                "Kafka topic    d       unchanged: has 8 partitions, and none is taken away",
                "Kafka topic    shards  made by the generator",
                "Service        music   created",
                "Deployment     music   changed",
                "  spec.replicas: 1 → 3",
                &format!("  metadata.labels.team: {cut} → none"),
                "Job            music   unchanged",
                "ConfigMap      music   deleted",
                "NetworkPolicy  music   in the way",
                "  it belongs to somebody else; delete it, or rename the pipeline",
                "1 created, 1 changed, 1 unchanged, 1 deleted, 1 in the way",
                "by the operator ops/operator",
                "note: something is not seen",
            ]
        );
        assert!(!is_possible(&plan));
        assert_eq!(
            remarks(&plan),
            [
                "note: something is not seen",
                "to fix: NetworkPolicy music is there: it belongs to somebody else"
            ]
        );
    }

    #[test]
    fn notes_do_not_hinder_and_problems_do() {
        let mut plan = plan(vec![planned("Job", Change::Created)]);
        assert!(is_possible(&plan));
        plan.problems.push("no operator".to_owned());
        assert!(!is_possible(&plan));
    }
}
