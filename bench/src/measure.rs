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

/// A figure of two revisions, from the rounds of one run.
#[derive(Debug, Clone)]
pub(crate) struct Comparison {
    /// What was measured.
    pub(crate) what: String,
    /// How a figure is written.
    pub(crate) unit: fn(f64) -> String,
    /// The earlier revision's figures, a round each.
    pub(crate) before: Vec<f64>,
    /// This tree's, of the same rounds.
    pub(crate) now: Vec<f64>,
    /// What the ratio should reach.
    pub(crate) goal: &'static str,
}

/// Comparisons as Markdown: the median of the rounds, with the least and the largest.
pub(crate) fn comparison_table(before: &str, rows: &[Comparison]) -> String {
    let mut text = format!(
        "| measured, median (least – largest) | {before} | this tree | ratio | goal |\n|---|---|---|---|---|\n"
    );
    for row in rows {
        let ratios: Vec<f64> = row
            .now
            .iter()
            .zip(&row.before)
            .map(|(now, before)| now / before)
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            row.what,
            spread(&row.before, row.unit),
            spread(&row.now, row.unit),
            spread(&ratios, |ratio| format!("{ratio:.3}")),
            row.goal,
        );
    }
    text
}

/// `2.20 M/s (2.11 M/s – 2.31 M/s)`; one figure alone has no spread.
fn spread(figures: &[f64], unit: fn(f64) -> String) -> String {
    let least = figures.iter().copied().min_by(f64::total_cmp);
    let largest = figures.iter().copied().max_by(f64::total_cmp);
    let middle = unit(median(figures.to_vec()));
    match (least, largest) {
        (Some(least), Some(largest)) if figures.len() > 1 => {
            format!("{middle} ({} – {})", unit(least), unit(largest))
        }
        (Some(_), _) => middle,
        _ => "–".to_owned(),
    }
}

/// CPU time of one: `0.31 µs`.
pub(crate) fn microseconds(each: f64) -> String {
    format!("{each:.3} µs")
}

/// Memory: `219 MB`.
pub(crate) fn megabytes(all: f64) -> String {
    format!("{all:.0} MB")
}

/// Time: `0.28 s`.
pub(crate) fn seconds(all: f64) -> String {
    format!("{all:.2} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_has_the_ratio_of_each_round() {
        let row = Comparison {
            what: "worker".to_owned(),
            unit: rate,
            before: vec![2e6, 1e6, 4e6],
            now: vec![1e6, 1e6, 3e6],
            goal: "",
        };
        let text = comparison_table("e766835", &[row]);
        let expected = "| worker | 2.00 M/s (1.00 M/s – 4.00 M/s) | 1.00 M/s (1.00 M/s – 3.00 M/s) | 0.750 (0.500 – 1.000) |  |";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_revision_without_the_figure_has_a_dash() {
        assert_eq!(spread(&[], seconds), "–");
        assert_eq!(spread(&[0.25], seconds), "0.25 s");
    }
}
