//! A model of what is scaled: partitions that fill, workers that take time to start, rebalances that stop partitions,
//! and a sink that takes only so much. Deterministic for a seed.

mod assignment;
mod group;
mod run;

pub use group::Group;
pub use run::{Run, Sample, simulate};
