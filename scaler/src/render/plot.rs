//! A trace as a picture: what arrives, the lag of each policy, the workers of each policy.

use std::fmt::Write as _;

use super::panel::{GAP, LEFT, PANEL, Panel, TOP, WIDTH};
use crate::backtest::{Outcome, TraceReport};
use crate::simulator::Sample;

/// Points of a line: as many as can be told apart, so that files stay small.
const POINTS: usize = 215;
/// Lags below this, in records, are all at the bottom of the logarithmic scale.
const LEAST_LAG: f64 = 100.0;
/// Ours, then the baselines, told apart by people who do not see all colours.
const COLOURS: [&str; 4] = ["#0072b2", "#e69f00", "#cc79a7", "#009e73"];

/// Draws the first of the product's contenders and the baselines.
#[must_use]
pub fn svg(report: &TraceReport) -> String {
    let seconds = report.trace.arrivals.len().max(1) as f64;
    let shown: Vec<&Outcome> = report
        .results
        .iter()
        .filter(|outcome| outcome.ours)
        .take(1)
        .chain(report.results.iter().filter(|outcome| !outcome.ours))
        .collect();
    let height = TOP + 3.0 * PANEL + 2.0 * GAP + 34.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{}</text>\n\
         <text x=\"{LEFT}\" y=\"36\" fill=\"#555555\">{}</text>\n",
        escaped(&report.trace.name),
        escaped(&report.trace.about)
    );
    legend(&mut text, &shown);

    let samples = shown.first().map_or(&[][..], |outcome| &outcome.run.samples);
    let load = peaks(samples, seconds, |sample| sample.arrivals);
    let most_load = rounded_up(largest(&load));
    let mut panel = Panel::new(&mut text, 0, seconds);
    panel.frame("records/s", &[0.0, most_load / 2.0, most_load], &|value| {
        value / most_load
    });
    panel.line(&load, "#444444", 1.2, &|value| value / most_load);

    let lags: Vec<Vec<(f64, f64)>> = shown
        .iter()
        .map(|outcome| peaks(&outcome.run.samples, seconds, |sample| sample.lag))
        .collect();
    let decades = (lags
        .iter()
        .map(|lag| largest(lag))
        .fold(LEAST_LAG * 10.0, f64::max)
        / LEAST_LAG)
        .log10()
        .ceil();
    let lag_scale = move |value: f64| (value.max(LEAST_LAG) / LEAST_LAG).log10() / decades;
    let ticks: Vec<f64> = (0..=decades as i32)
        .map(|decade| LEAST_LAG * 10_f64.powi(decade))
        .collect();
    let mut panel = Panel::new(&mut text, 1, seconds);
    panel.frame("lag, records", &ticks, &lag_scale);
    for (index, lag) in lags.iter().enumerate().rev() {
        panel.line(lag, colour(index), width(index), &lag_scale);
    }

    let most = shown
        .iter()
        .flat_map(|outcome| outcome.run.samples.iter().map(|sample| sample.workers))
        .max()
        .unwrap_or(1)
        .max(2);
    let scale = move |value: f64| value / f64::from(most);
    let mut panel = Panel::new(&mut text, 2, seconds);
    panel.frame("workers", &[0.0, f64::from(most / 2), f64::from(most)], &scale);
    panel.area(&report.demand, &scale);
    for (index, outcome) in shown.iter().enumerate().rev() {
        let workers = peaks(&outcome.run.samples, seconds, |sample| f64::from(sample.workers));
        panel.steps(&workers, colour(index), width(index), &scale);
    }
    panel.times();
    text.push_str("</svg>\n");
    text
}

fn legend(text: &mut String, shown: &[&Outcome]) {
    let mut x = LEFT;
    let entries = shown
        .iter()
        .enumerate()
        .map(|(index, outcome)| (outcome.name.as_str(), colour(index), width(index)))
        .chain([("fewest workers that keep up", "#dddddd", 8.0)]);
    for (name, colour, width) in entries {
        let _ = writeln!(
            text,
            "<path d=\"M{x} 50h18\" stroke=\"{colour}\" stroke-width=\"{width}\"/><text x=\"{}\" y=\"54\">{}</text>",
            x + 23.0,
            escaped(name)
        );
        x += 42.0 + 6.3 * name.chars().count() as f64;
    }
}

/// The largest value of each of [`POINTS`] equal times, so that no peak is lost.
fn peaks(samples: &[Sample], seconds: f64, value: impl Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    let each = samples.len().div_ceil(POINTS).max(1);
    samples
        .chunks(each)
        .filter_map(|chunk| {
            let first = chunk.first()?;
            let peak = chunk.iter().map(&value).fold(0.0, f64::max);
            Some((f64::from(first.seconds).min(seconds), peak))
        })
        .collect()
}

fn largest(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|(_, value)| *value).fold(0.0, f64::max)
}

/// To 1, 2 or 5 times a power of ten.
fn rounded_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|round| *round >= value)
        .unwrap_or(10.0 * power)
}

fn colour(index: usize) -> &'static str {
    COLOURS.get(index).copied().unwrap_or("#999999")
}

fn width(index: usize) -> f64 {
    if index == 0 { 2.2 } else { 1.2 }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers() {
        for (value, round) in [
            (0.0, 1.0),
            (3.0, 5.0),
            (40_100.0, 50_000.0),
            (20_000.0, 20_000.0),
            (61.0, 100.0),
        ] {
            assert!((rounded_up(value) - round).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn a_peak_between_two_points_is_drawn() {
        let samples: Vec<Sample> = (0..2_000)
            .map(|index| Sample {
                seconds: index * 10,
                arrivals: if index == 777 { 9.0 } else { 1.0 },
                lag: 0.0,
                workers: 1,
                ready: 1,
            })
            .collect();
        let points = peaks(&samples, 20_000.0, |sample| sample.arrivals);
        assert!(points.len() <= POINTS);
        assert!((largest(&points) - 9.0).abs() < 1e-9);
    }
}
