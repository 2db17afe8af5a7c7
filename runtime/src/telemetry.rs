//! Log lines on standard error.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal or outside a cluster, JSON in a pod.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("wrong log filter {filter:?}: use a level such as info, or targets such as info,worker=debug")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Another subscriber is there already.
    #[error("logging is set up already")]
    Twice(#[source] TryInitError),
}

/// Sends log lines that pass `filter` (`info`, or `info,worker=debug`) to standard error. Once a process.
pub fn init(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let levels = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| TelemetryError::Filter {
            filter: filter.to_owned(),
            source,
        })?;
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let terminal = std::io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(levels);
    if format.is_json(terminal, in_pod) {
        registry.with(layer.json().flatten_event(true)).try_init()
    } else {
        registry.with(layer.with_ansi(terminal)).try_init()
    }
    .map_err(TelemetryError::Twice)
}

impl LogFormat {
    /// Whether lines are JSON, given whether standard error is a terminal and whether this is a pod.
    fn is_json(self, terminal: bool, in_pod: bool) -> bool {
        match self {
            Self::Auto => in_pod && !terminal,
            Self::Json => true,
            Self::Text => false,
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Text => "text",
        })
    }
}

/// Parses a format as it is written on the command line.
impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Auto, Self::Json, Self::Text]
            .into_iter()
            .find(|format| format.to_string() == text)
            .ok_or_else(|| format!("{text:?} is not a log format: use auto, json or text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pod_without_a_terminal_gets_json_by_itself() {
        assert!(LogFormat::Auto.is_json(false, true));
        for (terminal, in_pod) in [(true, true), (true, false), (false, false)] {
            assert!(!LogFormat::Auto.is_json(terminal, in_pod), "{terminal} {in_pod}");
        }
        assert!(LogFormat::Json.is_json(true, false));
        assert!(!LogFormat::Text.is_json(false, true));
    }

    #[test]
    fn a_format_reads_back_and_a_wrong_one_is_told_the_choice() {
        for format in [LogFormat::Auto, LogFormat::Json, LogFormat::Text] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!(
            "xml"
                .parse::<LogFormat>()
                .unwrap_err()
                .contains("use auto, json or text")
        );
    }

    #[test]
    fn a_wrong_filter_is_refused() {
        let error = init(LogFormat::Text, "info,worker=loud").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("wrong log filter \"info,worker=loud\""),
            "{error}"
        );
    }
}
