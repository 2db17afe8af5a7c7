//! Figures and their table.

use std::fmt::Write;

/// A line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// The figure, with its unit.
    pub(crate) figure: String,
    /// The baseline and its figure, with its unit.
    pub(crate) baseline: String,
    /// Figure over baseline.
    pub(crate) ratio: Option<f64>,
    /// What it should reach.
    pub(crate) goal: String,
}

/// The middle one.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The middle one of the rounds' ratios: the two figures of a round were measured one after the other, when the machine
/// was as busy with other things.
pub(crate) fn median_ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(
        ours.iter()
            .zip(theirs)
            .map(|(ours, theirs)| ours / theirs)
            .collect(),
    )
}

/// A count a second, readable: `512 k/s`.
pub(crate) fn rate(a_second: f64) -> String {
    if a_second >= 1e6 {
        format!("{:.2} M/s", a_second / 1e6)
    } else {
        format!("{:.0} k/s", a_second / 1e3)
    }
}

/// The table as Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from("| measured | figure | baseline | ratio | goal |\n|---|---|---|---|---|\n");
    for Row {
        what,
        figure,
        baseline,
        ratio,
        goal,
    } in rows
    {
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {what} | {figure} | {baseline} | {ratio} | {goal} |");
    }
    text
}
