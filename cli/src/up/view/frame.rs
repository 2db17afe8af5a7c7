//! The live view's text. Pure.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::super::snapshot::{Phase, Snapshot};
use crate::style::{count, grouped};
use crate::table::{Align, fit, width};

/// Partitions that are shown one by one; of more, the fullest.
const MOST_PARTITIONS: usize = 16;

/// Tables that are shown.
const MOST_TABLES: usize = 8;

/// Columns of a partition's bar.
const BAR: usize = 16;

/// Lines that the view takes, for a first snapshot that has all partitions and tables.
pub(super) fn height(snapshot: &Snapshot) -> u16 {
    let partitions = snapshot.unread.len().min(MOST_PARTITIONS).div_ceil(2);
    (5 + partitions + snapshot.rows.len().min(MOST_TABLES)) as u16
}

/// The view, as wide as the terminal.
pub(super) fn lines(snapshot: &Snapshot, columns: usize) -> Vec<Line<'static>> {
    let mut lines = vec![
        title(snapshot),
        rates(snapshot),
        audit(snapshot),
        workers(snapshot),
    ];
    lines.extend(partitions(snapshot, columns));
    lines.extend(tables(snapshot));
    lines.push(Line::styled("q or Ctrl-C stops in order", dim()));
    lines
}

fn dim() -> Style {
    Style::default().add_modifier(Modifier::DIM)
}

fn title(snapshot: &Snapshot) -> Line<'static> {
    let seconds = snapshot.elapsed.as_secs();
    let elapsed = match snapshot.planned {
        Some(planned) => format!("{seconds} of {} s", planned.as_secs()),
        None => format!("{seconds} s"),
    };
    let phase = match snapshot.phase {
        Phase::Running => "running",
        Phase::Draining => "storing what is left",
    };
    let bold = Style::default().add_modifier(Modifier::BOLD);
    Line::from(vec![
        Span::styled(format!("streampipeline {}", snapshot.name), bold),
        Span::raw(format!("  {phase}, {elapsed}")),
    ])
}

fn rates(snapshot: &Snapshot) -> Line<'static> {
    let rate = |rate: f64| grouped(rate.round() as u64);
    let mut spans = Vec::new();
    if let Some(produced) = snapshot.produced {
        spans.push(Span::raw(format!(
            "in  {:>9}/s  {:>12}    ",
            rate(snapshot.rate_in),
            grouped(produced)
        )));
    }
    spans.push(Span::raw(format!(
        "out {:>9}/s  {:>12}    ",
        rate(snapshot.rate_out),
        grouped(snapshot.stored)
    )));
    spans.push(Span::raw(format!("unread {:>9}", grouped(snapshot.unread()))));
    let yellow = Style::default().fg(Color::Yellow);
    if snapshot.held {
        spans.push(Span::styled("  generator held back", yellow));
    } else if snapshot.behind.as_millis() >= 500 {
        let behind = format!("  generator {:.1} s behind", snapshot.behind.as_secs_f64());
        spans.push(Span::styled(behind, yellow));
    }
    Line::from(spans)
}

fn audit(snapshot: &Snapshot) -> Line<'static> {
    let count = |name: &str, number: u64| {
        let style = if number == 0 {
            Style::default().fg(Color::Green)
        } else {
            Style::default().fg(Color::Red)
        };
        Span::styled(format!("{name} {}    ", grouped(number)), style)
    };
    Line::from(vec![
        count("missing", snapshot.audit.missing),
        count("doubled", snapshot.audit.doubled),
        count("dead letters", snapshot.dead_letters),
    ])
}

fn workers(snapshot: &Snapshot) -> Line<'static> {
    let count = count(snapshot.workers.into(), "worker", "workers");
    Line::from(vec![
        Span::raw(format!("{count}  ")),
        Span::styled(snapshot.decision.replace('\n', " "), dim()),
    ])
}

/// Two partitions a line, by number; of too many, the fullest.
fn partitions(snapshot: &Snapshot, columns: usize) -> Vec<Line<'static>> {
    let most = snapshot.most_unread().max(1);
    let mut shown = snapshot.unread.clone();
    if shown.len() > MOST_PARTITIONS {
        shown.sort_by_key(|(_, unread)| std::cmp::Reverse(*unread));
        shown.truncate(MOST_PARTITIONS);
        shown.sort();
    }
    let names: Vec<String> = shown.iter().map(|(partition, _)| partition.to_string()).collect();
    let name_columns = names
        .iter()
        .map(|name| width(name))
        .max()
        .unwrap_or(0)
        .min((columns / 2).saturating_sub(BAR + 12));
    let cells: Vec<Vec<Span<'static>>> = names
        .iter()
        .zip(&shown)
        .map(|(name, (_, unread))| {
            let filled = (*unread as usize)
                .saturating_mul(BAR)
                .div_ceil(most as usize)
                .min(BAR);
            vec![
                Span::styled(format!("{} ", fit_end(name, name_columns)), dim()),
                Span::styled("█".repeat(filled), Style::default().fg(Color::Cyan)),
                Span::styled("·".repeat(BAR - filled), dim()),
                Span::raw(format!(" {:>8}  ", grouped(*unread))),
            ]
        })
        .collect();
    let half = cells.len().div_ceil(2);
    (0..half)
        .map(|row| {
            let pair = [cells.get(row), cells.get(row + half)];
            Line::from(pair.into_iter().flatten().flatten().cloned().collect::<Vec<_>>())
        })
        .collect()
}

/// The number at the end is what tells partitions apart.
fn fit_end(name: &str, columns: usize) -> String {
    if width(name) <= columns {
        return fit(name, columns, Align::Left);
    }
    let skipped = name.chars().count().saturating_sub(columns.saturating_sub(1));
    let end: String = name.chars().skip(skipped).collect();
    format!("…{end}")
}

fn tables(snapshot: &Snapshot) -> Vec<Line<'static>> {
    let name_columns = snapshot.rows.keys().map(|name| width(name)).max().unwrap_or(0);
    let line = |(name, rows): (&String, &u64)| {
        Line::from(vec![
            Span::styled(format!("{} ", fit(name, name_columns, Align::Left)), dim()),
            Span::raw(format!("{:>12} rows written", grouped(*rows))),
        ])
    };
    snapshot.rows.iter().take(MOST_TABLES).map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use api::Partition;

    use super::*;

    fn texts(snapshot: &Snapshot, columns: usize) -> Vec<String> {
        let text = |line: Line<'_>| {
            line.spans
                .iter()
                .map(|span| span.content.as_ref())
                .collect::<String>()
        };
        lines(snapshot, columns).into_iter().map(text).collect()
    }

    #[test]
    fn the_view_shows_rates_lag_rows_and_audit() {
        let partition = |number, unread| {
            (
                Partition {
                    topic: "plays".into(),
                    number,
                },
                unread,
            )
        };
        let snapshot = Snapshot {
            name: "music".to_owned(),
            elapsed: Duration::from_secs(12),
            planned: Some(Duration::from_mins(1)),
            produced: Some(12_000),
            stored: 11_700,
            rate_in: 1000.0,
            rate_out: 990.0,
            unread: vec![partition(0, 200), partition(1, 100), partition(2, 0)],
            rows: BTreeMap::from([("plays_by_hour".to_owned(), 24), ("log".to_owned(), 11_580)]),
            dead_letters: 2,
            workers: 2,
            decision: "2 workers suit the load.".to_owned(),
            ..Snapshot::default()
        };
        assert_eq!(
            texts(&snapshot, 90),
            [
                "streampipeline music  running, 12 of 60 s",
                "in      1,000/s        12,000    out       990/s        11,700    unread       300",
                "missing 0    doubled 0    dead letters 2    ",
                "2 workers  2 workers suit the load.",
                "plays/0 ████████████████      200  plays/2 ················        0  ",
                "plays/1 ████████········      100  ",
                "log                 11,580 rows written",
                "plays_by_hour           24 rows written",
                "q or Ctrl-C stops in order",
            ]
        );
        assert_eq!(height(&snapshot), texts(&snapshot, 90).len() as u16);
    }

    #[test]
    fn of_many_partitions_the_fullest_are_shown() {
        let unread = (0..40)
            .map(|number| {
                (
                    Partition {
                        topic: "plays".into(),
                        number,
                    },
                    number as u64,
                )
            })
            .collect();
        let snapshot = Snapshot {
            unread,
            ..Snapshot::default()
        };
        let shown = texts(&snapshot, 90);
        assert_eq!(shown.len(), usize::from(height(&snapshot)));
        assert!(shown[4].starts_with("plays/24"), "{shown:#?}");
    }

    #[test]
    fn a_long_name_keeps_its_number() {
        assert_eq!(fit_end("music_streaming_data/11", 10), "…g_data/11");
    }
}
