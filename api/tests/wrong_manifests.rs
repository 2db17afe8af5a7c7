//! Wrong manifests: exactly what the user is told, and whether the API server refuses them too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::collections::BTreeMap;

use api::StreamPipeline;
use serde::Deserialize;
use serde_json::{Value, json};

/// Who besides the command line refuses a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Seen {
    Schema,
    Cel,
    No,
}

/// A row of the table; its head explains the members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    at: Option<String>,
    #[serde(default)]
    to: Vec<Value>,
    #[serde(default)]
    set: BTreeMap<String, Value>,
    #[serde(default)]
    remove: Vec<String>,
    seen: Seen,
    says: String,
}

impl Row {
    /// What is changed in each case of this row; `None` takes a place away.
    fn cases(&self) -> Vec<Vec<(&str, Option<&Value>)>> {
        if let Some(place) = &self.at {
            return self
                .to
                .iter()
                .map(|value| vec![(place.as_str(), Some(value))])
                .collect();
        }
        let set = self
            .set
            .iter()
            .map(|(place, value)| (place.as_str(), Some(value)));
        vec![
            set.chain(self.remove.iter().map(|place| (place.as_str(), None)))
                .collect(),
        ]
    }
}

fn complete() -> Value {
    serde_yaml::from_str(support::COMPLETE).unwrap()
}

fn change(object: &mut Value, place: &str, value: Option<&Value>) {
    let (parent, name) = place.rsplit_once('/').unwrap();
    match (
        object.pointer_mut(parent).unwrap_or_else(|| panic!("{place}")),
        value,
    ) {
        (Value::Object(members), Some(value)) => drop(members.insert(name.to_owned(), value.clone())),
        (Value::Object(members), None) => drop(members.remove(name).unwrap()),
        (other, _) => panic!("{place} is in {other}"),
    }
}

fn problems(object: &Value) -> api::Problems {
    let resource: StreamPipeline = serde_json::from_value(object.clone()).unwrap();
    api::validate(&resource).expect_err(&format!("{object} is wrong"))
}

#[test]
fn the_user_is_told_what_is_wrong_and_the_api_server_agrees() {
    let rows: Vec<Row> = serde_yaml::from_str(include_str!("wrong_manifests.yaml")).unwrap();
    let cases: Vec<_> = rows
        .iter()
        .flat_map(|row| row.cases().into_iter().map(move |case| (row, case)))
        .collect();
    assert!(cases.len() > 150, "only {} cases", cases.len());
    for (row, case) in cases {
        let mut object = complete();
        for (place, value) in &case {
            change(&mut object, place, *value);
        }
        let problems = problems(&object);
        assert_eq!(problems.to_string(), row.says.trim_end(), "{case:?}");

        let schema = support::schema_errors(&object);
        let cel = support::cel_errors(&object, None);
        let seen = match (schema.is_empty(), cel.is_empty()) {
            (false, _) => Seen::Schema,
            (true, false) => Seen::Cel,
            (true, true) => Seen::No,
        };
        assert_eq!(seen, row.seen, "{case:?}: {schema:?} {cel:?}");
        if seen == Seen::Cel {
            for (path, message) in &cel {
                let same = problems.iter().any(|problem| {
                    problem.path.starts_with(path.as_str())
                        && format!("{}; {}", problem.problem, problem.remedy) == *message
                });
                assert!(
                    same,
                    "{case:?}: CEL says {path}: {message}, the command line {problems}"
                );
            }
        }
    }
}

/// An API server asks for a name before it looks at anything else.
#[test]
fn a_pipeline_has_a_name() {
    let mut object = complete();
    change(&mut object, "/metadata/name", None);
    assert!(
        problems(&object)
            .to_string()
            .starts_with("metadata.name: this is not a pipeline name; ")
    );
}

/// JSON, and so a cluster, has no such numbers; YAML has.
#[test]
fn numbers_have_to_be_numbers() {
    let mut resource = api::parse(support::COMPLETE).unwrap();
    resource.spec.dead_letters.halt_above = f64::NAN;
    resource.spec.generator.as_mut().unwrap().rate = f64::INFINITY;
    assert_eq!(
        api::validate(&resource).unwrap_err().to_string(),
        "spec.deadLetters.haltAbove: this is not a number; write a number with digits\n\
         spec.generator.rate: this is not a number; write a number with digits"
    );
}

/// All that is wrong is told at once.
#[test]
fn everything_is_told_at_once() {
    let mut object = complete();
    for (place, value) in [
        ("/metadata/name", json!("Music")),
        ("/spec/kafka/bootstrapServers", json!("kafka")),
        ("/spec/topics/0/name", json!("a b")),
        ("/spec/generator/rate", json!(0)),
        ("/spec/references/0/from/generated", json!("music.x")),
        ("/spec/tables/3/write/merge/sum", json!(["track_id"])),
        ("/spec/models/0/schedule", json!("")),
        ("/spec/reports/0/name", json!("X")),
        ("/spec/sink/postgres/port", json!(0)),
        ("/spec/batch/maxWait", json!("soon")),
        ("/spec/scaling/drainWithin", json!("1ms")),
    ] {
        change(&mut object, place, Some(&value));
    }
    let problems = problems(&object);
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "spec.sink.postgres.port",
            "metadata.name",
            "spec.kafka.bootstrapServers",
            "spec.topics[0].name",
            "spec.generator.topic",
            "spec.generator.rate",
            "spec.references[0].from.generated",
            "spec.tables[3].write.merge.sum[0]",
            "spec.models[0].schedule",
            "spec.reports[0].name",
            "spec.batch.maxWait",
            "spec.scaling.drainWithin",
        ]
    );
}

/// Partitions may become more, and a new topic may have any number.
#[test]
fn partitions_never_go_down() {
    let old = complete();
    let errors = |partitions: i64| {
        let mut new = old.clone();
        change(
            &mut new,
            "/spec/topics",
            Some(&json!([old["spec"]["topics"][0], old["spec"]["topics"][1], {
                "name": "new", "partitions": 1, "fields": {"a": "int"}
            }])),
        );
        new["spec"]["topics"][0]["partitions"] = json!(partitions);
        support::cel_errors(&new, Some(&old))
    };
    assert_eq!(errors(12), []);
    assert_eq!(errors(13), []);
    let message = "a topic cannot have fewer partitions than it had; keep the number, or make a new topic";
    assert_eq!(
        errors(11),
        [("spec.topics[0].partitions".to_owned(), message.to_owned())]
    );
}
