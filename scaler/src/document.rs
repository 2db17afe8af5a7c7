//! The generated part of `docs/scaling.md`.

use crate::backtest::{self, TraceReport};
use crate::{render, trace};

/// Where the generated part begins.
pub const BEGIN: &str = "<!-- generated: cargo run --package scaler --example document -->";
pub const END: &str = "<!-- end of the generated part -->";
/// The folder of the plots, next to the page.
pub const PLOTS: &str = "scaling";

const SEED: u64 = 42;

/// What the page reports on.
#[must_use]
pub fn reports() -> Vec<TraceReport> {
    backtest::run(trace::all(SEED), &backtest::documented(), SEED)
}

/// `page` with the generated part replaced; `None` if it has no place for it.
#[must_use]
pub fn insert(page: &str, reports: &[TraceReport]) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let generated = render::markdown(reports, PLOTS);
    Some(format!("{before}{BEGIN}\n\n{generated}\n{END}{after}"))
}

/// The plots, by file name.
#[must_use]
pub fn plots(reports: &[TraceReport]) -> Vec<(String, String)> {
    reports
        .iter()
        .map(|report| (format!("{}.svg", report.trace.name), render::svg(report)))
        .collect()
}
