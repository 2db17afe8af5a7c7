//! One field of a cron expression: a list of `*`, `5`, `1-5`, and each with a step: `*/15`, `1-30/2`.

/// What a field may hold.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) min: u32,
    pub(crate) max: u32,
    /// Names that stand for `min`, `min` + 1, ….
    names: &'static [&'static str],
}

pub(crate) const MINUTE: Field = Field::numbers("minute", 0, 59);
pub(crate) const HOUR: Field = Field::numbers("hour", 0, 23);
pub(crate) const DAY_OF_MONTH: Field = Field::numbers("day of month", 1, 31);
pub(crate) const MONTH: Field = Field {
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
    ..Field::numbers("month", 1, 12)
};
pub(crate) const DAY_OF_WEEK: Field = Field {
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    ..Field::numbers("day of week", 0, 6)
};

/// The values that a field names: bit `n` is set for the value `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Values(u64);

impl Values {
    pub(crate) fn has(self, value: i8) -> bool {
        self.0 >> value & 1 == 1
    }
}

impl Field {
    const fn numbers(name: &'static str, min: u32, max: u32) -> Self {
        Self {
            name,
            min,
            max,
            names: &[],
        }
    }

    /// The values that `text` names; otherwise the item of the list that names none.
    pub(crate) fn values<'a>(&self, text: &'a str) -> Result<Values, &'a str> {
        text.split(',').try_fold(Values(0), |Values(bits), item| {
            Ok(Values(bits | self.item(item).ok_or(item)?))
        })
    }

    fn item(&self, item: &str) -> Option<u64> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (
                range,
                Some(number(step).filter(|step| (1..=self.max).contains(step))?),
            ),
            None => (item, None),
        };
        let (from, to) = match (range.split_once('-'), step) {
            (Some((from, to)), _) => (self.value(from)?, self.value(to)?),
            (None, _) if range == "*" => (self.min, self.max),
            // `5/15` means from 5 on.
            (None, Some(_)) => (self.value(range)?, self.max),
            (None, None) => (self.value(range)?, self.value(range)?),
        };
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        (from <= to).then(|| (from..=to).step_by(step).fold(0, |bits, value| bits | 1 << value))
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(index) => self.min + u32::try_from(index).ok()?,
            None => number(text)?,
        };
        (self.min..=self.max).contains(&value).then_some(value)
    }
}

/// Digits only: Rust would take a sign as well.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_the_values_of_its_items() {
        let hours = |text| {
            let values = HOUR.values(text).unwrap();
            (0..24).filter(|hour| values.has(*hour)).collect::<Vec<i8>>()
        };
        assert_eq!(hours("*/6"), [0, 6, 12, 18]);
        assert_eq!(hours("20/2"), [20, 22]);
        assert_eq!(hours("7-9,1,22-23/2"), [1, 7, 8, 9, 22]);
        assert_eq!(
            MONTH.values("jan-MAR").unwrap(),
            MONTH.values("1,2,3").unwrap(),
            "names stand for numbers"
        );
    }

    #[test]
    fn the_item_that_names_nothing_is_given_back() {
        for (text, item) in [
            ("1,24", "24"),
            ("", ""),
            ("2,9-3", "9-3"),
            ("*/0", "*/0"),
            ("+5", "+5"),
        ] {
            assert_eq!(HOUR.values(text), Err(item), "{text}");
        }
    }
}
