//! How long to wait before trying again.

use std::time::Duration;

/// Exponential delays with full jitter: many clients that failed together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first delay; doubled with every attempt.
    pub initial: Duration,
    /// Bound of all delays.
    pub max: Duration,
}

impl Backoff {
    /// The delay before attempt `attempt` + 1, when `attempt` (from 0) has failed.
    ///
    /// `random` is uniform in [0, 1). The delay is uniform in [bound / 2, bound): at least half, so that a failing
    /// server is never hammered by an unlucky draw.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let doubled = 2_f64.powi(attempt.min(63) as i32);
        let bound = (self.initial.as_secs_f64() * doubled).min(self.max.as_secs_f64());
        Duration::try_from_secs_f64(bound * (0.5 + random.clamp(0.0, 1.0) / 2.0)).unwrap_or(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff {
        initial: Duration::from_millis(100),
        max: Duration::from_secs(5),
    };

    #[test]
    fn bounds_double_up_to_the_largest() {
        for (attempt, random, milliseconds) in [
            (0, 0.0, 50),
            (0, 1.0, 100),
            (1, 0.0, 100),
            (3, 0.5, 600),
            (6, 1.0, 5000),
            (u32::MAX, 0.0, 2500),
        ] {
            assert_eq!(
                BACKOFF.delay(attempt, random),
                Duration::from_millis(milliseconds),
                "{attempt} {random}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_delay_is_out_of_bounds(initial in 1_u64..100_000, max in 1_u64..100_000_000, attempt: u32, random in 0.0..1.0) {
            let backoff = Backoff { initial: Duration::from_millis(initial), max: Duration::from_millis(max) };
            let delay = backoff.delay(attempt, random);
            let tolerance = Duration::from_nanos(2);
            prop_assert!(delay <= backoff.max);
            prop_assert!(delay + tolerance >= backoff.initial.min(backoff.max) / 2);
        }
    }
}
