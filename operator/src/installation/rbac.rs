//! What the operator may do, as one table: the chart's ClusterRole is made from it, and tests hold every call to it.

/// Rights on one kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resource, with its subresource.
    pub resource: &'static str,
    /// What is done with it.
    pub verbs: &'static [&'static str],
    /// Only objects of these names; all if empty.
    pub names: &'static [&'static str],
    pub reason: &'static str,
    /// Where it is needed.
    pub scope: RuleScope,
}

/// Where a right is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleScope {
    /// In every namespace that is watched.
    Watched,
    /// In the operator's own namespace.
    Own,
    /// For the cluster as a whole.
    Cluster,
}

const OBJECT: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

const fn watched(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    reason: &'static str,
) -> Rule {
    Rule {
        group,
        resource,
        verbs,
        names: &[],
        reason,
        scope: RuleScope::Watched,
    }
}

pub const RULES: &[Rule] = &[
    watched(
        "streampipeline.dev",
        "streampipelines",
        &["get", "list", "watch", "patch"],
        "the pipelines; patch for finalizers",
    ),
    watched(
        "streampipeline.dev",
        "streampipelines/status",
        &["patch"],
        "what is told about them",
    ),
    watched(
        "streampipeline.dev",
        "streampipelines/finalizers",
        &["update"],
        "owner references that block deletion",
    ),
    watched(
        "",
        "secrets",
        &["get", "list", "watch"],
        "those that pipelines name; lists are of metadata only",
    ),
    watched(
        "",
        "pods",
        &["list", "patch"],
        "why they do not work, and which worker to stop first",
    ),
    watched("", "configmaps", OBJECT, "manifests of the programs"),
    watched("", "services", OBJECT, "names of the pods"),
    watched("", "serviceaccounts", OBJECT, "identity of the pods"),
    watched("apps", "deployments", OBJECT, "workers and generator"),
    watched("batch", "jobs", OBJECT, "preparation"),
    watched("batch", "cronjobs", OBJECT, "models"),
    watched(
        "networking.k8s.io",
        "networkpolicies",
        OBJECT,
        "what pods may talk to",
    ),
    watched(
        "policy",
        "poddisruptionbudgets",
        OBJECT,
        "how many pods may leave at a time",
    ),
    watched(
        "monitoring.coreos.com",
        "podmonitors",
        OBJECT,
        "scraping, where the Prometheus operator is",
    ),
    watched(
        "events.k8s.io",
        "events",
        &["create", "patch"],
        "what has changed",
    ),
    Rule {
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["get", "create", "patch"],
        names: &[],
        reason: "one leader",
        scope: RuleScope::Own,
    },
    Rule {
        group: "apiextensions.k8s.io",
        resource: "customresourcedefinitions",
        verbs: &["get", "patch"],
        names: &["streampipelines.streampipeline.dev"],
        reason: "its own definition is kept up to date, unless --no-crd is given",
        scope: RuleScope::Cluster,
    },
    Rule {
        group: "apiextensions.k8s.io",
        resource: "customresourcedefinitions",
        verbs: &["create"],
        names: &[],
        reason: "its own definition; a creation cannot be limited to a name",
        scope: RuleScope::Cluster,
    },
];

/// The rules of a scope as the `rules` of a Role or ClusterRole, in YAML.
#[must_use]
pub fn yaml(scope: RuleScope) -> String {
    use std::fmt::Write;
    let mut text = String::from("rules:\n");
    for rule in RULES.iter().filter(|rule| rule.scope == scope) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  # {}", rule.reason);
        let _ = writeln!(text, "  - apiGroups: [\"{}\"]", rule.group);
        let _ = writeln!(text, "    resources: [{}]", rule.resource);
        if !rule.names.is_empty() {
            let _ = writeln!(text, "    resourceNames: [{}]", rule.names.join(", "));
        }
        let _ = writeln!(text, "    verbs: [{}]", rule.verbs.join(", "));
    }
    text
}

/// Whether a call is in the table.
#[must_use]
pub fn allows(group: &str, resource: &str, verb: &str) -> bool {
    RULES
        .iter()
        .any(|rule| rule.group == group && rule.resource == resource && rule.verbs.contains(&verb))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    #[test]
    fn every_kind_that_is_made_may_be_made() {
        for kind in Kind::ALL {
            let (group, _, _, plural) = kind.names();
            for verb in OBJECT {
                assert!(allows(group, plural, verb), "{verb} {kind}");
            }
        }
    }

    #[test]
    fn the_chart_has_these_rules() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/streampipeline/files/rbac");
        for (scope, name) in [
            (RuleScope::Watched, "watched"),
            (RuleScope::Own, "own"),
            (RuleScope::Cluster, "cluster"),
        ] {
            let file = std::fs::read_to_string(format!("{directory}/{name}.yaml")).unwrap();
            assert_eq!(file, yaml(scope), "{name}.yaml is not the table: make generate");
        }
    }

    #[test]
    fn the_yaml_is_rules() {
        for scope in [RuleScope::Watched, RuleScope::Own, RuleScope::Cluster] {
            let read: serde_json::Value = serde_yaml::from_str(&yaml(scope)).unwrap();
            let rules = read["rules"].as_array().unwrap();
            assert_eq!(
                rules.len(),
                RULES.iter().filter(|rule| rule.scope == scope).count()
            );
            assert!(
                rules
                    .iter()
                    .all(|rule| rule["verbs"].is_array() && rule["apiGroups"][0].is_string())
            );
        }
    }
}
