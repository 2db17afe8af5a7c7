//! What differs between an object as it is and as it would be. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

/// A member that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where: `spec.template.spec.containers[worker].image`.
    pub path: String,
    /// What is there, if something is.
    pub old: Option<Value>,
    /// What would be, if something would.
    pub new: Option<Value>,
}

/// What the API server keeps for itself, or what controllers tell.
const NOT_WANTED: [&str; 6] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "uid",
    "selfLink",
];

/// What would change in an object, by path.
#[must_use]
pub(super) fn between(old: &Value, new: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    differ("", Some(&wanted(old)), Some(&wanted(new)), &mut found);
    found
}

fn wanted(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(members) = object.as_object_mut() {
        members.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for member in NOT_WANTED {
            metadata.remove(member);
        }
    }
    object
}

fn differ(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Difference>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                differ(&member(path, name), a.get(name), b.get(name), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => lists(path, a, b, found),
        (Some(Value::String(a)), Some(Value::String(b))) => match (document(a), document(b)) {
            // A manifest in a ConfigMap: what differs in it is of interest, not that it does.
            (Some(a), Some(b)) if a != b => differ(path, Some(&a), Some(&b), found),
            _ => found.push(difference(path, old, new)),
        },
        _ => found.push(difference(path, old, new)),
    }
}

/// Elements with names are found by them, others by their place.
fn lists(path: &str, old: &[Value], new: &[Value], found: &mut Vec<Difference>) {
    if let (Some(a), Some(b)) = (named(old), named(new)) {
        let names: BTreeSet<&str> = a.iter().chain(&b).map(|(name, _)| *name).collect();
        let one = |all: &[(&str, &'_ Value)], name: &str| {
            all.iter()
                .find(|(other, _)| *other == name)
                .map(|(_, value)| (*value).clone())
        };
        let before = found.len();
        for name in names {
            let (a, b) = (one(&a, name), one(&b, name));
            differ(&format!("{path}[{name}]"), a.as_ref(), b.as_ref(), found);
        }
        if found.len() > before {
            return;
        }
        // The same elements in another order.
    } else if old.len() == new.len() {
        for (index, (a, b)) in old.iter().zip(new).enumerate() {
            differ(&format!("{path}[{index}]"), Some(a), Some(b), found);
        }
        return;
    }
    found.push(Difference {
        path: path.to_owned(),
        old: Some(Value::Array(old.to_vec())),
        new: Some(Value::Array(new.to_vec())),
    });
}

/// Each element with its name, if all have one and no two the same.
fn named(list: &[Value]) -> Option<Vec<(&str, &Value)>> {
    let named: Option<Vec<(&str, &Value)>> = list
        .iter()
        .map(|value| Some((value.get("name")?.as_str()?, value)))
        .collect();
    let named = named?;
    let names: BTreeSet<&str> = named.iter().map(|(name, _)| *name).collect();
    (names.len() == named.len()).then_some(named)
}

fn document(text: &str) -> Option<Value> {
    if !text.contains('\n') {
        return None;
    }
    let document: Value = serde_yaml::from_str(text).ok()?;
    document.is_object().then_some(document)
}

fn difference(path: &str, old: Option<&Value>, new: Option<&Value>) -> Difference {
    Difference {
        path: path.to_owned(),
        old: old.cloned(),
        new: new.cloned(),
    }
}

fn member(path: &str, name: &str) -> String {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match (path.is_empty(), plain) {
        (true, _) => name.to_owned(),
        (false, true) => format!("{path}.{name}"),
        (false, false) => format!("{path}[{name}]"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(old: &Value, new: &Value) -> Vec<String> {
        let text = |value: &Option<Value>| value.as_ref().map_or("none".to_owned(), ToString::to_string);
        between(old, new)
            .iter()
            .map(|difference| {
                format!(
                    "{}: {} → {}",
                    difference.path,
                    text(&difference.old),
                    text(&difference.new)
                )
            })
            .collect()
    }

    #[test]
    fn members_are_named_by_their_paths() {
        let object = |replicas: u32, image: &str, extra: Value| {
            json!({
                "metadata": {"name": "a", "annotations": extra},
                "spec": {"replicas": replicas, "template": {"containers": [
                    {"name": "log", "image": "l"}, {"name": "worker", "image": image, "args": ["run", "-v"]},
                ]}},
            })
        };
        let old = object(1, "i:1", json!({"a.b/c": "x", "gone": "1"}));
        assert_eq!(texts(&old, &old), Vec::<String>::new());
        assert_eq!(
            texts(&old, &object(3, "i:2", json!({"a.b/c": "y", "new": "2"}))),
            [
                r#"metadata.annotations[a.b/c]: "x" → "y""#,
                r#"metadata.annotations.gone: "1" → none"#,
                r#"metadata.annotations.new: none → "2""#,
                "spec.replicas: 1 → 3",
                r#"spec.template.containers[worker].image: "i:1" → "i:2""#,
            ]
        );
    }

    #[test]
    fn lists_are_compared_by_name_else_by_place_else_as_a_whole() {
        let list = |value: Value| json!({"spec": {"list": value}});
        for (old, new, expected) in [
            (
                json!([{"name": "a"}]),
                json!([{"name": "b"}]),
                vec![
                    r#"spec.list[a]: {"name":"a"} → none"#,
                    r#"spec.list[b]: none → {"name":"b"}"#,
                ],
            ),
            (
                json!([{"name": "a"}, {"name": "b"}]),
                json!([{"name": "b"}, {"name": "a"}]),
                vec![r#"spec.list: [{"name":"a"},{"name":"b"}] → [{"name":"b"},{"name":"a"}]"#],
            ),
            (
                json!(["a", "b"]),
                json!(["a", "c"]),
                vec![r#"spec.list[1]: "b" → "c""#],
            ),
            (json!(["a"]), json!([]), vec![r#"spec.list: ["a"] → []"#]),
        ] {
            assert_eq!(texts(&list(old), &list(new)), expected);
        }
    }

    #[test]
    fn a_manifest_in_a_config_map_is_looked_into() {
        let map = |text: &str| json!({"data": {"pipeline.yaml": text}});
        assert_eq!(
            texts(
                &map("spec:\n  rate: 1\n  a: b\n"),
                &map("spec:\n  rate: 2\n  a: b\n")
            ),
            ["data[pipeline.yaml].spec.rate: 1 → 2"]
        );
        // Only how it is written.
        assert_eq!(
            texts(&map("a: {b: 1}\n"), &map("a:\n  b: 1\n")),
            [r#"data[pipeline.yaml]: "a: {b: 1}\n" → "a:\n  b: 1\n""#]
        );
        assert_eq!(
            texts(&map("one\ntwo"), &map("one")),
            [r#"data[pipeline.yaml]: "one\ntwo" → "one""#]
        );
    }

    #[test]
    fn what_the_api_server_keeps_for_itself_is_no_difference() {
        let object = |version: &str, phase: &str| {
            json!({
                "metadata": {"resourceVersion": version, "generation": version, "managedFields": [version], "uid": version},
                "status": {"phase": phase},
            })
        };
        assert_eq!(texts(&object("1", "a"), &object("2", "b")), Vec::<String>::new());
    }
}
