//! What one worker can do: what the workers say, corrected by what they are seen to do when they have enough to do.

use serde::{Deserialize, Serialize};

/// Time constant of forgetting, in seconds.
const DAMPING: f64 = 60.0;
/// What a first report weighs before anything was read by it, in busy seconds; and the least that is remembered.
const LEAST: f64 = 1e-3;
/// More busy seconds than that are no workers', but a report that makes no sense.
const MOST: f64 = 1e6;
/// A claim is doubted when it exceeds what is seen by this factor.
const DOUBT: f64 = 1.15;
/// A claim is never taken for less than this share of itself: what is seen can be low for other reasons.
const LEAST_TRUST: f64 = 0.2;

/// The estimate: of what was lately read, and how long that kept workers busy. So a report counts by the work that it is
/// about: a worker that is hardly busy spends its time on the fixed cost of small batches, and what it says of itself is
/// soon outweighed once there is much to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Capacity {
    /// Records that were read lately.
    records: f64,
    /// Seconds that workers were busy with them, as they report it.
    busy: f64,
    /// Of `busy`, seconds that they waited for the sink; `None` while none has told.
    waited: Option<f64>,
    /// What is seen of a claim under full load; 0..=1.
    trust: f64,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            records: 0.0,
            busy: 0.0,
            waited: None,
            trust: 1.0,
        }
    }
}

impl Capacity {
    /// Records a second that one worker can do; `None` while none has reported.
    #[must_use]
    pub(crate) fn per_worker(&self) -> Option<f64> {
        self.claimed().map(|claimed| claimed * self.trust)
    }

    fn claimed(&self) -> Option<f64> {
        (self.busy > 0.0).then(|| self.records / self.busy)
    }

    /// Share of the busy time that workers wait for the sink; 0..=1.
    #[must_use]
    pub(crate) fn sink_wait(&self) -> Option<f64> {
        let waited = self.waited?;
        (self.busy > 0.0).then(|| waited / self.busy)
    }

    /// Takes what workers reported over the last `seconds`, in which they read so many records.
    pub(crate) fn observe(
        &mut self,
        claimed: Option<f64>,
        sink_wait: Option<f64>,
        consumed: f64,
        seconds: f64,
    ) {
        let Some(claimed) = claimed.filter(|claimed| *claimed > 0.0) else {
            return;
        };
        if self.busy > 0.0 {
            let kept = (-seconds / DAMPING).exp().max((LEAST / self.busy).min(1.0));
            self.records *= kept;
            self.busy *= kept;
            self.waited = self.waited.map(|waited| waited * kept);
        }
        let first = if self.busy > 0.0 { 0.0 } else { LEAST };
        let busy = (consumed / claimed).clamp(first, MOST);
        // Who has not told before is taken to have waited as it does now.
        let before = self.busy;
        self.records += busy * claimed;
        self.busy += busy;
        if let Some(wait) = sink_wait {
            self.waited = Some(self.waited.unwrap_or(before * wait) + busy * wait);
        }
    }

    /// Takes what each worker was `seen` to do, in records a second, while all of them had more than enough to do.
    pub(crate) fn verify(&mut self, seen: f64, seconds: f64) {
        let Some(claimed) = self.claimed().filter(|claimed| *claimed > 0.0) else {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_corrected_by_what_is_seen_and_believed_again() {
        let mut capacity = Capacity::default();
        capacity.observe(Some(2_500.0), Some(0.2), 25_000.0, 10.0);
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
        capacity.observe(Some(2_500.0), None, 0.0, 0.0);
        capacity.observe(None, None, 0.0, 10.0);
        assert_eq!(
            (capacity.per_worker(), capacity.sink_wait()),
            (Some(2_500.0), None)
        );
        // A night without a record.
        for _ in 0..10_000 {
            capacity.observe(Some(2_500.0), Some(0.5), 0.0, 300.0);
        }
        let per_worker = capacity.per_worker().unwrap();
        assert!((per_worker - 2_500.0).abs() < 1.0, "{per_worker}");
    }

    /// Small batches cost more a record than large ones.
    #[test]
    fn what_a_worker_said_with_little_to_do_is_outweighed_once_it_has_much() {
        let mut capacity = Capacity::default();
        for _ in 0..60 {
            capacity.observe(Some(1_200.0), Some(0.9), 2_000.0, 10.0);
        }
        assert!((capacity.per_worker().unwrap() - 1_200.0).abs() < 1.0);
        capacity.observe(Some(24_000.0), Some(0.0), 240_000.0, 10.0);
        assert!(capacity.per_worker().unwrap() > 12_000.0);
        capacity.observe(Some(24_000.0), Some(0.0), 240_000.0, 10.0);
        assert!(capacity.per_worker().unwrap() > 16_000.0);
        assert!(capacity.sink_wait().unwrap() < 0.5);
    }
}
