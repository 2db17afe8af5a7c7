//! An answer as text: table, bars, line or number. Pure.

mod cells;
mod line;

use std::fmt::Write;

use api::Chart;

use crate::terminal::style::Style;
use crate::terminal::table::{Align, cut, fit, render, width};
use cells::{align, last_number_column, shown, text};
use sinks::answer::Answer;

/// Rows of a table that are shown; more go into a file (`--csv`).
const MOST_ROWS: usize = 50;

/// The answer under its heading, a line break last.
#[must_use]
pub fn draw(title: &str, chart: Chart, answer: &Answer, style: Style) -> String {
    let lines = if answer.rows.is_empty() {
        vec![style.dim("no rows in the asked time")]
    } else {
        match chart {
            Chart::Bar => bars(answer, style),
            Chart::Line => line::draw(answer, style),
            Chart::Number => Some(numbers(answer, style)),
            Chart::Table => None,
        }
        .unwrap_or_else(|| table(answer, style))
    };
    under(title, &lines, style)
}

/// Lines under a heading, a line break last.
#[must_use]
pub fn under(title: &str, lines: &[String], style: Style) -> String {
    let mut text = format!("{}\n", style.bold(title));
    for line in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {line}");
    }
    text
}

fn table(answer: &Answer, style: Style) -> Vec<String> {
    let headings = answer.names();
    let aligns: Vec<Align> = (0..headings.len()).map(|column| align(answer, column)).collect();
    let rows: Vec<Vec<String>> = answer
        .rows
        .iter()
        .take(MOST_ROWS)
        .map(|row| row.iter().map(|value| text(answer, value)).collect())
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
            let label = row.iter().take(last).map(|value| {
                let text = value.text(answer.dialect);
                text.unwrap_or_else(|| cells::NULL.to_owned())
            });
            label.collect::<Vec<_>>().join(" · ")
        })
        .collect();
    let values: Vec<Option<f64>> = answer.rows.iter().map(|row| row.get(last)?.number()).collect();
    let texts: Vec<String> = answer
        .rows
        .iter()
        .map(|row| shown(answer, row.get(last)))
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
    let cells = answer
        .rows
        .iter()
        .flat_map(|row| answer.names().into_iter().zip(row));
    cells
        .map(|(column, value)| {
            let column = cut(column, style.width / 2);
            format!("{} {}", style.bold(shown(answer, Some(value))), style.dim(column))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sinks::answer::{Column, Dialect, Kind, Value};

    /// Cells that read as numbers are numbers.
    fn answer(columns: &[&str], rows: &[&[&str]]) -> Answer {
        let cell = |cell: &&str| match cell.parse::<i64>() {
            Ok(number) => Value::Integer(number),
            Err(_) if *cell == "NULL" => Value::Null,
            Err(_) => Value::Text((*cell).to_owned()),
        };
        let rows: Vec<Vec<Value>> = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let column = |(index, name): (usize, &&str)| Column {
            name: (*name).to_owned(),
            kind: Kind::of_values(rows.iter().filter_map(|row| row.get(index))),
        };
        Answer {
            columns: columns.iter().enumerate().map(column).collect(),
            rows,
            dialect: Dialect::Sqlite,
        }
    }

    fn drawn(chart: Chart, answer: &Answer, width: usize) -> String {
        let style = Style {
            colours: false,
            width,
        };
        draw("Title", chart, answer, style)
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
        let rows: Vec<String> = (0..60).map(|row: i32| row.to_string()).collect();
        let rows: Vec<[&str; 1]> = rows.iter().map(|row| [row.as_str()]).collect();
        let rows: Vec<&[&str]> = rows.iter().map(<[&str; 1]>::as_slice).collect();
        let text = drawn(Chart::Table, &answer(&["n"], &rows), 80);
        assert!(
            text.ends_with("  … 10 more rows: print all of them with --csv\n"),
            "{text}"
        );
    }
}
