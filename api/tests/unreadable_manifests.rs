//! Manifests that cannot be read: exactly what the user is told, with the place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde::Deserialize;

const SMALL: &str = include_str!("support/small.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    replace: String,
    by: String,
    says: String,
}

fn error(yaml: &str) -> String {
    api::parse(yaml).map(|_| ()).expect_err(yaml).to_string()
}

#[test]
fn the_place_the_problem_and_the_remedy_are_told() {
    let cases: Vec<Case> = serde_yaml::from_str(include_str!("unreadable_manifests.yaml")).unwrap();
    assert!(cases.len() > 25);
    for case in cases {
        assert!(SMALL.contains(&case.replace), "{}", case.replace);
        let yaml = SMALL.replacen(&case.replace, &case.by, 1);
        assert_eq!(error(&yaml), case.says, "{yaml}");
    }
}

#[test]
fn what_is_no_manifest_at_all_is_told_so() {
    for nothing in ["", "# only a comment\n", "---\n", "{}"] {
        assert_eq!(
            error(nothing),
            "line 1, column 1: there is no kind; write kind: StreamPipeline",
            "{nothing:?}"
        );
    }
    assert_eq!(
        error("- a\n- b\n"),
        "line 1, column 1: an object belongs here; write members as `name: value`"
    );
    assert_eq!(
        error("kind: ConfigMap\napiVersion: v1\ndata: {a: [b, {c: 1}]}\n"),
        "line 1, column 7: kind is ConfigMap; write kind: StreamPipeline",
        "the kind is told before anything that follows from it"
    );
}
