//! The documentation shows what the code gives now.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// The figures are those of Linux on x86-64; other systems' mathematics differ in the last digits, and decisions with them.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use scaler::backtest::TraceReport;
use scaler::document::{self, PLOTS};
use scaler::render::{Comparison, compare};
use scaler::{Reason, Terms};

static REPORTS: LazyLock<Vec<TraceReport>> = LazyLock::new(document::reports);

#[test]
fn score_cards_and_plots_are_those_of_the_code() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = fs::read_to_string(docs.join("scaling.md")).unwrap();
    let expected = document::insert(&page, &REPORTS).expect("the page has its marks");
    let remedy = "run: cargo run --package scaler --example document";
    assert!(page == expected, "docs/scaling.md is not up to date; {remedy}");
    for (name, plot) in document::plots(&REPORTS) {
        let found = fs::read_to_string(docs.join(PLOTS).join(&name)).unwrap_or_default();
        assert!(found == plot, "docs/{PLOTS}/{name} is not up to date; {remedy}");
        assert!(
            plot.len() < 40_000,
            "docs/{PLOTS}/{name} has {} bytes",
            plot.len()
        );
    }
}

/// What the page claims in words.
#[test]
fn no_baseline_has_less_of_both_and_most_have_more() {
    let mut better = 0;
    for report in REPORTS.iter() {
        for baseline in report.results.iter().filter(|outcome| !outcome.ours) {
            let comparison = compare(report, baseline).unwrap();
            assert_ne!(
                comparison,
                Comparison::Worse,
                "{} on {}",
                baseline.name,
                report.trace.name
            );
            better += usize::from(matches!(comparison, Comparison::Better { .. }));
        }
    }
    assert!(better >= 22, "{better} of 33");
}

#[test]
fn steps_are_met_in_two_and_noise_is_left_alone() {
    for report in REPORTS.iter() {
        let ours = report.results.iter().find(|outcome| outcome.ours).unwrap();
        assert!(
            ours.score.steps.is_none_or(|steps| steps <= 2),
            "{}",
            report.trace.name
        );
        let hours = report.trace.arrivals.len() / 3_600;
        assert!(report.trace.name != "noise" || ours.score.changes <= hours);
    }
}

#[test]
fn every_reason_and_every_term_is_explained() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = fs::read_to_string(docs.join("scaling.md")).unwrap();
    let some = Some(1.0);
    let terms = Terms {
        lag_seconds: some,
        arrival_per_second: some,
        forecast_per_second: some,
        backlog_per_second: some,
        rebalance_per_second: some,
        demand_per_second: some,
        per_worker_per_second: some,
        capacity_per_second: some,
        needed: Some(1),
        sink_wait_share: some,
        sink_per_second: some,
        oldest_event_seconds: some,
        hot_partitions: vec![String::new()],
        stalled_partitions: vec![String::new()],
        ..Terms::default()
    };
    let serde_json::Value::Object(terms) = serde_json::to_value(&terms).unwrap() else {
        panic!("terms are an object");
    };
    let names = Reason::ALL.map(|reason| reason.code().to_owned());
    for name in names.into_iter().chain(terms.keys().cloned()) {
        assert!(
            page.contains(&format!("| `{name}` |")),
            "{name} is not in the tables of docs/scaling.md"
        );
    }
}
