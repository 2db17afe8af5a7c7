//! Cron expressions as Kubernetes' `CronJob` takes them: minute, hour, day of month, month, day of week.

/// What would do instead of a schedule that is none.
pub(crate) const REMEDY: &str =
    "write minute, hour, day of month, month and day of week, such as */15 * * * *";

/// A field of a cron expression.
struct CronField {
    name: &'static str,
    min: u32,
    max: u32,
    /// Names that stand for `min`, `min` + 1, ….
    names: &'static [&'static str],
}

const FIELDS: [CronField; 5] = [
    CronField {
        name: "minute",
        min: 0,
        max: 59,
        names: &[],
    },
    CronField {
        name: "hour",
        min: 0,
        max: 23,
        names: &[],
    },
    CronField {
        name: "day of month",
        min: 1,
        max: 31,
        names: &[],
    },
    CronField {
        name: "month",
        min: 1,
        max: 12,
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    CronField {
        name: "day of week",
        min: 0,
        max: 6,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// Says what is wrong with a cron expression, readable after "the schedule".
pub(crate) fn check(schedule: &str) -> Result<(), String> {
    let parts: Vec<&str> = schedule.split_ascii_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Err(format!("{schedule:?} has {} fields instead of five", parts.len()));
    }
    for (field, part) in FIELDS.iter().zip(parts) {
        for item in part.split(',') {
            if !field.takes(item) {
                let CronField { name, min, max, .. } = field;
                return Err(format!(
                    "{schedule:?} has {item:?} as its {name}, which goes from {min} to {max}"
                ));
            }
        }
    }
    Ok(())
}

impl CronField {
    /// `*`, `5`, `1-5`, and each with a step: `*/15`, `1-30/2`.
    fn takes(&self, item: &str) -> bool {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        let step_fits = step.is_none_or(|step| number(step).is_some_and(|step| step > 0 && step <= self.max));
        let range_fits = match range.split_once('-') {
            Some((from, to)) => self
                .value(from)
                .zip(self.value(to))
                .is_some_and(|(from, to)| from <= to),
            None => range == "*" || self.value(range).is_some(),
        };
        step_fits && range_fits
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(index) => self.min + index as u32,
            None => number(text)?,
        };
        (self.min..=self.max).contains(&value).then_some(value)
    }
}

/// Digits only: Rust would take a sign as well.
fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cron_job_takes_is_taken() {
        for schedule in [
            "* * * * *",
            "*/15 * * * *",
            "5 0-6,22,23 1,15 jan-MAR mon-fri",
            "0  4\t* * 0",
            "10-50/20 2/3 * * 6",
        ] {
            assert_eq!(check(schedule), Ok(()), "{schedule}");
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
                "+5 * * * *",
                r#""+5 * * * *" has "+5" as its minute, which goes from 0 to 59"#,
            ),
        ] {
            assert_eq!(check(schedule), Err(message.to_owned()), "{schedule}");
        }
    }
}
