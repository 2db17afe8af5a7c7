//! SQL in a manifest: what can be said of it before it is planned.

use kube::core::Rule;

use crate::problem::Collector;
use crate::rule::RuleText;

/// Longest statement, in bytes: an object of the API server is at most 1.5 MB in all.
pub(crate) const MAX_SQL: usize = 16_384;

const BLANK_SQL: RuleText = RuleText {
    problem: "there is no SQL",
    remedy: "write a SELECT statement",
};

pub(crate) fn sql_rule() -> Rule {
    Rule::new(r"self.matches('\\S')").message(BLANK_SQL)
}

pub(crate) fn sql(text: &str, path: &str, problems: &mut Collector) -> String {
    if text.trim().is_empty() {
        problems.broken(path, BLANK_SQL);
    }
    text.to_owned()
}
