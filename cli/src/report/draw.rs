//! An answer as text: table, bars, line or number. Pure.

use std::fmt::Write;

use api::{Chart, Report};
use sinks::Answer;

use super::line;
use crate::style::{Style, group_digits};
use crate::table::{Align, cut, fit, render, width};

/// What stands for NULL.
const NULL: &str = "–";

/// Rows of a table that are shown; more go into a file (`--csv`).
const MOST_ROWS: usize = 50;

/// The report, its heading first and a line break last.
pub(super) fn draw(report: &Report, answer: &Answer, style: Style) -> String {
    let mut text = format!("{}\n", style.bold(&report.title));
    let lines = if answer.rows.is_empty() {
        vec![style.dim("no rows in the asked time")]
    } else {
        match report.chart {
            Chart::Bar => bars(answer, style),
            Chart::Line => line::draw(answer, style),
            Chart::Number => Some(numbers(answer, style)),
            Chart::Table => None,
        }
        .unwrap_or_else(|| table(answer, style))
    };
    for line in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {line}");
    }
    text
}

fn table(answer: &Answer, style: Style) -> Vec<String> {
    let headings: Vec<&str> = answer.columns.iter().map(String::as_str).collect();
    let aligns: Vec<Align> = (0..headings.len()).map(|column| align(answer, column)).collect();
    let rows: Vec<Vec<String>> = answer
        .rows
        .iter()
        .take(MOST_ROWS)
        .map(|row| {
            row.iter()
                .map(|cell| cell.as_deref().map_or(NULL, whole_seconds).to_owned())
                .collect()
        })
        .collect();
    let mut lines = render(&headings, &aligns, &rows, style.width.saturating_sub(2));
    if let Some(first) = lines.first_mut() {
        *first = style.dim(&first);
    }
    if answer.rows.len() > MOST_ROWS {
        lines.push(style.dim(format!(
            "… {} more rows: print all of them with --csv",
            answer.rows.len() - MOST_ROWS
        )));
    }
    lines
}

/// A bar a row; `None` if there is no column of numbers.
fn bars(answer: &Answer, style: Style) -> Option<Vec<String>> {
    let last = last_number_column(answer)?;
    let labels: Vec<String> = answer
        .rows
        .iter()
        .map(|row| {
            let label: Vec<&str> = row
                .iter()
                .take(last)
                .map(|cell| cell.as_deref().unwrap_or(NULL))
                .collect();
            label.join(" · ")
        })
        .collect();
    let values: Vec<Option<f64>> = answer
        .rows
        .iter()
        .map(|row| number(row.get(last)?.as_deref()))
        .collect();
    let texts: Vec<String> = answer
        .rows
        .iter()
        .map(|row| shown(row.get(last).and_then(Option::as_deref)))
        .collect();
    let available = style.width.saturating_sub(2);
    let label_columns = labels
        .iter()
        .map(|label| width(label))
        .max()
        .unwrap_or(0)
        .min(available * 2 / 5);
    let value_columns = texts.iter().map(|text| width(text)).max().unwrap_or(0);
    let bar_columns = available
        .saturating_sub(label_columns + value_columns + 2)
        .clamp(1, 50);
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let lines = labels
        .iter()
        .zip(&values)
        .zip(&texts)
        .map(|((label, value), text)| {
            let bar = bar(value.unwrap_or(0.0), most, bar_columns);
            let gap = if bar.is_empty() { "" } else { " " };
            format!(
                "{} {}{gap}{text}",
                fit(label, label_columns, Align::Left),
                style.cyan(bar)
            )
        });
    Some(lines.collect())
}

/// As long as the value's part of the largest one, in eighths of a column.
fn bar(value: f64, most: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if !(value > 0.0 && most > 0.0) {
        return String::new();
    }
    // What is there is seen, however little it is.
    let eighths = ((value / most * columns as f64 * 8.0).round() as usize).clamp(1, columns * 8);
    "█".repeat(eighths / 8) + EIGHTHS.get(eighths % 8).copied().unwrap_or("")
}

fn numbers(answer: &Answer, style: Style) -> Vec<String> {
    let cells = answer.rows.iter().flat_map(|row| answer.columns.iter().zip(row));
    cells
        .map(|(column, cell)| {
            let column = cut(column, style.width / 2);
            format!("{} {}", style.bold(shown(cell.as_deref())), style.dim(column))
        })
        .collect()
}

/// Databases print instants down to microseconds, also where they stand for an hour.
pub(super) fn whole_seconds(text: &str) -> &str {
    text.strip_suffix(".000000").unwrap_or(text)
}

/// A number with its thousands apart, anything else as it is.
fn shown(cell: Option<&str>) -> String {
    let Some(text) = cell else { return NULL.to_owned() };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return text.to_owned();
    }
    // SQLite prints sums of reals as 12.0.
    let fraction = fraction.trim_end_matches('0');
    let fraction: String = fraction.chars().take(3).collect();
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", group_digits(whole))
}

pub(super) fn number(cell: Option<&str>) -> Option<f64> {
    cell?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The last column that holds nothing but numbers.
pub(super) fn last_number_column(answer: &Answer) -> Option<usize> {
    (0..answer.columns.len())
        .rev()
        .find(|column| align(answer, *column) == Align::Right)
}

fn align(answer: &Answer, column: usize) -> Align {
    let mut cells = answer
        .rows
        .iter()
        .filter_map(|row| row.get(column)?.as_deref())
        .peekable();
    let numeric = cells.peek().is_some() && cells.all(|cell| number(Some(cell)).is_some());
    if numeric { Align::Right } else { Align::Left }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(columns: &[&str], rows: &[&[&str]]) -> Answer {
        let cell = |cell: &&str| (*cell != "NULL").then(|| (*cell).to_owned());
        Answer {
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: rows.iter().map(|row| row.iter().map(cell).collect()).collect(),
        }
    }

    fn drawn(chart: Chart, answer: &Answer, width: usize) -> String {
        let report = Report {
            name: "r".to_owned(),
            title: "Title".to_owned(),
            chart,
            sql: String::new(),
        };
        draw(
            &report,
            answer,
            Style {
                colours: false,
                width,
            },
        )
    }

    fn genres() -> Answer {
        answer(
            &["genre", "plays"],
            &[
                &["pop", "12000"],
                &["k-pop", "6000"],
                &["show-tunes", "1"],
                &["NULL", "0"],
            ],
        )
    }

    #[test]
    fn bars_are_as_long_as_their_share_of_the_largest() {
        assert_eq!(
            drawn(Chart::Bar, &genres(), 40),
            "Title\n\
             \x20 pop        ████████████████████ 12,000\n\
             \x20 k-pop      ██████████ 6,000\n\
             \x20 show-tunes ▏ 1\n\
             \x20 –          0\n"
        );
    }

    #[test]
    fn a_table_stands_numbers_right_and_stays_within_the_terminal() {
        let wide = answer(
            &["track", "plays"],
            &[&["A very long name of a track indeed", "12"], &["B", "NULL"]],
        );
        assert_eq!(
            drawn(Chart::Table, &wide, 30),
            "Title\n\
             \x20 track                  plays\n\
             \x20 A very long name of …     12\n\
             \x20 B                          –\n"
        );
        for line in drawn(Chart::Table, &wide, 30)
            .lines()
            .chain(drawn(Chart::Bar, &wide, 30).lines())
        {
            assert!(width(line) <= 30, "{line}");
        }
    }

    #[test]
    fn a_number_stands_alone_and_an_empty_answer_says_so() {
        assert_eq!(
            drawn(Chart::Number, &answer(&["plays"], &[&["1234567"]]), 80),
            "Title\n  1,234,567 plays\n"
        );
        assert_eq!(
            drawn(Chart::Bar, &answer(&["genre", "plays"], &[]), 80),
            "Title\n  no rows in the asked time\n"
        );
    }

    /// What cannot be drawn is still told.
    #[test]
    fn bars_and_lines_without_numbers_are_a_table() {
        let words = answer(&["a", "b"], &[&["x", "y"]]);
        assert_eq!(drawn(Chart::Bar, &words, 80), "Title\n  a  b\n  x  y\n");
        assert_eq!(drawn(Chart::Line, &words, 80), "Title\n  a  b\n  x  y\n");
    }

    #[test]
    fn long_tables_say_how_much_is_left_out() {
        let rows: Vec<Vec<Option<String>>> = (0..60).map(|row| vec![Some(row.to_string())]).collect();
        let text = drawn(
            Chart::Table,
            &Answer {
                columns: vec!["n".to_owned()],
                rows,
            },
            80,
        );
        assert!(
            text.ends_with("  … 10 more rows: print all of them with --csv\n"),
            "{text}"
        );
    }

    #[test]
    fn numbers_are_grouped_and_everything_else_is_left_alone() {
        for (cell, text) in [
            (Some("1234567"), "1,234,567"),
            (Some("-1234.5000"), "-1,234.5"),
            (Some("12.0"), "12"),
            (Some("0.123456"), "0.123"),
            (Some("1e9"), "1e9"),
            (Some("pop"), "pop"),
            (Some(""), ""),
            (None, "–"),
        ] {
            assert_eq!(shown(cell), text);
        }
    }
}
