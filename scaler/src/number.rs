//! Numbers as people read them.

/// `12,345`, `1.8 M`.
#[must_use]
pub fn count(value: f64) -> String {
    if value >= 9_999_999.5 {
        return format!("{:.1} M", value / 1e6);
    }
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0.4 s`, `45 s`, `2 min 5 s`, `1 h 3 min`.
#[must_use]
pub fn seconds(value: f64) -> String {
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big} {unit}"),
        small => format!("{big} {unit} {small} {small_unit}"),
    };
    let whole = value.max(0.0).round() as u64;
    match whole {
        0..10 if (value - value.round()).abs() > 0.05 => format!("{:.1} s", value.max(0.0)),
        0..120 => format!("{whole} s"),
        120..3_600 => two(whole / 60, "min", whole % 60, "s"),
        3_600..172_800 => two(whole / 3_600, "h", whole % 3_600 / 60, "min"),
        _ => two(whole / 86_400, "d", whole % 86_400 / 3_600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        for (value, text) in [
            (0.0, "0"),
            (999.6, "1,000"),
            (1_234_567.0, "1,234,567"),
            (12.34e6, "12.3 M"),
        ] {
            assert_eq!(count(value), text);
        }
        for (value, text) in [
            (0.0, "0 s"),
            (0.42, "0.4 s"),
            (60.0, "60 s"),
            (125.0, "2 min 5 s"),
            (3_780.0, "1 h 3 min"),
            (1e9, "11574 d 1 h"),
        ] {
            assert_eq!(seconds(value), text);
        }
    }
}
