//! The asked time. Pure: the clock is an argument.

use std::fmt;

use api::{EventTime, Pipeline, parse_duration};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Unit};

/// From an instant up to another one, which is not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// `:from`.
    pub from: Timestamp,
    /// `:to`.
    pub to: Timestamp,
}

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// It cannot be read.
    #[error("{text:?} is no time; write 2026-01-31T12:00:00Z, 2026-01-31, -2h (two hours ago) or now")]
    Unreadable {
        /// As it was written.
        text: String,
    },
    /// There is nothing in between.
    #[error("the asked time ends at {to}, before it begins at {from}; swap --from and --to")]
    Empty {
        /// Its beginning.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
    },
}

impl Span {
    /// What is usually asked for: the window that the generator fills, else the last 24 hours. Hourly sums belong to
    /// the hour's beginning, so it begins with a full hour.
    #[must_use]
    pub fn usual(pipeline: &Pipeline, now: Timestamp) -> Self {
        match pipeline.generator.as_ref().map(|generator| &generator.event_time) {
            Some(EventTime::Window { from, to }) => Self {
                from: full_hour(*from),
                to: *to,
            },
            _ => Self {
                from: full_hour(now - SignedDuration::from_hours(24)),
                to: now,
            },
        }
    }

    /// The span as it was typed; what was not is `usual`'s.
    pub fn new(from: Option<&str>, to: Option<&str>, now: Timestamp, usual: Self) -> Result<Self, SpanError> {
        let read = |text: Option<&str>, usual| text.map_or(Ok(usual), |text| instant(text, now));
        let span = Self {
            from: read(from, usual.from)?,
            to: read(to, usual.to)?,
        };
        if span.from < span.to {
            Ok(span)
        } else {
            Err(SpanError::Empty {
                from: span.from,
                to: span.to,
            })
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MINUTE: &str = "%Y-%m-%d %H:%M";
        write!(
            f,
            "from {} to {} UTC",
            self.from.strftime(MINUTE),
            self.to.strftime(MINUTE)
        )
    }
}

fn full_hour(instant: Timestamp) -> Timestamp {
    let second = instant.as_second();
    Timestamp::from_second(second - second.rem_euclid(3600)).unwrap_or(instant)
}

/// Without a zone it is UTC.
pub(crate) fn instant(text: &str, now: Timestamp) -> Result<Timestamp, SpanError> {
    let unreadable = || SpanError::Unreadable {
        text: text.to_owned(),
    };
    if text == "now" {
        return Ok(now);
    }
    if let Some(ago) = text.strip_prefix('-') {
        let ago = parse_duration(ago).map_err(|_| unreadable())?;
        let ago = SignedDuration::try_from(ago).map_err(|_| unreadable())?;
        return now.checked_sub(ago).map_err(|_| unreadable());
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let civil = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0)));
    let zoned = civil
        .and_then(|civil| civil.to_zoned(TimeZone::UTC))
        .map_err(|_| unreadable())?;
    zoned
        .timestamp()
        .round(Unit::Microsecond)
        .map_err(|_| unreadable())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = at("2026-11-21T12:34:56Z");
        for (text, instant_) in [
            ("now", "2026-11-21T12:34:56Z"),
            ("-2h", "2026-11-21T10:34:56Z"),
            ("-1h30m", "2026-11-21T11:04:56Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("2026-01-31T06:00", "2026-01-31T06:00:00Z"),
            ("2026-01-31 06:00:01", "2026-01-31T06:00:01Z"),
            ("2026-01-31T06:00:00+09:00", "2026-01-30T21:00:00Z"),
        ] {
            assert_eq!(instant(text, now), Ok(at(instant_)), "{text}");
        }
        for text in ["", "yesterday", "-2", "2h", "-", "2026-13-01"] {
            assert!(
                matches!(instant(text, now), Err(SpanError::Unreadable { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_said_is_usual_and_the_end_comes_last() {
        let now = at("2026-11-21T12:34:56Z");
        let usual = Span {
            from: at("2026-11-20T12:00:00Z"),
            to: now,
        };
        assert_eq!(Span::new(None, None, now, usual), Ok(usual));
        assert_eq!(
            Span::new(Some("-1h"), None, now, usual).unwrap().from,
            at("2026-11-21T11:34:56Z")
        );
        let error = Span::new(None, Some("2026-01-01"), now, usual).unwrap_err();
        assert!(error.to_string().contains("swap --from and --to"), "{error}");
        assert_eq!(
            full_hour(at("2026-11-20T12:59:59.5Z")),
            at("2026-11-20T12:00:00Z")
        );
    }
}
