//! The report for the documentation.

use std::fmt::Write as _;

use super::comparison::{Comparison, compare};
use super::table::{HEADINGS, cells};
use crate::backtest::TraceReport;

/// The comparison, and a score card and a plot for each trace. Plots are `PLOTS/NAME.svg`.
#[must_use]
pub fn markdown(reports: &[TraceReport], plots: &str) -> String {
    let mut text = comparison(reports);
    for report in reports {
        let name = &report.trace.name;
        let _ = write!(
            text,
            "\n### {name}\n\n{}.\n\n![Load, lag and workers on the trace {name}]({plots}/{name}.svg)\n\n",
            capitalized(&report.trace.about)
        );
        let _ = writeln!(text, "| {} |", HEADINGS.join(" | "));
        let _ = writeln!(text, "|---|{}", "--:|".repeat(HEADINGS.len() - 1));
        for row in cells(report) {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
    }
    text
}

/// A row for each trace, a column for each baseline.
fn comparison(reports: &[TraceReport]) -> String {
    let Some(first) = reports.first() else {
        return String::new();
    };
    let baselines: Vec<&str> = first
        .results
        .iter()
        .filter(|outcome| !outcome.ours)
        .map(|outcome| outcome.name.as_str())
        .collect();
    let default = first
        .results
        .iter()
        .find(|outcome| outcome.ours)
        .map_or("", |outcome| outcome.name.as_str());
    let mut text = format!("| trace | against {} |\n", baselines.join(" | against "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(baselines.len()));
    for report in reports {
        let _ = write!(text, "| {} |", report.trace.name);
        for baseline in report.results.iter().filter(|outcome| !outcome.ours) {
            let cell =
                compare(report, baseline).map_or(String::new(), |comparison| in_words(&comparison, default));
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

fn in_words(comparison: &Comparison, default: &str) -> String {
    match comparison {
        Comparison::Better { with } if with == default => "**less of both**".to_owned(),
        Comparison::Better { with } => format!("less of both as {}", with.trim_start_matches(default).trim()),
        Comparison::Trade { lag, cost } => format!("workers {cost:+.0} %, lag {}", change(*lag)),
        Comparison::Worse => "more of both".to_owned(),
    }
}

/// A change in percent, or as a multiple where percents are no longer read.
fn change(percent: f64) -> String {
    if percent >= 300.0 {
        format!("× {:.0}", 1.0 + percent / 100.0)
    } else {
        format!("{percent:+.1} %")
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}
