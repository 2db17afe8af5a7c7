//! Names that have been checked once and are trusted afterwards.

use std::collections::HashSet;
use std::fmt;

use kube::core::Rule;

use crate::problem::Collector;
use crate::rule::{DUPLICATE_REMEDY, RuleText, duplicate};

const PIPELINE_NAME: RuleText = RuleText {
    problem: "this is not a pipeline name",
    remedy: "use at most 40 lower-case letters, digits and '-', beginning with a letter and not ending with '-'",
};
const TABLE_NAME: RuleText = RuleText {
    problem: "this is not a table name",
    remedy: "use at most 48 lower-case letters, digits and '_', not beginning with a digit or with streampipeline_",
};

/// Why a name was refused; the text names the rule that it broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} {rule}")]
pub struct NameError {
    /// The name as it was written.
    pub name: String,
    /// The rule that it broke, readable after the name: "is longer than 63 characters".
    pub rule: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Checks `name` against the rules of this kind of name.
            pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
                let name = name.into();
                match $check(&name) {
                    Ok(()) => Ok(Self(name)),
                    Err(rule) => Err(NameError { name, rule }),
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// The pipeline's own name: a DNS label of at most 40 characters, so that the names of its objects
    /// (`<name>-generator-…`) stay within Kubernetes' 63.
    PipelineName,
    check_pipeline_name
);
name_type!(
    /// A Kafka topic: 1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..` (Kafka's own rule). It is also a table
    /// in the pipeline's SQL, quoted there when it has other characters than letters, digits and `_`.
    TopicName,
    check_topic_name
);
name_type!(
    /// A table of the sink: a lower-case SQL identifier of at most 48 characters (PostgreSQL, Cassandra and
    /// BigQuery accept it unquoted), not beginning with `streampipeline_`, which is the product's own.
    TableName,
    check_table_name
);

fn check_pipeline_name(name: &str) -> Result<(), &'static str> {
    let bytes = name.as_bytes();
    let label = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            if bytes.len() > 40 {
                Err("is longer than 40 characters")
            } else if !bytes.iter().all(label) {
                Err("may hold only lower-case letters, digits and '-'")
            } else if *first == b'-' || *last == b'-' || first.is_ascii_digit() {
                Err("must begin with a letter and end with a letter or digit")
            } else {
                Ok(())
            }
        }
        _ => Err("is empty"),
    }
}

fn check_topic_name(name: &str) -> Result<(), &'static str> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty() {
        Err("is empty")
    } else if name == "." || name == ".." {
        Err("is not a name that Kafka allows")
    } else if name.len() > 249 {
        Err("is longer than 249 characters")
    } else if !name.bytes().all(legal) {
        Err("may hold only letters, digits, '.', '_' and '-'")
    } else {
        Ok(())
    }
}

fn check_table_name(name: &str) -> Result<(), &'static str> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.is_empty() {
        Err("is empty")
    } else if name.len() > 48 {
        Err("is longer than 48 characters")
    } else if !name.bytes().all(legal) {
        Err("may hold only lower-case letters, digits and '_'")
    } else if name.starts_with(|c: char| c.is_ascii_digit()) {
        Err("must not begin with a digit")
    } else if name.starts_with("streampipeline_") {
        Err("must not begin with 'streampipeline_', which is kept for the product's own tables")
    } else {
        Ok(())
    }
}

pub(crate) fn pipeline_name_rule() -> Rule {
    Rule::new("self.metadata.name.matches('^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$')").message(PIPELINE_NAME)
}

pub(crate) fn table_name_rule() -> Rule {
    Rule::new("self.matches('^[a-z_][a-z0-9_]*$') && !self.startsWith('streampipeline_')").message(TABLE_NAME)
}

pub(crate) fn pipeline_name(name: Option<&String>, problems: &mut Collector) -> Option<PipelineName> {
    let name = PipelineName::new(name.map_or("", String::as_str)).ok();
    if name.is_none() {
        problems.broken("metadata.name", PIPELINE_NAME);
    }
    name
}

pub(crate) fn table_name(name: &str, path: &str, problems: &mut Collector) -> Option<TableName> {
    let name = TableName::new(name).ok();
    if name.is_none() {
        problems.broken(path, TABLE_NAME);
    }
    name
}

/// Reports the second and later of equal names.
pub(crate) fn unique<'a>(
    names: impl Iterator<Item = (&'a str, String)>,
    what: &str,
    problems: &mut Collector,
) {
    let mut seen: HashSet<&str> = HashSet::new();
    for (name, path) in names {
        if !seen.insert(name) {
            problems.add(path, duplicate(what, name), DUPLICATE_REMEDY);
        }
    }
}
