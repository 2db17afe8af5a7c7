//! `spec.reports[].parameters[]`: what a report is asked with.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::unique;
use crate::problem::Collector;
use crate::rule::RuleText;
use crate::sql::{sql, sql_rule};
use crate::union::Union;

/// Longest query for choices, in bytes. The API server bounds what its rules may cost, by what a manifest may hold at most:
/// so many parameters of so many reports leave room for no more.
const MAX_QUERY: usize = 4_096;

const CHOICES: Union =
    Union::of("source of choices", &["list", "query"]).or(", or remove choices to take any value");
const PARAMETER_NAME: RuleText = RuleText {
    problem: "this is not a parameter name",
    remedy: "use at most 48 lower-case letters, digits and '_', beginning with a letter, and not from, to or now, which \
             every report has",
};

/// What a report is asked with. Its SQL has the value as `:name`; it is bound, and never becomes part of the text.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParameterSpec {
    /// Its name in the SQL and on the command line. Example: `genre`.
    #[schemars(length(max = 48))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z][a-z0-9_]*$') && !(self in ['from', 'to', 'now'])").message(PARAMETER_NAME))]
    pub name: String,
    /// How its value is read, and what it is in the SQL: `string`, `int`, `long`, `double`, `decimal`, `boolean`, `date`
    /// or `timestamp`.
    #[serde(rename = "type")]
    pub parameter_type: ParameterType,
    /// Its heading. Absent: the name. Example: `Genre`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub title: Option<String>,
    /// Its value where none is given, as text of its type. Absent: a value must be given. Example: `jazz`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub default: Option<String>,
    /// The values that there are. Absent: any of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<ChoicesSpec>,
}

/// Where the values of a parameter come from; exactly one is set.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = CHOICES.rule())]
pub struct ChoicesSpec {
    /// The values themselves, as text of the parameter's type. Example: `["10", "50"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), inner(length(max = 256)))]
    pub list: Option<Vec<String>>,
    /// A query over the pipeline's tables; its first column has the values. Example: `SELECT DISTINCT genre FROM tracks
    /// ORDER BY genre`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_QUERY))]
    #[x_kube(validation = sql_rule())]
    pub query: Option<String>,
}

/// What a report is asked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The SQL has it as `:name`.
    pub name: String,
    /// Readable in a list of parameters.
    pub title: String,
    /// How its value is read, and what it is in the SQL.
    pub parameter_type: ParameterType,
    /// The value where none is given; without one it must be given.
    pub default: Option<String>,
    /// The values that there are; any of its type if absent.
    pub choices: Option<Choices>,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParameterType {
    /// Text.
    String,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A floating point number.
    Double,
    /// A decimal number, exact.
    Decimal,
    /// `true` or `false`.
    Boolean,
    /// A day: `2026-01-31`.
    Date,
    /// An instant: `2026-01-31T12:00:00Z`, a date, `now`, or so long ago (`-2h`).
    Timestamp,
}

impl ParameterType {
    /// Its name in the manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Long => "long",
            Self::Double => "double",
            Self::Decimal => "decimal",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
        }
    }
}

/// Where the values of a parameter come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choices {
    /// Written out in the manifest.
    List(Vec<String>),
    /// The first column of a query over the pipeline's tables.
    Query(String),
}

pub(crate) fn parameters(specs: &[ParameterSpec], path: &str, problems: &mut Collector) -> Vec<Parameter> {
    let paths = (0..).map(|index| format!("{path}[{index}].name"));
    unique(
        specs.iter().map(|spec| spec.name.as_str()).zip(paths),
        "parameter",
        problems,
    );
    let path = |index| format!("{path}[{index}]");
    let specs = specs.iter().enumerate();
    specs
        .map(|(index, spec)| parameter(spec, &path(index), problems))
        .collect()
}

fn parameter(spec: &ParameterSpec, path: &str, problems: &mut Collector) -> Parameter {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let given = ["from", "to", "now"].contains(&spec.name.as_str());
    if given || !spec.name.starts_with(|c: char| c.is_ascii_lowercase()) || !spec.name.chars().all(legal) {
        problems.broken(format!("{path}.name"), PARAMETER_NAME);
    }
    if let Some(choices) = &spec.choices {
        CHOICES.check(choices, &format!("{path}.choices"), problems);
    }
    let choices = spec.choices.as_ref().and_then(|choices| {
        let list = choices.list.clone().map(Choices::List);
        let query = choices.query.as_ref();
        list.or_else(|| {
            let path = format!("{path}.choices.query");
            query.map(|query| Choices::Query(sql(query, &path, problems)))
        })
    });
    Parameter {
        name: spec.name.clone(),
        title: spec.title.clone().unwrap_or_else(|| spec.name.clone()),
        parameter_type: spec.parameter_type,
        default: spec.default.clone(),
        choices,
    }
}
