//! Errors as a person reads them.

use std::error::Error;
use std::fmt::Write;

/// The error, and below it what it comes from, a line each. What a message already says is not said twice:
///
/// ```text
/// cannot create the Kafka consumer
///   because: no value for the setting `group.id`
/// ```
#[must_use]
pub fn lines(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.contains(&message) {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n  because: {message}");
        }
        source = cause.source();
    }
    text
}

/// The same on one line, for logs and for what is a line among others: `what failed: why: why that`.
#[must_use]
pub fn line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        #[source]
        source: Option<Box<Link>>,
    }

    #[test]
    fn causes_follow_and_repetitions_do_not() {
        let root = Link {
            text: "connection refused",
            source: None,
        };
        let middle = Link {
            text: "broker 1: connection refused",
            source: Some(Box::new(root)),
        };
        let top = Link {
            text: "no consumer",
            source: Some(Box::new(middle)),
        };
        assert_eq!(
            lines(&top),
            "no consumer\n  because: broker 1: connection refused"
        );
        assert_eq!(line(&top), "no consumer: broker 1: connection refused");
    }

    #[test]
    fn a_line_has_no_breaks() {
        let cause = Link {
            text: "refused\n  by the server",
            source: None,
        };
        let error = Link {
            text: "no table",
            source: Some(Box::new(cause)),
        };
        assert_eq!(line(&error), "no table: refused by the server");
    }
}
