//! When a schedule window is open: cron expressions of five fields, in UTC.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// How far a start is looked for: a window is at most seven days long, and next starts further away are not news.
const DAYS: i32 = 8;

/// A cron expression: minute, hour, day of month, month, day of week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Cron's oddity: with both days restricted, either is enough.
    either_day: bool,
}

/// A cron expression that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error(
        "the schedule {0:?} has {1} fields instead of five: minute, hour, day of month, month, day of week"
    )]
    Fields(String, usize),
    /// A field that means nothing.
    #[error(
        "the schedule's {field} {item:?} is not one of *, a number or a range from {min} to {max}, each with /step if wanted"
    )]
    Item {
        field: &'static str,
        item: String,
        min: u32,
        max: u32,
    },
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Parses `30 7 * * mon-fri`.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else {
            return Err(CronError::Fields(text.to_owned(), parts.len()));
        };
        Ok(Self {
            minutes: field("minute", minute, 0, 59, &[])?,
            hours: field("hour", hour, 0, 23, &[])?,
            days: field("day of month", day, 1, 31, &[])?,
            months: field("month", month, 1, 12, &MONTHS)?,
            weekdays: field("day of week", weekday, 0, 6, &WEEKDAYS)?,
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
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        let fits = if self.either_day {
            day || weekday
        } else {
            day && weekday
        };
        has(self.months, date.month()) && fits
    }

    fn times(&self, date: Date) -> impl Iterator<Item = DateTime> + '_ {
        (0..24)
            .filter(|&hour| has(self.hours, hour))
            .flat_map(move |hour| {
                (0..60)
                    .filter(|&minute| has(self.minutes, minute))
                    .map(move |minute| date.at(hour, minute, 0, 0))
            })
    }
}

fn civil(now: Timestamp) -> DateTime {
    TimeZone::UTC.to_datetime(now)
}

fn instant(start: DateTime) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(start).ok()
}

fn has(bits: u64, value: i8) -> bool {
    bits >> value & 1 == 1
}

fn field(name: &'static str, text: &str, min: u32, max: u32, names: &[&str]) -> Result<u64, CronError> {
    let mut bits = 0;
    for item in text.split(',') {
        bits |= parse_item(item, min, max, names).ok_or_else(|| CronError::Item {
            field: name,
            item: item.to_owned(),
            min,
            max,
        })?;
    }
    Ok(bits)
}

fn parse_item(item: &str, min: u32, max: u32, names: &[&str]) -> Option<u64> {
    let value = |text: &str| -> Option<u32> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(index) => min + u32::try_from(index).ok()?,
            None => number(text)?,
        };
        (min..=max).contains(&value).then_some(value)
    };
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, number(step).filter(|step| (1..=max).contains(step))?),
        None => (item, 1),
    };
    let (from, to) = match range.split_once('-') {
        Some((from, to)) => (value(from)?, value(to)?),
        None if range == "*" => (min, max),
        // `5/15` means from 5 on.
        None if item.contains('/') => (value(range)?, max),
        None => (value(range)?, value(range)?),
    };
    let step = usize::try_from(step).ok()?;
    (from <= to).then(|| (from..=to).step_by(step).fold(0, |bits, value| bits | 1 << value))
}

/// Digits only: Rust would take a sign as well.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
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
    fn a_wrong_schedule_says_what_would_do() {
        for (schedule, expected) in [
            (
                "0 8 * *",
                "the schedule \"0 8 * *\" has 4 fields instead of five: minute, hour, day of month, month, day of week",
            ),
            (
                "0 24 * * *",
                "the schedule's hour \"24\" is not one of *, a number or a range from 0 to 23, each with /step if wanted",
            ),
            (
                "0 8 * * fri-mon",
                "the schedule's day of week \"fri-mon\" is not one of *, a number or a range from 0 to 6, each with /step if wanted",
            ),
        ] {
            assert_eq!(Schedule::parse(schedule).unwrap_err().to_string(), expected);
        }
    }
}
