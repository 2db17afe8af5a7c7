//! When to scale: the policy, the policies that it is measured against, and the simulator that measures.
//!
//! Nothing here knows Kafka, Kubernetes, a clock or a file. [`decide`] is a pure function; the operator, `streampipeline
//! up` and `streampipeline backtest` call the same one.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod arrival;
pub mod autoscaler;
pub mod backtest;
pub mod baseline;
mod capacity;
mod decide;
mod decision;
mod demand;
pub mod document;
mod explain;
mod history;
pub mod number;
mod observation;
mod observe;
mod platform;
mod policy;
mod proposal;
mod readings;
mod recent;
pub mod render;
pub mod score;
pub mod simulator;
mod sink;
pub mod trace;
pub mod useful;

pub use decide::decide;
pub use decision::{Bound, Decision, Reason, Terms};
pub use history::History;
pub use observation::{Committed, Handover, LogRange, Observation, PartitionId, PartitionReading};
pub use platform::Platform;
pub use policy::{Bounds, LONGEST_WINDOW, Mode, Policy, PolicyError, Window};
