//! An object of which exactly one member is set. One list of names gives the API server's rule, the check of
//! the command line, and the texts of both.
//!
//! A union is an object with one optional member for each kind, since neither CEL nor a structural schema sees
//! more (docs/decisions/0004-manifest-unions.md).

use kube::core::{Message, Rule};
use serde::Serialize;
use serde_json::Value;

use crate::problem::Collector;

/// The members of a union, and what they are called together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Union {
    /// Readable after "exactly one": `way to write`.
    what: &'static str,
    /// Members that may be set.
    members: &'static [&'static str],
    /// What one of `later` is, readable after "this".
    noun: &'static str,
    /// Names that are kept for later versions: setting one is refused.
    later: &'static [&'static str],
    /// What may be done instead of setting a member, as the end of a sentence.
    instead: &'static str,
}

impl Union {
    /// A union of these members, which are called `what` together.
    pub(crate) const fn of(what: &'static str, members: &'static [&'static str]) -> Self {
        Self {
            what,
            members,
            noun: what,
            later: &[],
            instead: "",
        }
    }

    /// With names that are not available yet, each of which is a `noun`.
    pub(crate) const fn later(self, noun: &'static str, later: &'static [&'static str]) -> Self {
        Self { noun, later, ..self }
    }

    /// With what may be done instead of setting a member.
    pub(crate) const fn or(self, instead: &'static str) -> Self {
        Self { instead, ..self }
    }

    /// That exactly one member is set.
    pub(crate) fn rule(&self) -> Rule {
        let set: Vec<String> = self.names().map(|name| format!("has(self.{name})")).collect();
        let rule = match set.as_slice() {
            [only] => only.clone(),
            [one, other] => format!("{one} != {other}"),
            _ => format!("[{}].filter(x, x).size() == 1", set.join(", ")),
        };
        Rule::new(rule).message(message(&self.not_one()))
    }

    /// That a member for later versions is not set: the rule of that member.
    pub(crate) fn unavailable_rule(&self) -> Rule {
        Rule::new("false").message(message(&self.unavailable()))
    }

    /// Holds `spec`, the object with the members, to both rules.
    pub(crate) fn check(&self, spec: &impl Serialize, path: &str, problems: &mut Collector) {
        let spec = serde_json::to_value(spec).unwrap_or_default();
        let set = |name: &&str| spec.get(*name).is_some_and(|member| *member != Value::Null);
        for name in self.later.iter().filter(|name| set(name)) {
            let (problem, remedy) = self.unavailable();
            problems.add(format!("{path}.{name}"), problem, remedy);
        }
        if self.names().filter(set).count() != 1 {
            let (problem, remedy) = self.not_one();
            problems.add(path, problem, remedy);
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.members.iter().chain(self.later).copied()
    }

    fn not_one(&self) -> (String, String) {
        let names: Vec<&str> = self.names().collect();
        let set = match names.as_slice() {
            [only] => format!("set {only}"),
            _ => format!("set one of {}", names.join(", ")),
        };
        (
            format!("there has to be exactly one {}", self.what),
            format!("{set}{}", self.instead),
        )
    }

    fn unavailable(&self) -> (String, String) {
        (
            format!("this {} is not available in this version", self.noun),
            format!("available: {}", self.members.join(", ")),
        )
    }
}

fn message((problem, remedy): &(String, String)) -> Message {
    Message::Message(format!("{problem}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FRUIT: Union = Union::of("kind of fruit", &["apple", "pear"]).later("fruit", &["quince"]);

    fn told(union: &Union, spec: &Value) -> Vec<String> {
        let mut problems = Collector::default();
        union.check(spec, "spec.fruit", &mut problems);
        let found = problems.finish::<()>(None).unwrap_err();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn exactly_one_member_is_set() {
        let none = "spec.fruit: there has to be exactly one kind of fruit; set one of apple, pear, quince";
        for (spec, expected) in [
            (json!({"pear": {}, "weight": 3}), &[][..]),
            (json!({"weight": 3}), &[none]),
            (json!({"apple": {}, "pear": {}}), &[none]),
        ] {
            assert_eq!(told(&FRUIT, &spec), expected, "{spec}");
        }
        let or = Union::of("stone", &["plum"]).or(", or remove fruit");
        assert_eq!(
            told(&or, &json!({})),
            ["spec.fruit: there has to be exactly one stone; set plum, or remove fruit"]
        );
    }

    #[test]
    fn a_member_for_later_is_refused_by_its_name() {
        assert_eq!(
            told(&FRUIT, &json!({"quince": {}})),
            ["spec.fruit.quince: this fruit is not available in this version; available: apple, pear"]
        );
    }

    /// The API server says the same by a rule that is as short as it can be.
    #[test]
    fn the_rule_counts_every_name() {
        let rule = |names| Union::of("thing", names).rule().rule;
        assert_eq!(rule(&["a"]), "has(self.a)");
        assert_eq!(rule(&["a", "b"]), "has(self.a) != has(self.b)");
        assert_eq!(
            FRUIT.rule().rule,
            "[has(self.apple), has(self.pear), has(self.quince)].filter(x, x).size() == 1"
        );
        assert_eq!(
            FRUIT.unavailable_rule().message,
            Some(Message::Message(
                "this fruit is not available in this version; available: apple, pear".to_owned()
            ))
        );
    }
}
