//! What the types' schemas have to be besides what the derives make of them.

use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Fits a derived schema to what the API server makes the most of.
///
/// - Optional members are not nullable: the API server then drops an explicit `null` before it looks at rules,
///   so that `has()` in CEL and `Option` here agree.
/// - `additionalProperties: false` is not structural; unknown fields are pruned, and refused by `kubectl`.
/// - Descriptions are paragraphs, which `kubectl explain` breaks into lines itself.
/// - Formats that Kubernetes does not know (`uint16`) would be warned about at each `apply`.
pub(crate) fn plain(schema: &mut Schema) {
    if let Some(object) = schema.as_object_mut() {
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [kind] = types.as_slice() {
                let kind = kind.clone();
                object.insert("type".to_owned(), kind);
            }
        }
        if let Some(Value::Array(mut kinds)) = object.remove("anyOf") {
            kinds.retain(|kind| kind.get("type").is_none_or(|kind| kind != "null"));
            match kinds.as_mut_slice() {
                [Value::Object(only)] => object.append(only),
                _ => drop(object.insert("anyOf".to_owned(), Value::Array(kinds))),
            }
        }
        if object.get("additionalProperties") == Some(&Value::Bool(false)) {
            object.remove("additionalProperties");
        }
        if let Some(Value::String(description)) = object.get_mut("description") {
            let paragraphs: Vec<String> = description
                .split("\n\n")
                .map(|paragraph| paragraph.replace('\n', " "))
                .collect();
            *description = paragraphs.join("\n\n");
        }
        let known = ["int32", "int64", "float", "double", "date-time"];
        if object
            .get("format")
            .and_then(Value::as_str)
            .is_some_and(|format| !known.contains(&format))
        {
            object.remove("format");
        }
    }
    transform_subschemas(&mut plain, schema);
}

/// An object without members: naming it is all that there is to say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl JsonSchema for Nothing {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Nothing".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

/// An object whose members a later version defines; anything in it is kept as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reserved(pub Map<String, Value>);

impl JsonSchema for Reserved {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Reserved".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
    }
}
