//! Two revisions' operators with a thousand pipelines, against an API server in memory.

use super::{Figure, Pair, rows};
use crate::error::BenchError;
use crate::measure::{Comparison, megabytes, seconds};
use crate::operator::{Measured, in_memory};
use crate::servers::Servers;

/// A run takes more than two minutes.
const ROUNDS: usize = 2;

const FIGURES: [Figure<Measured>; 5] = [
    Figure {
        what: "from its start to all objects",
        unit: seconds,
        goal: "",
        of: |measured| measured.converged.as_secs_f64(),
    },
    Figure {
        what: "CPU until all objects",
        unit: seconds,
        goal: "≤ 1.05",
        of: |measured| measured.cpu,
    },
    Figure {
        what: "p99 of a reconcile in a steady sweep",
        unit: |seconds| format!("{:.1} ms", seconds * 1e3),
        goal: "",
        of: |measured| measured.sweep.quantile(0.99),
    },
    Figure {
        what: "writes in a steady sweep",
        unit: |writes| writes.to_string(),
        goal: "",
        of: |measured| measured.writes as f64,
    },
    Figure {
        what: "largest resident memory",
        unit: megabytes,
        goal: "≤ 1",
        of: |measured| measured.memory,
    },
];

pub(super) async fn compare(servers: &Servers, pair: &Pair) -> Result<Vec<Comparison>, BenchError> {
    // Not counted: makes the topics, which stay.
    in_memory(servers, &pair.before).await?;
    let measured = pair
        .in_turns(ROUNDS, async |programs, _| in_memory(servers, programs).await)
        .await?;
    Ok(rows("operator, 1000 pipelines", &measured, &FIGURES))
}
