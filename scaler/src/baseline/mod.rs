//! The policies that ours is measured against, written from their published formulas and defaults.

pub mod flink;
mod hpa;
pub mod keda;
pub mod numaflow;

pub use flink::Flink;
pub use hpa::Hpa;
pub use keda::Keda;
pub use numaflow::Numaflow;

use crate::Observation;
use crate::observation::Committed;

/// Sums over partitions that the formulas need.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Totals {
    end: f64,
    position: f64,
    lag: f64,
    /// Records a second that all workers could do together; 0 if none has told.
    true_rate: f64,
}

fn totals(observation: &Observation) -> Totals {
    let mut totals = Totals {
        end: 0.0,
        position: 0.0,
        lag: 0.0,
        true_rate: 0.0,
    };
    let (mut rates, mut known) = (0.0, 0.0);
    for partition in &observation.partitions {
        let (Some(log), Committed::At(committed)) = (partition.log, partition.committed) else {
            continue;
        };
        totals.end += log.end as f64;
        totals.position += committed as f64;
        totals.lag += (log.end - committed) as f64;
        if let Some(rate) = partition.records_per_busy_second {
            rates += rate;
            known += 1.0;
        }
    }
    if known > 0.0 {
        totals.true_rate = rates / known * f64::from(observation.ready);
    }
    totals
}
