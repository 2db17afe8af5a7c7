//! A group that follows the policy, with whatever a test does to what it observes.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use jiff::{SignedDuration, Timestamp};
use scaler::Platform;
use scaler::simulator::Group;
use scaler::{Decision, History, Observation, Policy, Reason, decide, useful};

pub(crate) const EVERY: u32 = 10;

pub(crate) struct World {
    pub(crate) group: Group,
    pub(crate) policy: Policy,
    pub(crate) history: History,
    pub(crate) now: Timestamp,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) elapsed: u32,
    /// Changes of the number of workers: seconds, from, to.
    pub(crate) changes: Vec<(u32, u32, u32)>,
}

pub(crate) fn platform() -> Platform {
    Platform::default()
}

pub(crate) fn equal(partitions: usize) -> Vec<f64> {
    vec![1.0; partitions]
}

impl World {
    pub(crate) fn new(platform: Platform, weights: &[f64], policy: Policy) -> Self {
        Self {
            group: Group::new(platform, weights, 7),
            policy,
            history: History::default(),
            now: "2026-11-21T12:00:00Z".parse().unwrap(),
            decisions: Vec::new(),
            elapsed: 0,
            changes: Vec::new(),
        }
    }

    /// 24 equal partitions, workers that do 2,500 records/s.
    pub(crate) fn usual(policy: Policy) -> Self {
        Self::new(platform(), &equal(24), policy)
    }

    pub(crate) fn run(&mut self, seconds: u32, arrivals: impl FnMut(u32) -> f64) {
        self.run_seeing(seconds, arrivals, |_, _| {});
    }

    /// Lets `seconds` pass; `see` changes what the policy sees.
    pub(crate) fn run_seeing(
        &mut self,
        seconds: u32,
        mut arrivals: impl FnMut(u32) -> f64,
        mut see: impl FnMut(u32, &mut Observation),
    ) {
        for second in 0..seconds {
            if second % EVERY == 0 {
                let mut observation = self.group.observe();
                see(second, &mut observation);
                self.decide(&observation);
            }
            self.group.second(arrivals(second));
            self.now += SignedDuration::from_secs(1);
            self.elapsed += 1;
        }
    }

    fn decide(&mut self, observation: &Observation) {
        let (decision, history) = decide(observation, &self.policy, &self.history, self.now);
        sane(&decision, observation, &self.policy);
        self.history = history;
        let before = self.group.desired();
        if decision.replicas != before {
            self.changes.push((self.elapsed, before, decision.replicas));
            self.group.scale(decision.replicas);
        }
        self.decisions.push(decision);
    }

    pub(crate) fn last(&self) -> &Decision {
        self.decisions.last().unwrap()
    }

    /// The last decision's essence, and its text.
    pub(crate) fn outcome(&self) -> (u32, Reason, &str) {
        (self.last().replicas, self.last().reason, &self.last().text)
    }

    pub(crate) fn forget_changes(&mut self) {
        self.changes.clear();
        self.decisions.clear();
    }

    /// Writes the history to status and reads it again, as a restart does.
    pub(crate) fn restart(&mut self) -> usize {
        let text = serde_json::to_string(&self.history).unwrap();
        self.history = serde_json::from_str(&text).unwrap();
        text.len()
    }
}

/// What holds for every decision whatsoever.
fn sane(decision: &Decision, observation: &Observation, policy: &Policy) {
    let text = serde_json::to_string(decision).unwrap();
    let read: Decision = serde_json::from_str(&text).expect("every term is a number");
    assert_eq!(&read, decision);
    assert!(
        !decision.text.contains("NaN") && !decision.text.contains("inf"),
        "{}",
        decision.text
    );
    let partitions = u32::try_from(observation.partitions.len()).unwrap();
    let replicas = decision.replicas;
    if policy.windows.is_empty() && policy.pinned.is_none() {
        assert!((policy.min..=policy.max).contains(&replicas), "{text}");
    }
    if replicas > observation.desired && policy.pinned.is_none() {
        // Never more than are of use, unless the user wants so many.
        assert!(
            replicas <= useful::at_most(partitions, replicas).max(policy.min) || partitions == 0,
            "{text}"
        );
    }
    if replicas == 0 && observation.desired > 0 {
        assert_eq!(decision.reason, Reason::Idle, "{text}");
        assert_eq!(decision.terms.lag_records, 0, "{text}");
    }
}
