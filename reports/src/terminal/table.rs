//! Text in columns.

use ratatui::text::Span;

/// What follows a cell that had to be cut.
const CUT: char = '…';

/// Which side of its column a cell stands at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Columns that a terminal needs for `text`.
#[must_use]
pub fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// `text` cut to `columns`, and filled up to them.
#[must_use]
pub fn fit(text: &str, columns: usize, align: Align) -> String {
    let text = cut(text, columns);
    let fill = " ".repeat(columns.saturating_sub(width(&text)));
    match align {
        Align::Left => text + &fill,
        Align::Right => fill + &text,
    }
}

/// `text` on one line of at most `columns`.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if width(&text) <= columns {
        return text;
    }
    let mut short = String::new();
    let mut used = 0;
    for character in text.chars() {
        let wide = width(character.encode_utf8(&mut [0; 4]));
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        short.push(character);
    }
    if columns > 0 {
        short.push(CUT);
    }
    short
}

/// Rows under their headings, two spaces between columns, no line longer than `total`: the widest columns give way.
/// Rows shorter than the headings are filled up.
#[must_use]
pub fn render(headings: &[&str], aligns: &[Align], rows: &[Vec<String>], total: usize) -> Vec<String> {
    let widths = widths(headings, rows, total);
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> = widths
            .iter()
            .zip(aligns.iter().chain(std::iter::repeat(&Align::Left)))
            .map(|(columns, align)| fit(cells.next().unwrap_or(""), *columns, *align))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut headings.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines
}

fn widths(headings: &[&str], rows: &[Vec<String>], total: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = headings.iter().map(|heading| width(heading)).collect();
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let gaps = 2 * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > total {
        match widths.iter_mut().max() {
            Some(widest) if *widest > 4 => *widest -= 1,
            _ => break,
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter()
            .map(|row| row.iter().map(|&cell| cell.to_owned()).collect())
            .collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let lines = render(
            &["GENRE", "PLAYS"],
            &[Align::Left, Align::Right],
            &rows(&[&["pop", "12"], &["show-tunes", "3400"], &["j-pop"]]),
            80,
        );
        assert_eq!(
            lines,
            [
                "GENRE       PLAYS",
                "pop            12",
                "show-tunes   3400",
                "j-pop"
            ]
        );
    }

    #[test]
    fn the_widest_column_gives_way_and_wide_characters_count_twice() {
        let long = "a very long name of a track";
        let lines = render(
            &["ID", "TRACK"],
            &[Align::Right, Align::Left],
            &rows(&[&["7", long], &["8", "한국어"]]),
            20,
        );
        assert_eq!(lines, ["ID  TRACK", " 7  a very long nam…", " 8  한국어"]);
        assert_eq!(cut("한국어", 4), "한…");
        assert_eq!(cut("two\nlines", 20), "two lines");
        assert_eq!(fit("한", 4, Align::Right), "  한");
    }
}
