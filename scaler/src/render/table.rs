//! The score cards as a table for a terminal.

use std::fmt::Write as _;

use crate::backtest::TraceReport;
use crate::number;

pub(super) const HEADINGS: [&str; 11] = [
    "policy",
    "lag M·s",
    "replica-h",
    "changes",
    "θU %",
    "θO %",
    "τU %",
    "τO %",
    "υ %",
    "steps",
    "longest backlog",
];

/// The cells of one trace's rows, without headings.
pub(super) fn cells(report: &TraceReport) -> Vec<[String; 11]> {
    report
        .results
        .iter()
        .map(|outcome| {
            let score = &outcome.score;
            [
                outcome.name.clone(),
                format!("{:.1}", score.lag_seconds),
                format!("{:.1}", score.replica_hours),
                score.changes.to_string(),
                format!("{:.1}", score.theta_under),
                format!("{:.0}", score.theta_over),
                format!("{:.1}", score.tau_under),
                format!("{:.0}", score.tau_over),
                format!("{:.1}", score.upsilon),
                score.steps.map_or("–".to_owned(), |steps| steps.to_string()),
                number::seconds(f64::from(score.longest_backlog)),
            ]
        })
        .collect()
}

/// One table a trace.
#[must_use]
pub fn table(reports: &[TraceReport]) -> String {
    let mut text = String::new();
    for report in reports {
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(cells(report));
        let _ = writeln!(text, "{}: {}", report.trace.name, report.trace.about);
        let width = |column: usize| {
            let lengths = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            lengths.max().unwrap_or(0)
        };
        for row in &rows {
            for (column, cell) in row.iter().enumerate() {
                let pad = " ".repeat(width(column) - cell.chars().count());
                // Names to the left, numbers to the right.
                let _ = if column == 0 {
                    write!(text, "  {cell}{pad}")
                } else {
                    write!(text, "  {pad}{cell}")
                };
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text
}
