//! What is wrong with a manifest, as a list for the person who wrote it.

use std::fmt;

use crate::rule::RuleText;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `spec.tables[1].write.merge.key[0]`.
    pub path: String,
    /// What is wrong there.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.path, self.problem, self.remedy)
    }
}

/// Everything that is wrong with a manifest; never empty. Displays as one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems, in the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Collects problems while a manifest is looked at.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    problems: Vec<Problem>,
}

impl Collector {
    /// Adds a problem, unless there is one at this place already: a value that is out of bounds is often wrong
    /// in a second way that follows from the first.
    pub(crate) fn add(
        &mut self,
        path: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let path = path.into();
        if !self.problems.iter().any(|known| known.path == path) {
            self.problems.push(Problem {
                path,
                problem: problem.into(),
                remedy: remedy.into(),
            });
        }
    }

    /// Adds the text of a rule that the API server checks too.
    pub(crate) fn broken(&mut self, path: impl Into<String>, rule: RuleText) {
        self.add(path, rule.problem, rule.remedy);
    }

    /// The value, if nothing was found wrong.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(Problems(self.problems)),
        }
    }
}
