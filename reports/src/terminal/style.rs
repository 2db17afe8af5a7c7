//! Colours, and how wide a line may be. Both belong to the terminal; what is piped is plain.

use std::fmt::Display;
use std::io::IsTerminal;

/// Width of what is not written to a terminal.
const PLAIN_WIDTH: usize = 100;

/// How text may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Escape sequences are understood and wanted.
    pub colours: bool,
    /// Columns.
    pub width: usize,
}

impl Style {
    /// Neither colours nor a terminal.
    pub const PLAIN: Self = Self {
        colours: false,
        width: PLAIN_WIDTH,
    };

    /// What standard output is. `NO_COLOR` (<https://no-color.org>) is respected.
    #[must_use]
    pub fn of_stdout() -> Self {
        if !std::io::stdout().is_terminal() {
            return Self::PLAIN;
        }
        let width =
            crossterm::terminal::size().map_or(PLAIN_WIDTH, |(columns, _)| usize::from(columns).max(40));
        Self {
            colours: wants_colours(std::env::var_os("NO_COLOR").as_deref()),
            width,
        }
    }

    /// A heading.
    #[must_use]
    pub fn bold(self, text: impl Display) -> String {
        self.paint("1", text)
    }

    /// What is good.
    #[must_use]
    pub fn green(self, text: impl Display) -> String {
        self.paint("32", text)
    }

    /// What needs somebody.
    #[must_use]
    pub fn red(self, text: impl Display) -> String {
        self.paint("31", text)
    }

    /// Bars and lines.
    #[must_use]
    pub fn cyan(self, text: impl Display) -> String {
        self.paint("36", text)
    }

    /// What matters less.
    #[must_use]
    pub fn dim(self, text: impl Display) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: impl Display) -> String {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}

/// Set to anything but the empty text, `NO_COLOR` says no.
fn wants_colours(no_color: Option<&std::ffi::OsStr>) -> bool {
    no_color.is_none_or(std::ffi::OsStr::is_empty)
}

/// A number with its thousands apart: `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    group_digits(&number.to_string())
}

/// Digits with their thousands apart.
#[must_use]
pub fn group_digits(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 topic`, `2 topics`.
#[must_use]
pub fn count(number: u64, singular: &str, plural: &str) -> String {
    format!(
        "{} {}",
        grouped(number),
        if number == 1 { singular } else { plural }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn plain_text_has_no_escape_sequences() {
        assert_eq!(Style::PLAIN.bold("Top genres"), "Top genres");
        let colours = Style {
            colours: true,
            width: 80,
        };
        assert_eq!(colours.bold("Top genres"), "\x1b[1mTop genres\x1b[0m");
        assert!(
            !wants_colours(Some("1".as_ref())) && wants_colours(Some("".as_ref())) && wants_colours(None)
        );
    }
}
