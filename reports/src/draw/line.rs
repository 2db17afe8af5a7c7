//! A line over the first column, in Braille dots.

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget};

use super::cells::{last_number_column, text};
use crate::terminal::style::{Style, grouped};
use crate::terminal::table::width as columns;
use sinks::answer::{Answer, Value};

const HEIGHT: u16 = 10;
const WIDEST: usize = 100;

/// Fewer points make no line.
const FEWEST: usize = 2;

/// `None` if there is no line to draw: no numbers, or too few.
pub(super) fn draw(answer: &Answer, style: Style) -> Option<Vec<String>> {
    let column = last_number_column(answer).filter(|column| *column > 0)?;
    let value = |row: &Vec<Value>| row.get(column)?.number();
    let points: Vec<(f64, f64)> = answer
        .rows
        .iter()
        .enumerate()
        .filter_map(|(index, row)| Some((index as f64, value(row)?)))
        .collect();
    if points.len() < FEWEST {
        return None;
    }
    let label = |row: Option<&Vec<Value>>| {
        let value = row.and_then(|row| row.first());
        value.map_or_else(String::new, |value| text(answer, value))
    };
    let last = answer.rows.len().saturating_sub(1) as f64;
    let lowest = points.iter().map(|point| point.1).fold(0.0, f64::min);
    let highest = points.iter().map(|point| point.1).fold(lowest + 1.0, f64::max);
    let dataset = Dataset::default()
        .marker(Marker::Braille)
        .graph_type(GraphType::Line)
        .data(&points);
    let axis = |lowest, highest| Axis::default().bounds([lowest, highest]);
    let chart = Chart::new(vec![dataset])
        .x_axis(axis(0.0, last))
        .y_axis(axis(lowest, highest).labels([shown(lowest), shown(highest)]));
    let width = style.width.saturating_sub(2).min(WIDEST);
    let area = Rect::new(0, 0, width as u16, HEIGHT);
    let mut buffer = Buffer::empty(area);
    chart.render(area, &mut buffer);
    let rows = (0..HEIGHT).map(|row| {
        let cells = (0..area.width).filter_map(|column| buffer.cell((column, row)).map(Cell::symbol));
        style.cyan(cells.collect::<String>().trim_end())
    });
    let (first, last) = (label(answer.rows.first()), label(answer.rows.last()));
    let between = width.saturating_sub(columns(&first) + columns(&last)).max(1);
    let ends = style.dim(format!("{first}{}{last}", " ".repeat(between)));
    Some(rows.chain([ends]).collect())
}

fn shown(value: f64) -> Line<'static> {
    let sign = if value < 0.0 { "-" } else { "" };
    Line::from(format!("{sign}{}", grouped(value.abs().round() as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sinks::answer::{Column, Dialect, Kind};

    #[test]
    fn a_line_rises_from_the_left_below_to_the_right_above() {
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            kind,
        };
        let row = |hour: i64, plays: i64| {
            vec![
                Value::Timestamp(1_767_225_600_000_000 + hour * 3_600_000_000),
                Value::Integer(plays),
            ]
        };
        let answer = Answer {
            columns: vec![column("hour", Kind::Timestamp), column("plays", Kind::Integer)],
            rows: (0..24).map(|hour| row(hour, hour * 100)).collect(),
            dialect: Dialect::Sqlite,
        };
        let lines = draw(
            &answer,
            Style {
                colours: false,
                width: 60,
            },
        )
        .unwrap();
        assert_eq!(lines.len(), usize::from(HEIGHT) + 1);
        assert!(
            lines[0].starts_with("2,300") && lines[0].ends_with(|dot| ('⠁'..='⣿').contains(&dot)),
            "{lines:#?}"
        );
        let axis = lines.last().unwrap();
        assert!(
            axis.starts_with("2026-01-01 00:00:00 ") && axis.ends_with("2026-01-01 23:00:00"),
            "{lines:#?}"
        );
        let single = Answer {
            rows: vec![row(0, 1)],
            ..answer
        };
        assert_eq!(draw(&single, Style::PLAIN), None);
    }
}
