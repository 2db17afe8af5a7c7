//! This tree next to an earlier revision: both revisions' programs, run in turns against the same servers. A machine
//! whose speed swings swings for both.

mod generator;
mod operator;
mod worker;

use crate::error::BenchError;
use crate::measure::Comparison;
use crate::parts::Parts;
use crate::programs::Programs;
use crate::servers::Servers;

/// Two revisions' programs.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) before: Programs,
    pub(crate) now: Programs,
}

impl Pair {
    /// Runs both in turns, so often, and gives their figures: the earlier revision's first. What is run gets a name that no
    /// other run has.
    async fn in_turns<T>(
        &self,
        rounds: usize,
        mut run: impl AsyncFnMut(&Programs, &str) -> Result<T, BenchError>,
    ) -> Result<(Vec<T>, Vec<T>), BenchError> {
        let (mut before, mut now) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            before.push(run(&self.before, &format!("before-{round}")).await?);
            now.push(run(&self.now, &format!("now-{round}")).await?);
        }
        Ok((before, now))
    }
}

/// What figures are compared of each round's runs.
struct Figure<T> {
    what: &'static str,
    unit: fn(f64) -> String,
    goal: &'static str,
    of: fn(&T) -> f64,
}

/// A row a figure.
fn rows<T>(subject: &str, (before, now): &(Vec<T>, Vec<T>), figures: &[Figure<T>]) -> Vec<Comparison> {
    let row = |figure: &Figure<T>| Comparison {
        what: format!("{subject}: {}", figure.what),
        unit: figure.unit,
        before: before.iter().map(figure.of).collect(),
        now: now.iter().map(figure.of).collect(),
        goal: figure.goal,
    };
    figures.iter().map(row).collect()
}

pub(crate) async fn compare(
    servers: &Servers,
    pair: &Pair,
    parts: &Parts,
) -> Result<Vec<Comparison>, BenchError> {
    let mut rows = Vec::new();
    if parts.wanted("generator") {
        rows.extend(generator::compare(servers, pair).await?);
    }
    if parts.wanted("worker") {
        rows.extend(worker::compare(servers, pair).await?);
    }
    if parts.wanted("start") {
        rows.extend(worker::compare_starts(servers, pair).await?);
    }
    if parts.wanted("operator") {
        rows.extend(operator::compare(servers, pair).await?);
    }
    Ok(rows)
}
