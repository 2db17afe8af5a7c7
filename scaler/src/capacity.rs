//! What one worker can do: what the workers say, corrected by what they are seen to do when they have enough to do.

use serde::{Deserialize, Serialize};

/// Time constant of the damping, in seconds.
const DAMPING: f64 = 60.0;
/// A claim is doubted when it exceeds what is seen by this factor.
const DOUBT: f64 = 1.15;
/// A claim is never taken for less than this share of itself: what is seen can be low for other reasons.
const LEAST_TRUST: f64 = 0.2;

/// The estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Capacity {
    /// Records per busy second, as workers report them, damped.
    claimed: Option<f64>,
    /// What is seen of a claim under full load; 0..=1.
    trust: f64,
    /// Share of the busy time that workers wait for the sink, damped.
    sink_wait: Option<f64>,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            claimed: None,
            trust: 1.0,
            sink_wait: None,
        }
    }
}

impl Capacity {
    /// Records a second that one worker can do; `None` while none has reported.
    #[must_use]
    pub(crate) fn per_worker(&self) -> Option<f64> {
        self.claimed.map(|claimed| claimed * self.trust)
    }

    /// Share of the busy time that workers wait for the sink; 0..=1.
    #[must_use]
    pub(crate) fn sink_wait(&self) -> Option<f64> {
        self.sink_wait
    }

    /// Takes what workers reported over the last `seconds`.
    pub(crate) fn observe(&mut self, claimed: Option<f64>, sink_wait: Option<f64>, seconds: f64) {
        let share = 1.0 - (-seconds / DAMPING).exp();
        damp(&mut self.claimed, claimed, share);
        damp(&mut self.sink_wait, sink_wait, share);
    }

    /// Takes what each worker was `seen` to do, in records a second, while all of them had more than enough to do.
    pub(crate) fn verify(&mut self, seen: f64, seconds: f64) {
        let Some(claimed) = self.claimed.filter(|claimed| *claimed > 0.0) else {
            return;
        };
        let trust = if seen * DOUBT < claimed {
            seen / claimed
        } else {
            1.0
        };
        let share = 1.0 - (-seconds / DAMPING).exp();
        self.trust += share * (trust.clamp(LEAST_TRUST, 1.0) - self.trust);
    }
}

fn damp(level: &mut Option<f64>, value: Option<f64>, share: f64) {
    if let Some(value) = value {
        *level = Some(level.map_or(value, |level| level + share * (value - level)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_corrected_by_what_is_seen_and_believed_again() {
        let mut capacity = Capacity::default();
        capacity.observe(Some(2_500.0), Some(0.2), 10.0);
        for _ in 0..60 {
            capacity.verify(1_000.0, 10.0);
        }
        assert!((capacity.per_worker().unwrap() - 1_000.0).abs() < 10.0);
        // Within measuring error the claim stands.
        for _ in 0..60 {
            capacity.verify(2_300.0, 10.0);
        }
        assert!((capacity.per_worker().unwrap() - 2_500.0).abs() < 10.0);
    }

    #[test]
    fn silence_changes_nothing() {
        let mut capacity = Capacity::default();
        assert_eq!(capacity.per_worker(), None);
        capacity.observe(Some(2_500.0), None, 10.0);
        capacity.observe(None, None, 10.0);
        assert_eq!(
            (capacity.per_worker(), capacity.sink_wait()),
            (Some(2_500.0), None)
        );
    }
}
