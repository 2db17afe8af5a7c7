//! Instants as microseconds since 1970 in UTC.

use api::TimestampFormat;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Parses the text of an instant: date and time with `T` or a blank between them, up to nine digits of a
/// second's fraction (beyond microseconds cut off), and a zone or none, which means UTC.
pub(super) fn parse(text: &str) -> Option<i64> {
    common_form(text.as_bytes()).or_else(|| any_form(text))
}

/// The microseconds of a number in the given unit; `None` where it is out of range.
pub(super) fn from_number(format: TimestampFormat, number: i64) -> Option<i64> {
    match format {
        TimestampFormat::Milliseconds => number.checked_mul(1_000),
        TimestampFormat::Seconds => number.checked_mul(1_000_000),
        TimestampFormat::Text => None,
    }
}

/// `2026-11-21T05:48:21[.123456][Z]`, which is nearly every timestamp there is, without the general parser.
pub(super) fn common_form(text: &[u8]) -> Option<i64> {
    let (date_time, rest) = text.split_first_chunk()?;
    #[rustfmt::skip]
    let &[
        y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b' ',
        h1, h2, b':', n1, n2, b':', s1, s2,
    ] = date_time
    else {
        return None;
    };
    let two = |tens: u8, ones: u8| -> Option<i64> {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        (tens < 10 && ones < 10).then_some(i64::from(tens * 10 + ones))
    };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    let (hour, minute, second) = (two(h1, h2)?, two(n1, n2)?, two(s1, s2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day < 1 || day > month_length || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = match rest.strip_suffix(b"Z").unwrap_or(rest) {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            let mut micros = 0;
            for at in 0..6 {
                let digit = digits.get(at).map_or(0, |digit| digit.wrapping_sub(b'0'));
                micros = micros * 10 + i64::from(digit);
            }
            digits.iter().all(u8::is_ascii_digit).then_some(micros)?
        }
        _ => return None,
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(seconds * 1_000_000 + fraction)
}

/// Days of the proleptic Gregorian calendar, counted in eras of 400 years that begin on 1 March, so that the
/// leap day is the last day of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn any_form(text: &str) -> Option<i64> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant.as_microsecond());
    }
    let civil: DateTime = text.parse().ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn instants_are_read_in_every_usual_form() {
        let instant = 1_795_239_301_000_000;
        for (text, micros) in [
            ("2026-11-21T05:35:01Z", instant),
            ("2026-11-21T05:35:01", instant),
            ("2026-11-21 05:35:01", instant),
            ("2026-11-21 05:35:01.5", instant + 500_000),
            ("2026-11-21T05:35:01.123456789Z", instant + 123_456),
            ("2026-11-21T14:35:01+09:00", instant),
            ("2026-11-20T21:35:01.25-08:00", instant + 250_000),
            ("2026-11-21T05:35Z", instant - 1_000_000),
            ("2026-11-21", instant - 20_101_000_000),
        ] {
            assert_eq!(parse(text), Some(micros), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-02-29T00:00:00Z",
            "2026-13-01 00:00:00",
            "2026-11-21T05:35:01.Z",
            "2026-11-21T24:00:01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_short_cut_agrees_with_the_general_parser(seconds in -62_000_000_000_i64..250_000_000_000, micros in 0_i64..1_000_000) {
            let instant = Timestamp::from_microsecond(seconds * 1_000_000 + micros).unwrap();
            let text = instant.to_string();
            prop_assert_eq!(common_form(text.as_bytes()), Some(instant.as_microsecond()), "{}", text);
        }
    }
}
