//! Labels, annotations, and names of objects: what Kubernetes takes, and what the operator keeps for itself.

use std::collections::BTreeMap;

use kube::core::Rule;

use crate::problem::Collector;
use crate::rule::RuleText;

const OWN_PREFIX: RuleText = RuleText {
    problem: "app.kubernetes.io/ and streampipeline.dev/ belong to the operator",
    remedy: "choose another prefix",
};
const DNS_NAME: RuleText = RuleText {
    problem: "this is not the name of an object",
    remedy: "use lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit",
};

pub(super) fn labels_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": {
            "type": "string",
            "maxLength": 63,
            "pattern": "^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$",
        },
        "maxProperties": 32,
    })
}

pub(super) fn annotations_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": "string", "maxLength": 4096 },
        "maxProperties": 32,
    })
}

pub(super) fn own_prefix_rule() -> Rule {
    Rule::new(
        "self.all(key, !key.startsWith('app.kubernetes.io/') && !key.startsWith('streampipeline.dev/'))",
    )
    .message(OWN_PREFIX)
}

pub(super) fn dns_name_rule() -> Rule {
    Rule::new("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')").message(DNS_NAME)
}

pub(super) fn own_keys(map: &BTreeMap<String, String>, path: &str, problems: &mut Collector) {
    let own = |key: &String| key.starts_with("app.kubernetes.io/") || key.starts_with("streampipeline.dev/");
    if map.keys().any(own) {
        problems.broken(path, OWN_PREFIX);
    }
}

pub(super) fn check_labels(map: &BTreeMap<String, String>, path: &str, problems: &mut Collector) {
    check_keys(map.keys(), path, problems);
    for (key, value) in map
        .iter()
        .filter(|(_, value)| !value.is_empty() && !is_label(value))
    {
        problems.add(
            format!("{path}.{key}"),
            format!("{value:?} is not a label's value"),
            "use at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
        );
    }
}

pub(super) fn check_keys<'a>(keys: impl Iterator<Item = &'a String>, path: &str, problems: &mut Collector) {
    for key in keys {
        let (prefix, name) = key
            .split_once('/')
            .map_or((None, key.as_str()), |(prefix, name)| (Some(prefix), name));
        let prefix_fits = prefix.is_none_or(|prefix| prefix.len() <= 253 && is_dns_name(prefix));
        if !prefix_fits || !is_label(name) {
            problems.add(
                path,
                format!("{key:?} is not a label's or annotation's key"),
                "use name or domain/name, the name of at most 63 letters, digits, '-', '_' and '.'",
            );
        }
    }
}

/// What a label's value, and the name of its key, may be.
fn is_label(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.starts_with(ends)
        && text.ends_with(ends)
        && text.chars().all(|c| ends(c) || matches!(c, '-' | '_' | '.'))
}

fn is_dns_name(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(ends) && text.ends_with(ends) && text.chars().all(|c| ends(c) || matches!(c, '-' | '.'))
}

pub(super) fn dns_name(name: &str, path: &str, problems: &mut Collector) {
    if !is_dns_name(name) {
        problems.broken(path, DNS_NAME);
    }
}
