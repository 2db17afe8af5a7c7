//! Who is better: in lag and in cost.

use crate::backtest::{Outcome, TraceReport};

/// How the product compares with a baseline on a trace.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    /// No more lag-seconds and no more replica-hours, and fewer of one of them.
    Better {
        /// The settings with which that is so; the first contender's if it is so with those.
        with: String,
    },
    /// Fewer of one, more of the other, whatever the settings. The numbers are those of the first contender.
    Trade {
        /// Change of the lag-seconds, in percent.
        lag: f64,
        /// Change of the replica-hours, in percent.
        cost: f64,
    },
    /// More of both, or of one, and no fewer of the other.
    Worse,
}

/// Compares the product's contenders with `baseline`; `None` if the report has none of them.
#[must_use]
pub fn compare(report: &TraceReport, baseline: &Outcome) -> Option<Comparison> {
    let ours = || report.results.iter().filter(|outcome| outcome.ours);
    let first = ours().next()?;
    if let Some(better) = ours().find(|outcome| dominates(outcome, baseline)) {
        return Some(Comparison::Better {
            with: better.name.clone(),
        });
    }
    if ours().all(|outcome| dominates(baseline, outcome)) {
        return Some(Comparison::Worse);
    }
    let change = |ours: f64, theirs: f64| 100.0 * (ours / theirs - 1.0);
    Some(Comparison::Trade {
        lag: change(first.score.lag_seconds, baseline.score.lag_seconds),
        cost: change(first.score.replica_hours, baseline.score.replica_hours),
    })
}

fn dominates(one: &Outcome, other: &Outcome) -> bool {
    let (one, other) = (&one.score, &other.score);
    one.lag_seconds <= other.lag_seconds
        && one.replica_hours <= other.replica_hours
        && (one.lag_seconds < other.lag_seconds || one.replica_hours < other.replica_hours)
}
