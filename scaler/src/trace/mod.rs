//! Loads to try policies on.

mod recorded;
mod recorded_error;
mod synthetic;

pub use recorded::recorded;
pub use recorded_error::RecordedError;
pub use synthetic::all;

use crate::platform::Platform;

/// A load over time, and what it falls on.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Short name; file names are made of it.
    pub name: String,
    /// What it is, for people.
    pub about: String,
    /// Records that arrive in each second.
    pub arrivals: Vec<f64>,
    /// Shares of the partitions, in any unit.
    pub weights: Vec<f64>,
    /// What it runs on.
    pub platform: Platform,
    /// When the load steps up, in seconds: from here on steps to the right size are counted.
    pub steps: Vec<u32>,
}
