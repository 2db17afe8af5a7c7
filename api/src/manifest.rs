//! From YAML to the custom resource, as strict as an API server, and with the place of what is wrong.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde_json::Value;
use serde_yaml::{Error, Spanned};

use crate::quoted;
use crate::resource::{StreamPipeline, StreamPipelineSpec};
use crate::status::StreamPipelineStatus;

/// Why a text is not a `StreamPipeline`. It displays as one line: place, problem, remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}; {remedy}")]
pub struct ManifestError {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub problem: String,
    /// What would do.
    pub remedy: String,
}

/// A place in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the text, both counted from 1.
    Position {
        /// The line.
        line: u64,
        /// The character in it.
        column: u64,
    },
    /// In the structure: `spec.topics[0].partitions`.
    Path(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position { line, column } => write!(f, "line {line}, column {column}"),
            Self::Path(path) => f.write_str(path),
        }
    }
}

/// What kind of object a text is, whatever else is in it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    api_version: Option<Spanned<String>>,
    kind: Option<Spanned<String>>,
}

/// The object that `kube` derives takes unknown members at its top, so here is one that does not.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Manifest {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    metadata: ObjectMeta,
    spec: StreamPipelineSpec,
    status: Option<StreamPipelineStatus>,
}

/// Reads a manifest: YAML with one document, or JSON.
///
/// It is read the way that `kubectl apply` does, so a number in quotes is text, and a bare `Off` is not.
///
/// # Errors
/// [`ManifestError`] with the first thing that is wrong.
pub fn parse(yaml: &str) -> Result<StreamPipeline, ManifestError> {
    let options = || serde_yaml::options! { with_snippet: false, no_schema: true };
    let header: Option<Header> =
        serde_yaml::from_str_with_options(yaml, options()).map_err(|error| explain(&error))?;
    let header = header.unwrap_or(Header {
        api_version: None,
        kind: None,
    });
    expect(header.kind, "kind", &StreamPipeline::kind(&()))?;
    expect(
        header.api_version,
        "apiVersion",
        &StreamPipeline::api_version(&()),
    )?;

    let manifest: Manifest =
        serde_yaml::from_str_with_options(yaml, options()).map_err(|error| explain(&error))?;

    // A typed reader takes a number in quotes, which `kubectl` sends as text and an API server refuses.
    let untyped: Value =
        serde_yaml::from_str_with_options(yaml, serde_yaml::options! { with_snippet: false })
            .map_err(|error| explain(&error))?;
    if let Some(wrong) = untyped.get("spec").and_then(quoted::check) {
        return Err(ManifestError {
            place: Place::Path(wrong.path),
            problem: wrong.problem,
            remedy: wrong.remedy.to_owned(),
        });
    }
    let Manifest {
        metadata,
        spec,
        status,
        ..
    } = manifest;
    Ok(StreamPipeline {
        metadata,
        spec,
        status,
    })
}

fn expect(found: Option<Spanned<String>>, field: &str, wanted: &str) -> Result<(), ManifestError> {
    let (place, problem) = match found {
        Some(found) if found.value == wanted => return Ok(()),
        Some(found) => (position(found.referenced), format!("{field} is {}", found.value)),
        None => (
            Place::Position { line: 1, column: 1 },
            format!("there is no {field}"),
        ),
    };
    Err(ManifestError {
        place,
        problem,
        remedy: format!("write {field}: {wanted}"),
    })
}

fn position(location: serde_yaml::Location) -> Place {
    Place::Position {
        line: location.line().max(1),
        column: location.column().max(1),
    }
}

fn explain(error: &Error) -> ManifestError {
    let error = error.without_snippet();
    let place = error
        .location()
        .map_or(Place::Position { line: 1, column: 1 }, position);
    let (problem, remedy) = match error {
        Error::SerdeUnknownField { field, expected, .. } => (
            format!("there is no field {field} here"),
            suggest(field, expected),
        ),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => (format!("{variant} is not known here"), suggest(variant, expected)),
        Error::SerdeMissingField { field, .. } => {
            (format!("the field {field} is missing"), "add it".to_owned())
        }
        Error::DuplicateMappingKey { key, .. } => (
            format!("{} is there twice", key.as_deref().unwrap_or("a key")),
            "remove one".to_owned(),
        ),
        Error::MultipleDocuments { .. } => (
            "a second document begins".to_owned(),
            "keep one StreamPipeline in a file".to_owned(),
        ),
        Error::Eof { .. } => (
            "there is nothing more".to_owned(),
            "write a StreamPipeline".to_owned(),
        ),
        Error::QuotingRequired { value, .. } => (
            format!("{value} is not text"),
            format!("put it in quotes: \"{value}\""),
        ),
        Error::NullIntoString { .. } => ("there is no value".to_owned(), "write a text".to_owned()),
        Error::InvalidScalar { ty, .. } => match *ty {
            "boolean" => (
                "this is neither true nor false".to_owned(),
                "write true or false".to_owned(),
            ),
            "floating point" => (
                "this is not a number".to_owned(),
                "write a number such as 0.5".to_owned(),
            ),
            _ => (
                "this is not a whole number".to_owned(),
                "write one such as 12".to_owned(),
            ),
        },
        Error::NonFiniteFloat { value, .. } => (
            format!("{value} is not a number that JSON has"),
            "write a number with digits".to_owned(),
        ),
        Error::Unexpected {
            expected: "mapping start",
            ..
        } => (
            "an object belongs here".to_owned(),
            "write members as `name: value`".to_owned(),
        ),
        Error::Unexpected {
            expected: "sequence start",
            ..
        } => (
            "a list belongs here".to_owned(),
            "write entries as `- entry` or `[entry, entry]`".to_owned(),
        ),
        Error::Unexpected {
            expected: "string scalar",
            ..
        } => (
            "text belongs here".to_owned(),
            "write one value, in quotes if it has special characters".to_owned(),
        ),
        other => (without_location(other), "correct the YAML".to_owned()),
    };
    ManifestError {
        place,
        problem,
        remedy,
    }
}

/// The library's own words, without the place that it puts behind them.
fn without_location(error: &Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ")
        .map_or(text.clone(), |(problem, _)| problem.to_owned())
}

/// The name that was probably meant, or all that would do.
fn suggest(written: &str, known: &[&str]) -> String {
    let close = known
        .iter()
        .map(|name| {
            (
                strsim::normalized_damerau_levenshtein(&written.to_lowercase(), &name.to_lowercase()),
                name,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match (close, known) {
        (Some((_, name)), _) => format!("did you mean {name}?"),
        (None, []) => "it has no members".to_owned(),
        (None, [only]) => format!("use {only}"),
        (None, _) => format!("use one of {}", known.join(", ")),
    }
}
