//! The score cards for spreadsheets.

use std::fmt::Write as _;

use crate::backtest::TraceReport;

/// One row for each trace and policy.
#[must_use]
pub fn csv(reports: &[TraceReport]) -> String {
    let mut text = "trace,policy,lag_million_record_seconds,replica_hours,changes,theta_under_percent,theta_over_percent,\
                    tau_under_percent,tau_over_percent,upsilon_percent,steps,longest_backlog_seconds\n"
        .to_owned();
    for report in reports {
        for outcome in &report.results {
            let score = &outcome.score;
            let steps = score.steps.map_or(String::new(), |steps| steps.to_string());
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{},{},{:.3},{:.3},{},{:.2},{:.2},{:.2},{:.2},{:.2},{steps},{}",
                quoted(&report.trace.name),
                quoted(&outcome.name),
                score.lag_seconds,
                score.replica_hours,
                score.changes,
                score.theta_under,
                score.theta_over,
                score.tau_under,
                score.tau_over,
                score.upsilon,
                score.longest_backlog
            );
        }
    }
    text
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_break_a_row_are_quoted() {
        assert_eq!(quoted("step"), "step");
        assert_eq!(quoted("a, \"b\""), "\"a, \"\"b\"\"\"");
    }
}
