//! What the simulator drives: anything that looks at observations and asks for workers.

use jiff::{SignedDuration, Timestamp};

use crate::{Decision, History, Observation, Policy, decide};

/// Decides on workers, at its own interval.
pub trait Autoscaler {
    /// Seconds between two looks.
    fn interval_seconds(&self) -> u32;

    /// Workers to have, `seconds` after the beginning.
    fn desired(&mut self, observation: &Observation, seconds: u32) -> u32;
}

#[derive(Debug)]
pub struct Ours {
    policy: Policy,
    history: History,
    /// When the simulated time began.
    start: Timestamp,
    /// What was decided last.
    latest: Option<Decision>,
}

impl Ours {
    /// Follows `policy` from `start` on.
    #[must_use]
    pub fn new(policy: Policy, start: Timestamp) -> Self {
        Self {
            policy,
            history: History::default(),
            start,
            latest: None,
        }
    }

    /// What was decided last.
    #[must_use]
    pub fn latest(&self) -> Option<&Decision> {
        self.latest.as_ref()
    }
}

impl Autoscaler for Ours {
    fn interval_seconds(&self) -> u32 {
        10
    }

    fn desired(&mut self, observation: &Observation, seconds: u32) -> u32 {
        let now = self.start + SignedDuration::from_secs(i64::from(seconds));
        let (decision, history) = decide(observation, &self.policy, &self.history, now);
        self.history = history;
        let replicas = decision.replicas;
        self.latest = Some(decision);
        replicas
    }
}
