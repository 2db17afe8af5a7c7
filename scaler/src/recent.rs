//! The most workers that were needed of late: what a scale-down must not go below.

use serde::{Deserialize, Serialize};

/// Needs of the recent past, as a queue of falling maxima: never longer than there are different useful counts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Recent {
    /// Observed seconds when watching began.
    since: Option<f64>,
    /// Observed seconds and workers; later ones are smaller.
    maxima: Vec<(f64, u32)>,
}

impl Recent {
    /// Notes that `workers` were needed at `clock` observed seconds; forgets what is older than `window` seconds.
    pub(crate) fn note(&mut self, workers: u32, clock: f64, window: f64) {
        self.since.get_or_insert(clock);
        while self.maxima.last().is_some_and(|(_, needed)| *needed <= workers) {
            self.maxima.pop();
        }
        self.maxima.push((clock, workers));
        self.maxima.retain(|(then, _)| clock - then <= window);
    }

    /// The most that was needed from `since` on, in observed seconds.
    pub(crate) fn most(&self, since: f64) -> u32 {
        self.maxima
            .iter()
            .find(|(then, _)| *then >= since)
            .map_or(0, |(_, needed)| *needed)
    }

    /// Seconds until fewer than `workers` will have been enough for the whole `window`, if nothing changes; 0 if they
    /// have been already.
    pub(crate) fn until_fewer(&self, workers: u32, clock: f64, window: f64) -> f64 {
        let last = self
            .maxima
            .iter()
            .rev()
            .find(|(_, needed)| *needed >= workers)
            .map(|(then, _)| *then)
            .or(self.since)
            .unwrap_or(clock);
        (last + window - clock).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fewer_must_have_been_enough_for_the_whole_window() {
        let mut recent = Recent::default();
        recent.note(4, 0.0, 300.0);
        recent.note(2, 10.0, 300.0);
        assert!((recent.until_fewer(4, 10.0, 300.0) - 290.0).abs() < 1e-9);
        recent.note(4, 200.0, 300.0);
        recent.note(1, 310.0, 300.0);
        assert_eq!(recent.most(0.0), 4);
        assert_eq!(recent.most(210.0), 1);
        assert!((recent.until_fewer(4, 310.0, 300.0) - 190.0).abs() < 1e-9);
        recent.note(1, 510.0, 300.0);
        assert_eq!(recent.most(0.0), 1);
        assert!(recent.until_fewer(4, 510.0, 300.0) < 1e-9);
    }

    proptest! {
        #[test]
        fn it_is_the_maximum_of_the_window(needs in proptest::collection::vec(0_u32..30, 1..200)) {
            let mut recent = Recent::default();
            for (index, needed) in needs.iter().enumerate() {
                recent.note(*needed, index as f64 * 10.0, 100.0);
                let from = index.saturating_sub(10);
                prop_assert_eq!(recent.most(0.0), *needs[from..=index].iter().max().unwrap());
            }
            prop_assert!(recent.maxima.len() <= 30);
        }
    }
}
