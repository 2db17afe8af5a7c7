//! Two revisions' generators.

use super::{Figure, Pair, rows};
use crate::ROUNDS;
use crate::error::BenchError;
use crate::generator::{Produced, to_kafka, to_nowhere};
use crate::measure::{Comparison, microseconds, rate};
use crate::servers::Servers;

const FIGURES: [Figure<Produced>; 2] = [
    Figure {
        what: "speed",
        unit: rate,
        goal: "",
        of: |produced| produced.rate,
    },
    Figure {
        what: "CPU an event",
        unit: microseconds,
        goal: "≤ 1.05",
        of: |produced| produced.cpu,
    },
];

pub(super) async fn compare(servers: &Servers, pair: &Pair) -> Result<Vec<Comparison>, BenchError> {
    let nowhere = pair
        .in_turns(ROUNDS, async |programs, _| to_nowhere(servers, programs))
        .await?;
    // Not counted: makes the topic, and has the broker compile itself.
    to_kafka(servers, &pair.before, "generator")?;
    let kafka = pair
        .in_turns(ROUNDS, async |programs, name| {
            to_kafka(servers, programs, &format!("generator-{name}"))
        })
        .await?;
    Ok([
        rows("generator, no output", &nowhere, &FIGURES),
        rows("generator to Kafka", &kafka, &FIGURES),
    ]
    .concat())
}
