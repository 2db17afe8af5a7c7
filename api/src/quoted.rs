//! Numbers and truth values in quotes: a typed reader of YAML takes them, an API server does not.

use serde_json::Value;

use crate::definition::SPEC_SCHEMA;

/// Text where something else belongs.
pub(crate) struct Quoted {
    pub(crate) path: String,
    pub(crate) problem: String,
    pub(crate) remedy: &'static str,
}

/// The first text of a `spec` that an API server would refuse for being one.
pub(crate) fn check(spec: &Value) -> Option<Quoted> {
    find(spec, &SPEC_SCHEMA, "spec")
}

fn find(value: &Value, schema: &Value, path: &str) -> Option<Quoted> {
    let quoted = |belongs: &str| {
        Some(Quoted {
            path: path.to_owned(),
            problem: format!("{value} is text where {belongs} belongs"),
            remedy: "remove the quotes",
        })
    };
    match (schema.get("type").and_then(Value::as_str), value) {
        (Some("object"), Value::Object(members)) => members.iter().find_map(|(name, member)| {
            let known = schema
                .get("properties")
                .and_then(|properties| properties.get(name));
            let member_schema = known.or_else(|| schema.get("additionalProperties"))?;
            find(member, member_schema, &format!("{path}.{name}"))
        }),
        (Some("array"), Value::Array(items)) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| find(item, schema.get("items")?, &format!("{path}[{index}]"))),
        (Some("integer"), Value::String(_)) => quoted("a whole number"),
        (Some("number"), Value::String(_)) => quoted("a number"),
        (Some("boolean"), Value::String(_)) => quoted("true or false"),
        _ => None,
    }
}
