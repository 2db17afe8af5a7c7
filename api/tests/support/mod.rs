//! What an API server does with an object before it stores it, as far as it can be done without one.

use std::sync::LazyLock;

use api::StreamPipeline;
use kube::CustomResourceExt;
use serde_json::Value;

/// A manifest that uses every part of a pipeline, for tests to break.
pub(crate) const COMPLETE: &str = include_str!("complete.yaml");

/// The schema of the custom resource.
pub(crate) static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let schema = StreamPipeline::crd().spec.versions.remove(0).schema.unwrap();
    serde_json::to_value(schema.open_api_v3_schema.unwrap()).unwrap()
});

static STRUCTURE: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    jsonschema::options()
        .should_validate_formats(true)
        .build(&SCHEMA)
        .unwrap()
});

/// What the schema refuses: types, bounds, patterns, and lists with two entries of one name.
pub(crate) fn schema_errors(object: &Value) -> Vec<String> {
    let mut errors: Vec<String> = STRUCTURE
        .iter_errors(object)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    duplicate_entries(object, &SCHEMA, &mut errors);
    errors
}

fn duplicate_entries(value: &Value, schema: &Value, errors: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                duplicate_entries(member, &schema["properties"][name], errors);
            }
        }
        Value::Array(items) => {
            if schema["x-kubernetes-list-type"] == "map" {
                let key = |item: &Value| -> Vec<Value> {
                    let keys = schema["x-kubernetes-list-map-keys"].as_array().unwrap();
                    keys.iter()
                        .map(|key| item[key.as_str().unwrap()].clone())
                        .collect()
                };
                for (index, item) in items.iter().enumerate() {
                    if items[..index].iter().any(|earlier| key(earlier) == key(item)) {
                        errors.push(format!("duplicate entry {:?}", key(item)));
                    }
                }
            }
            for item in items {
                duplicate_entries(item, &schema["items"], errors);
            }
        }
        _ => {}
    }
}

static RULES: LazyLock<kube_cel::CompiledSchema> = LazyLock::new(|| kube_cel::compile_schema(&SCHEMA));

/// Which rules in CEL refuse an object, or the change from an old one: where, and what they say.
pub(crate) fn cel_errors(object: &Value, old: Option<&Value>) -> Vec<(String, String)> {
    let Err(errors) = kube_cel::Validator::new().validate_compiled(&RULES, object, old) else {
        return Vec::new();
    };
    errors
        .into_vec()
        .into_iter()
        .map(|error| (error.field_path, error.message))
        .collect()
}
