//! Bounds of numbers, texts and lists, read from the custom resource's own schema, so that they are written
//! once and the command line agrees with the API server.

use serde_json::{Map, Value};

use crate::problem::Collector;

/// Walks a value along its schema and reports what is out of bounds.
pub(crate) fn check(value: &Value, schema: &Value, path: &str, problems: &mut Collector) {
    match value {
        Value::Object(members) => object(members, schema, path, problems),
        Value::Array(items) => {
            count(
                items.len(),
                schema,
                ["minItems", "maxItems"],
                "entries",
                path,
                problems,
            );
            if let Some(item_schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    check(item, item_schema, &format!("{path}[{index}]"), problems);
                }
            }
        }
        Value::String(text) => {
            count(
                text.chars().count(),
                schema,
                ["minLength", "maxLength"],
                "characters",
                path,
                problems,
            );
        }
        Value::Number(_) => number(value, schema, path, problems),
        // JSON has neither infinity nor not-a-number, which YAML can write.
        Value::Null => problems.add(path, "this is not a number", "write a number with digits"),
        Value::Bool(_) => {}
    }
}

fn object(members: &Map<String, Value>, schema: &Value, path: &str, problems: &mut Collector) {
    count(
        members.len(),
        schema,
        ["minProperties", "maxProperties"],
        "entries",
        path,
        problems,
    );
    for (name, member) in members {
        let known = schema
            .get("properties")
            .and_then(|properties| properties.get(name));
        if let Some(member_schema) = known.or_else(|| schema.get("additionalProperties")) {
            check(member, member_schema, &format!("{path}.{name}"), problems);
        }
    }
}

fn count(
    count: usize,
    schema: &Value,
    [min, max]: [&str; 2],
    of: &str,
    path: &str,
    problems: &mut Collector,
) {
    let bound = |name| schema.get(name).and_then(Value::as_u64);
    let (min, max) = (bound(min).unwrap_or(0), bound(max).unwrap_or(u64::MAX));
    let count = count as u64;
    if count == 0 && min == 1 {
        problems.add(path, "this is empty", format!("write at least one of the {of}"));
    } else if min == max && count != min {
        problems.add(
            path,
            format!("this has {count} {of}"),
            format!("write exactly {min}"),
        );
    } else if count < min {
        problems.add(
            path,
            format!("this has {count} {of}"),
            format!("write at least {min}"),
        );
    } else if count > max {
        problems.add(
            path,
            format!("this has {count} {of}"),
            format!("write at most {max}"),
        );
    }
}

fn number(value: &Value, schema: &Value, path: &str, problems: &mut Collector) {
    let bound = |name| schema.get(name).and_then(Value::as_f64);
    let (min, max) = (bound("minimum"), bound("maximum"));
    let Some(number) = value.as_f64() else { return };
    if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
        let remedy = match (min, max) {
            (Some(min), Some(max)) => format!("set a number from {min} to {max}"),
            (Some(min), None) => format!("set a number of at least {min}"),
            _ => "set a smaller number".to_owned(),
        };
        problems.add(path, format!("{number} is out of bounds"), remedy);
    }
}
