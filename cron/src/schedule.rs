//! When something begins, again and again.

use std::fmt;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::field::{DAY_OF_MONTH, DAY_OF_WEEK, Field, HOUR, MINUTE, MONTH, Values};

/// How far a start is looked for: a window is at most seven days long, and next starts further away are not news.
const DAYS: i32 = 8;

/// A cron expression: minute, hour, day of month, month, day of week. It displays as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Schedule {
    text: String,
    minutes: Values,
    hours: Values,
    days: Values,
    months: Values,
    weekdays: Values,
    /// Cron's oddity: with both days restricted, either is enough.
    either_day: bool,
}

/// A text that is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It does not have five fields.
    #[error("{text:?} has {fields} fields instead of five")]
    Fields {
        /// What was written.
        text: String,
        /// How many it has.
        fields: usize,
    },
    /// A field names nothing.
    #[error("{text:?} has {item:?} as its {field}, which goes from {min} to {max}")]
    Item {
        /// What was written.
        text: String,
        /// Which field, such as `day of week`.
        field: &'static str,
        /// The item of the field's list.
        item: String,
        /// The field's least value.
        min: u32,
        /// The field's greatest value.
        max: u32,
    },
}

impl ScheduleError {
    /// What to write instead, for an error message.
    pub const REMEDY: &'static str =
        "write minute, hour, day of month, month and day of week, such as */15 * * * *";
}

impl Schedule {
    /// Reads `30 7 * * mon-fri`.
    ///
    /// # Errors
    /// [`ScheduleError`] with the first field that means nothing.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else {
            return Err(ScheduleError::Fields {
                text: text.to_owned(),
                fields: parts.len(),
            });
        };
        let read = |field: Field, part: &str| {
            field.values(part).map_err(|item| ScheduleError::Item {
                text: text.to_owned(),
                field: field.name,
                item: item.to_owned(),
                min: field.min,
                max: field.max,
            })
        };
        Ok(Self {
            text: text.to_owned(),
            minutes: read(MINUTE, minute)?,
            hours: read(HOUR, hour)?,
            days: read(DAY_OF_MONTH, day)?,
            months: read(MONTH, month)?,
            weekdays: read(DAY_OF_WEEK, weekday)?,
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
        })
    }

    /// The latest start at or before `now`, within a week.
    #[must_use]
    pub fn latest_start(&self, now: Timestamp) -> Option<Timestamp> {
        let limit = civil(now);
        (0..DAYS)
            .filter_map(|back| limit.date().checked_sub(back.days()).ok())
            .filter(|&date| self.takes(date))
            .find_map(|date| self.times(date).filter(|start| *start <= limit).last())
            .and_then(instant)
    }

    /// The next start after `now`, within a week.
    #[must_use]
    pub fn next_start(&self, now: Timestamp) -> Option<Timestamp> {
        let limit = civil(now);
        (0..DAYS)
            .filter_map(|ahead| limit.date().checked_add(ahead.days()).ok())
            .filter(|&date| self.takes(date))
            .find_map(|date| self.times(date).find(|start| *start > limit))
            .and_then(instant)
    }

    fn takes(&self, date: Date) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        let fits = if self.either_day {
            day || weekday
        } else {
            day && weekday
        };
        self.months.has(date.month()) && fits
    }

    fn times(&self, date: Date) -> impl Iterator<Item = DateTime> + '_ {
        (0..24)
            .filter(|&hour| self.hours.has(hour))
            .flat_map(move |hour| {
                (0..60)
                    .filter(|&minute| self.minutes.has(minute))
                    .map(move |minute| date.at(hour, minute, 0, 0))
            })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn civil(now: Timestamp) -> DateTime {
    TimeZone::UTC.to_datetime(now)
}

fn instant(start: DateTime) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(start).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(schedule: &str, now: &str) -> (String, String) {
        let schedule = Schedule::parse(schedule).unwrap();
        let now = now.parse().unwrap();
        let text = |start: Option<Timestamp>| start.map_or("none".to_owned(), |start| start.to_string());
        (text(schedule.latest_start(now)), text(schedule.next_start(now)))
    }

    /// 2026-11-21 is a Saturday.
    #[test]
    fn starts_before_and_after() {
        for (schedule, now, latest, next) in [
            (
                "0 8 * * *",
                "2026-11-21T09:00:00Z",
                "2026-11-21T08:00:00Z",
                "2026-11-22T08:00:00Z",
            ),
            (
                "0 8 * * *",
                "2026-11-21T08:00:00Z",
                "2026-11-21T08:00:00Z",
                "2026-11-22T08:00:00Z",
            ),
            (
                "0 8 * * mon-fri",
                "2026-11-21T09:00:00Z",
                "2026-11-20T08:00:00Z",
                "2026-11-23T08:00:00Z",
            ),
            (
                "*/20 6-7 * * *",
                "2026-11-21T06:45:10Z",
                "2026-11-21T06:40:00Z",
                "2026-11-21T07:00:00Z",
            ),
            ("0 0 1 dec *", "2026-11-21T06:45:10Z", "none", "none"),
            (
                "0 0 1 1 *",
                "2026-12-31T23:59:59Z",
                "none",
                "2027-01-01T00:00:00Z",
            ),
            // Either day is enough if both are restricted.
            (
                "0 0 22 * fri",
                "2026-11-21T12:00:00Z",
                "2026-11-20T00:00:00Z",
                "2026-11-22T00:00:00Z",
            ),
        ] {
            let expected = (latest.to_owned(), next.to_owned());
            assert_eq!(starts(schedule, now), expected, "{schedule} at {now}");
        }
    }

    #[test]
    fn what_a_cron_job_takes_is_taken() {
        for schedule in [
            "* * * * *",
            "*/15 * * * *",
            "5 0-6,22,23 1,15 jan-MAR mon-fri",
            "0  4\t* * 0",
            "10-50/20 2/3 * * 6",
        ] {
            assert_eq!(Schedule::parse(schedule).unwrap().to_string(), schedule);
        }
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        for (schedule, message) in [
            ("", r#""" has 0 fields instead of five"#),
            ("@hourly", r#""@hourly" has 1 fields instead of five"#),
            ("0 * * * * *", r#""0 * * * * *" has 6 fields instead of five"#),
            (
                "60 * * * *",
                r#""60 * * * *" has "60" as its minute, which goes from 0 to 59"#,
            ),
            (
                "* 24 * * *",
                r#""* 24 * * *" has "24" as its hour, which goes from 0 to 23"#,
            ),
            (
                "* * 0 * *",
                r#""* * 0 * *" has "0" as its day of month, which goes from 1 to 31"#,
            ),
            (
                "* * * foo *",
                r#""* * * foo *" has "foo" as its month, which goes from 1 to 12"#,
            ),
            (
                "* * * * 7",
                r#""* * * * 7" has "7" as its day of week, which goes from 0 to 6"#,
            ),
            (
                "*/0 * * * *",
                r#""*/0 * * * *" has "*/0" as its minute, which goes from 0 to 59"#,
            ),
            (
                "30-10 * * * *",
                r#""30-10 * * * *" has "30-10" as its minute, which goes from 0 to 59"#,
            ),
            (
                "1,,2 * * * *",
                r#""1,,2 * * * *" has "" as its minute, which goes from 0 to 59"#,
            ),
            (
                "0 8 * * fri-mon",
                r#""0 8 * * fri-mon" has "fri-mon" as its day of week, which goes from 0 to 6"#,
            ),
            (
                "+5 * * * *",
                r#""+5 * * * *" has "+5" as its minute, which goes from 0 to 59"#,
            ),
        ] {
            assert_eq!(
                Schedule::parse(schedule).unwrap_err().to_string(),
                message,
                "{schedule}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_much(text in ".{0,40}") {
            let _ = Schedule::parse(&text);
        }

        /// The two directions agree: what is next is the latest once it is there.
        #[test]
        fn a_next_start_is_then_the_latest(
            minute in 0u32..60, hour in 0u32..24, weekday in 0u32..7, seconds in 0i64..4_000_000_000,
        ) {
            let schedule = Schedule::parse(&format!("{minute} {hour} * * {weekday}")).unwrap();
            let now = Timestamp::from_second(seconds).unwrap();
            let next = schedule.next_start(now).unwrap();
            proptest::prop_assert!(next > now);
            proptest::prop_assert_eq!(schedule.latest_start(next), Some(next));
        }
    }
}
