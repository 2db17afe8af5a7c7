//! The custom resource definition is one that an API server takes, and `kubectl explain` can read out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::sync::LazyLock;

use api::StreamPipeline;
use kube::CustomResourceExt;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Calls `visit` with each schema node below `schema` and its path.
fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&Value, &str)) {
    visit(schema, path);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{path}.{name}"), visit);
    }
    if let Some(items) = schema.get("items") {
        walk(items, &format!("{path}[]"), visit);
    }
    if let Some(values) = schema.get("additionalProperties") {
        walk(values, &format!("{path}.*"), visit);
    }
}

fn spec() -> &'static Value {
    &support::SCHEMA["properties"]["spec"]
}

/// What Kubernetes calls structural, and what it warns of.
#[test]
fn the_schema_is_structural() {
    let text = support::SCHEMA.to_string();
    for word in [
        "$ref",
        "$defs",
        "oneOf",
        "anyOf",
        "allOf",
        "\"not\"",
        "exclusiveM",
        "uniqueItems",
        "\"const\"",
    ] {
        assert!(!text.contains(word), "{word} is in the schema");
    }
    walk(&support::SCHEMA, "", &mut |node, path| {
        assert!(node["type"].is_string(), "{path} has no type");
        assert!(
            node.get("properties").is_none() || node.get("additionalProperties").is_none(),
            "{path} has both known and unknown properties"
        );
        assert!(
            node["additionalProperties"].is_null() || node["additionalProperties"].is_object(),
            "{path}"
        );
        let formats = [
            Value::Null,
            json!("int32"),
            json!("int64"),
            json!("double"),
            json!("date-time"),
        ];
        assert!(
            formats.contains(&node["format"]),
            "{path} has the format {}",
            node["format"]
        );
    });
    // An explicit null is dropped before rules are looked at only where it is not allowed.
    walk(spec(), "spec", &mut |node, path| {
        assert!(node.get("nullable").is_none(), "{path} is nullable");
    });
}

/// Rules cost at most so much as the largest value that the schema allows: without bounds an API server refuses them.
#[test]
fn everything_has_a_bound() {
    walk(spec(), "spec", &mut |node, path| {
        let bound = match node["type"].as_str().unwrap() {
            "string" if node.get("enum").is_none() => "maxLength",
            "array" => "maxItems",
            "object" if node.get("additionalProperties").is_some() => "maxProperties",
            _ => return,
        };
        assert!(node[bound].is_u64(), "{path} has no {bound}");
    });
}

#[test]
fn defaults_are_valid() {
    let mut defaults = 0;
    walk(spec(), "spec", &mut |node, path| {
        if let Some(default) = node.get("default") {
            defaults += 1;
            let validator = jsonschema::options().build(node).unwrap();
            assert!(validator.is_valid(default), "{path}: {default}");
            assert!(
                kube_cel::Validator::new().validate(node, default, None).is_ok(),
                "{path}: {default}"
            );
        }
    });
    assert!(defaults >= 25, "only {defaults} defaults");
}

#[test]
fn the_rules_are_cel_and_say_what_is_wrong() {
    let mut rules = 0;
    walk(&support::SCHEMA, "", &mut |node, path| {
        for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
            rules += 1;
            let text = rule["rule"].as_str().unwrap();
            assert!(
                rule["message"].is_string() || rule["messageExpression"].is_string(),
                "{path}: {text}"
            );
            // The path that a message is told with has to be there.
            if let Some(field) = rule["fieldPath"].as_str() {
                let pointer = field.replace('.', "/properties/");
                assert!(node.pointer(&pointer).is_some(), "{path}{field}");
            }
        }
    });
    assert!(rules >= 50, "only {rules} rules");
    let compiled = kube_cel::compile_schema(&support::SCHEMA);
    assert!(!compiled.has_errors(), "{:?}", compiled.compilation_errors());
}

/// `kubectl explain` shows descriptions and nothing else.
#[test]
fn every_field_is_explained() {
    walk(spec(), "spec", &mut |node, path| {
        if path.ends_with("[]") || path.ends_with(".*") {
            return;
        }
        let description = node["description"].as_str().unwrap_or("");
        assert!(description.ends_with(['.', '`']), "{path} says {description:?}");
    });
}

#[test]
fn it_is_listed_scaled_and_named_as_promised() {
    let crd = StreamPipeline::crd();
    assert_eq!(
        crd.metadata.name.as_deref(),
        Some("streampipelines.streampipeline.dev")
    );
    assert_eq!(
        (crd.spec.names.kind.as_str(), crd.spec.scope.as_str()),
        ("StreamPipeline", "Namespaced")
    );
    assert_eq!(crd.spec.names.short_names, Some(vec!["sp".to_owned()]));
    let version = &crd.spec.versions[0];
    assert_eq!(
        (version.name.as_str(), version.served, version.storage),
        ("v1alpha1", true, true)
    );
    let columns: Vec<&str> = version
        .additional_printer_columns
        .iter()
        .flatten()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(columns, ["Phase", "Rate", "Lag", "Workers", "Audit", "Age"]);
    let subresources = version.subresources.as_ref().unwrap();
    assert!(subresources.status.is_some());
    let scale = subresources.scale.as_ref().unwrap();
    assert_eq!(scale.spec_replicas_path, ".spec.scaling.replicas");
    assert_eq!(scale.status_replicas_path, ".status.workers");
    assert_eq!(scale.label_selector_path.as_deref(), Some(".status.selector"));
    // What a path names has to be in the schema, or the column stays empty for ever.
    let columns = version
        .additional_printer_columns
        .iter()
        .flatten()
        .map(|column| column.json_path.as_str());
    let paths = [".spec.scaling.replicas", ".status.workers", ".status.selector"];
    for path in columns.filter(|path| path.starts_with(".status")).chain(paths) {
        assert!(
            support::SCHEMA
                .pointer(&path.replace('.', "/properties/"))
                .is_some(),
            "{path}"
        );
    }
}

#[test]
fn the_yaml_is_the_definition_and_always_the_same() {
    let yaml = api::crd_yaml();
    assert_eq!(yaml, api::crd_yaml());
    assert!(yaml.starts_with(
        "# Generated by `streampipeline crd`: do not edit.\napiVersion: apiextensions.k8s.io/v1\n"
    ));
    assert!(yaml.ends_with('\n'));
    assert!(
        !yaml.lines().any(|line| line.ends_with(' ')),
        "a blank at the end of a line"
    );
    let read: Value = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!(read, serde_json::to_value(api::definition()).unwrap());
    assert_eq!(
        read["metadata"]["annotations"][api::RELEASE],
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(
        yaml,
        include_str!("../../deploy/crd/streampipelines.yaml"),
        "make generate"
    );
    // `kubectl apply` keeps a copy in an annotation, which holds 256 KiB.
    assert!(read.to_string().len() < 200_000);
}

fn validator(pointer: &str) -> jsonschema::Validator {
    jsonschema::options()
        .build(spec().pointer(pointer).unwrap())
        .unwrap()
}

static DURATION: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| validator("/properties/scaling/properties/drainWithin"));
static QUANTITY: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| validator("/properties/batch/properties/maxBytes"));

proptest! {
    /// The API server looks at the pattern, the command line parses: they have to agree.
    #[test]
    fn a_duration_matches_if_it_parses(text in "([0-9]{0,6}(h|m|s|ms|d| |\\.)?){0,5}") {
        prop_assert_eq!(DURATION.is_valid(&json!(text)), api::parse_duration(&text).is_ok());
    }

    #[test]
    fn a_quantity_matches_if_it_parses(text in "[0-9]{0,13}(k|K|M|Mi|Gi|G|T|Ti|Ki|i|m|B)?") {
        prop_assert_eq!(QUANTITY.is_valid(&json!(text)), api::parse_quantity(&text).is_ok());
    }

    /// Whatever becomes of a manifest: what the API server refuses, `validate` refuses, and it never panics.
    #[test]
    fn what_the_api_server_refuses_is_refused(
        place in 0usize..10_000,
        value in prop_oneof![
            any::<i64>().prop_map(|number| json!(number)),
            (-2.0f64..2.0).prop_map(|number| json!(number)),
            "[a-zA-Z0-9 ._:/+*-]{0,12}".prop_map(|text| json!(text)),
            Just(json!([])),
            Just(json!({})),
            Just(json!("x".repeat(20_000))),
        ],
    ) {
        let mut object: Value = serde_yaml::from_str(support::COMPLETE).unwrap();
        let mut places = Vec::new();
        leaves(&object["spec"], "/spec", &mut places);
        let pointer = &places[place % places.len()];
        *object.pointer_mut(pointer).unwrap() = value;
        // JSON is YAML. What does not fit the types is refused while it is read.
        if let Ok(resource) = api::parse(&object.to_string()) {
            let problems = api::validate(&resource).err();
            prop_assert!(problems.as_ref().is_none_or(|problems| problems.iter().count() > 0), "refused without a word");
            let refused = problems.is_some();
            let schema = support::schema_errors(&object);
            let cel = support::cel_errors(&object, None);
            prop_assert!(refused || schema.is_empty() && cel.is_empty(), "{pointer}: {schema:?} {cel:?}");
        }
    }
}

fn leaves(value: &Value, pointer: &str, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                leaves(member, &format!("{pointer}/{name}"), places);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{pointer}/{index}"), places);
            }
        }
        _ => {}
    }
    places.push(pointer.to_owned());
}
