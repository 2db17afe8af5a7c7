//! The text of a rule that the API server (by CEL) and `validate` both hold a manifest to, so that the
//! command line and the cluster say the same.

use kube::core::{Message, Rule};

/// What a broken rule is told as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RuleText {
    /// What is wrong, readable after a path.
    pub(crate) problem: &'static str,
    /// The remedy, as an instruction.
    pub(crate) remedy: &'static str,
}

impl From<RuleText> for Message {
    fn from(text: RuleText) -> Self {
        Self::Message(format!("{}; {}", text.problem, text.remedy))
    }
}

/// The remedy for a name that is there twice.
pub(crate) const DUPLICATE_REMEDY: &str = "name each only once";

/// What is wrong with a name that is there twice.
pub(crate) fn duplicate(what: &str, name: &str) -> String {
    format!("the {what} {name} is there twice")
}

/// The rule that the names of a list (a CEL expression) differ; it tells the first that does not.
pub(crate) fn unique(list: &str, what: &str) -> Rule {
    let problem = duplicate(
        what,
        &format!("' + {list}.filter(a, !{list}.exists_one(b, b == a))[0] + '"),
    );
    Rule::new(format!("{list}.all(a, {list}.exists_one(b, b == a))"))
        .message(Message::Expression(format!("'{problem}; {DUPLICATE_REMEDY}'")))
}
