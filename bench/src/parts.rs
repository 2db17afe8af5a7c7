//! What is asked for on the command line: parts by name, and an earlier revision.

use std::path::PathBuf;

/// Parts that are only measured when they are named.
const ON_REQUEST: [&str; 3] = ["instructions", "python", "spark"];

#[derive(Debug, Default)]
pub(crate) struct Parts(Vec<String>);

impl Parts {
    /// Parts, and the folder after `--against`.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> (Self, Option<PathBuf>) {
        let (mut parts, mut against) = (Vec::new(), None);
        while let Some(argument) = arguments.next() {
            if argument == "--against" {
                against = arguments.next().map(PathBuf::from);
            } else {
                parts.push(argument);
            }
        }
        (Self(parts), against)
    }

    fn named(&self, name: &str) -> bool {
        self.0.iter().any(|part| part == name)
    }

    /// Whether a part is to be measured: it is named, or none is.
    pub(crate) fn wanted(&self, name: &str) -> bool {
        // These are compared with figures of the same run.
        let compared =
            matches!(name, "generator" | "worker") && (self.named("python") || self.named("spark"));
        self.named(name) || compared || (self.0.is_empty() && !ON_REQUEST.contains(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> (Parts, Option<PathBuf>) {
        Parts::parse(arguments.iter().map(ToString::to_string))
    }

    #[test]
    fn nothing_named_is_everything_but_what_has_to_be_named() {
        let (parts, against) = parse(&["--against", "target/against/e766835"]);
        assert_eq!(against, Some("target/against/e766835".into()));
        assert!(parts.wanted("worker") && parts.wanted("operator"));
        assert!(!parts.wanted("instructions") && !parts.wanted("python"));
    }

    #[test]
    fn a_baseline_has_what_it_is_compared_with() {
        let (parts, _) = parse(&["python"]);
        assert!(parts.wanted("python") && parts.wanted("generator") && parts.wanted("worker"));
        assert!(!parts.wanted("operator") && !parts.wanted("spark"));
    }
}
