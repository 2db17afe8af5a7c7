//! Kubernetes' `HorizontalPodAutoscaler` v2 with one metric of type `AverageValue` and the default behaviour.

use std::collections::VecDeque;

/// Ratios this close to 1 change nothing.
const TOLERANCE: f64 = 0.1;
/// Scaling down takes the highest recommendation of so many seconds.
const STABILIZATION: u32 = 300;
/// Per sync period of 15 s it scales up to the double, or by so many pods, whichever is more.
const PODS_UP: u32 = 4;

#[derive(Debug, Clone, Default)]
pub struct Hpa {
    /// When (seconds), and what.
    recommendations: VecDeque<(u32, u32)>,
}

impl Hpa {
    /// Seconds between two syncs.
    pub const SYNC_SECONDS: u32 = 15;

    /// What the metric alone asks for.
    #[must_use]
    pub fn raw(total: f64, target_average: f64, current: u32) -> u32 {
        let ratio = total / (target_average * f64::from(current));
        if (1.0 - ratio).abs() <= TOLERANCE {
            current
        } else {
            (total / target_average).ceil() as u32
        }
    }

    /// One sync at `seconds`.
    pub fn sync(&mut self, total: f64, target_average: f64, current: u32, max: u32, seconds: u32) -> u32 {
        let raw = Self::raw(total, target_average, current).clamp(1, max);
        self.recommendations.push_back((seconds, raw));
        while self
            .recommendations
            .front()
            .is_some_and(|(then, _)| seconds - then > STABILIZATION)
        {
            self.recommendations.pop_front();
        }
        let highest = self
            .recommendations
            .iter()
            .map(|(_, workers)| *workers)
            .max()
            .unwrap_or(raw);
        if raw > current {
            raw.min((current * 2).max(current + PODS_UP))
        } else {
            highest.min(current)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_and_waits_five_minutes_before_it_goes_down() {
        let mut hpa = Hpa::default();
        assert_eq!(hpa.sync(1_000.0, 10.0, 1, 24, 0), 5);
        assert_eq!(hpa.sync(1_000.0, 10.0, 5, 24, 15), 10);
        assert_eq!(hpa.sync(1_000.0, 10.0, 10, 24, 30), 20);
        assert_eq!(hpa.sync(1_000.0, 10.0, 20, 24, 45), 24);
        assert_eq!(hpa.sync(20.0, 10.0, 24, 24, 60), 24);
        assert_eq!(hpa.sync(20.0, 10.0, 24, 24, 345), 24);
        assert_eq!(hpa.sync(20.0, 10.0, 24, 24, 360), 2);
    }
}
