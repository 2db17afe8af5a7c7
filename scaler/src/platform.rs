//! What a load falls on, in a simulation.

/// What everything runs on.
#[derive(Debug, Clone, PartialEq)]
pub struct Platform {
    /// Records a second that a worker can do when nothing slows it.
    pub per_worker: f64,
    /// Workers differ, and what they report varies, by this share up and down.
    pub rate_noise: f64,
    /// Time that a worker takes to start, in seconds; a fifth more or less.
    pub start_seconds: u32,
    /// Time for which a rebalance stops the partitions that change hands, in seconds.
    pub pause_seconds: u32,
    /// Records a second that the sink takes; `None` if as many as come.
    pub sink_per_second: Option<f64>,
    /// Share of a worker's busy time that it waits for a sink that is not saturated.
    pub sink_wait: f64,
    /// Workers at the beginning.
    pub workers: u32,
    /// Records to be read at the beginning.
    pub backlog: f64,
}

impl Default for Platform {
    fn default() -> Self {
        Self {
            per_worker: 2_500.0,
            rate_noise: 0.05,
            start_seconds: 20,
            pause_seconds: 5,
            sink_per_second: None,
            sink_wait: 0.1,
            workers: 1,
            backlog: 0.0,
        }
    }
}
