//! Instants as text, `2026-11-21T05:48:21.123456Z`, fast: the text of a second is kept, since events of the
//! same second follow each other.

/// Length of the text.
const LENGTH: usize = 27;
const MICROS_PER_SECOND: i64 = 1_000_000;
/// 0000-01-01 and 10000-01-01 in seconds since 1970: years outside have not four digits.
const SECONDS: std::ops::Range<i64> = -62_167_219_200..253_402_300_800;

/// Formats instants of the years 0 to 9999; others are brought to the nearest of these.
#[derive(Debug, Clone)]
pub(crate) struct TimestampFormat {
    /// The second whose text is kept.
    second: i64,
    text: [u8; LENGTH],
}

impl TimestampFormat {
    pub(crate) fn new() -> Self {
        let mut format = Self {
            second: 0,
            text: *b"1970-01-01T00:00:00.000000Z",
        };
        format.write_second(0);
        format
    }

    /// The text of `micros`, microseconds since 1970-01-01 UTC.
    pub(crate) fn format(&mut self, micros: i64) -> &[u8; LENGTH] {
        let second = micros
            .div_euclid(MICROS_PER_SECOND)
            .clamp(SECONDS.start, SECONDS.end - 1);
        if second != self.second {
            self.write_second(second);
        }
        let [.., u0, u1, u2, u3, u4, u5, _] = &mut self.text;
        digits(
            [u0, u1, u2, u3, u4, u5],
            micros.rem_euclid(MICROS_PER_SECOND) as u64,
        );
        &self.text
    }

    fn write_second(&mut self, second: i64) {
        self.second = second;
        let (year, month, day) = civil_date(second.div_euclid(86_400));
        let time = second.rem_euclid(86_400) as u64;
        let [
            y0,
            y1,
            y2,
            y3,
            _,
            o0,
            o1,
            _,
            d0,
            d1,
            _,
            h0,
            h1,
            _,
            m0,
            m1,
            _,
            s0,
            s1,
            ..,
        ] = &mut self.text;
        digits([y0, y1, y2, y3], year);
        digits([o0, o1], month);
        digits([d0, d1], day);
        digits([h0, h1], time / 3_600);
        digits([m0, m1], time / 60 % 60);
        digits([s0, s1], time % 60);
    }
}

/// Writes the last N decimal digits of `value`.
fn digits<const N: usize>(places: [&mut u8; N], mut value: u64) {
    for place in places.into_iter().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar. Years are counted
/// from March, so that the leap day is a year's last, in eras of 400 years, which all have 146,097 days.
fn civil_date(days: i64) -> (u64, u64, u64) {
    const FROM_YEAR_0_MARCH_1: i64 = 719_468;
    const DAYS_PER_ERA: i64 = 146_097;
    let days = days + FROM_YEAR_0_MARCH_1;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next_year) = if month_from_march < 10 {
        (month_from_march + 3, 0)
    } else {
        (month_from_march - 9, 1)
    };
    let year = year_of_era + era * 400 + next_year;
    (year as u64, month as u64, day as u64)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn text(micros: i64) -> String {
        String::from_utf8(TimestampFormat::new().format(micros).to_vec()).unwrap()
    }

    #[test]
    fn formats_edges() {
        for (micros, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (1_795_240_101_123_456, "2026-11-21T05:48:21.123456Z"),
            (1_709_164_800_000_000, "2024-02-29T00:00:00.000000Z"),
            (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
            (i64::MAX, "9999-12-31T23:59:59.775807Z"),
        ] {
            assert_eq!(text(micros), expected);
        }
    }

    proptest! {
        #[test]
        fn agrees_with_jiff(micros in -62_135_596_800_000_000_i64..253_402_207_200_000_000) {
            let expected = format!("{:.6}", Timestamp::from_microsecond(micros).unwrap());
            prop_assert_eq!(text(micros), expected);
        }

        /// The kept second does not leak into another one.
        #[test]
        fn order_does_not_matter(instants in prop::collection::vec(0_i64..5_000_000_000, 1..50)) {
            let mut format = TimestampFormat::new();
            for micros in instants {
                let kept = String::from_utf8(format.format(micros).to_vec()).unwrap();
                prop_assert_eq!(kept, text(micros));
            }
        }
    }
}
