//! How many records arrive a second: damped against noise, quick at a step, and looking ahead on a ramp.

use serde::{Deserialize, Serialize};

/// Time constant of the damping, in seconds.
const DAMPING: f64 = 120.0;
/// Records a second that are none when none came last.
const NOTHING: f64 = 0.05;
/// A reading this far from the level is a step if the next one is so as well; noise of ±20 % never is.
const STEP: f64 = 0.4;
/// What the trend is made of, in seconds.
const TREND_WINDOW: f64 = 300.0;
/// Samples of the trend are at least so far apart, in seconds, so that there are few.
const SAMPLE_EVERY: f64 = 9.0;
/// Fewer samples say nothing.
const LEAST_SAMPLES: usize = 16;
/// A slope counts that is so many standard errors from none.
const SIGNIFICANT: f64 = 8.0;
/// However steep, the forecast is at most this multiple of the level.
const FARTHEST: f64 = 1.5;

/// The estimate, and what it is made of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Arrival {
    level: Option<f64>,
    /// Seconds since the level began, or stepped: until there are enough, it is their mean.
    settled: f64,
    /// A reading that was far off, awaiting the next.
    outlier: Option<f64>,
    /// Recent readings: observed seconds and records a second.
    samples: Vec<(f64, f64)>,
}

impl Arrival {
    /// Records a second, damped; `None` before the first interval.
    #[must_use]
    pub(crate) fn level(&self) -> Option<f64> {
        self.level
    }

    /// The last reading was far off, and the next will tell whether that was a step.
    #[must_use]
    pub(crate) fn in_doubt(&self) -> bool {
        self.outlier.is_some()
    }

    /// Takes the `rate` over the last `seconds`, at `clock` observed seconds.
    pub(crate) fn observe(&mut self, rate: f64, seconds: f64, clock: f64) {
        if !(rate.is_finite() && rate >= 0.0 && seconds > 0.0) {
            return;
        }
        let Some(level) = self.level else {
            self.level = Some(rate);
            self.settled = seconds;
            self.sample(rate, clock);
            return;
        };
        let off = |rate: f64| (rate - level).abs() > STEP * level.max(1.0);
        match self.outlier {
            Some(before) if off(rate) && (before > level) == (rate > level) => {
                // The first of the two may have seen a part of the step; or have been a burst, or a pause.
                self.level = Some(if rate > level { rate } else { before.max(rate) });
                self.settled = seconds;
                self.outlier = None;
                self.samples.clear();
            }
            _ => {
                self.settled = (self.settled + seconds).min(DAMPING);
                let share = seconds / self.settled.max(seconds);
                // A single reading that is far off moves the level no further than a step's threshold would.
                let limited = rate.clamp(level * (1.0 - STEP), level.max(1.0) * (1.0 + STEP));
                let next = level + share * (limited - level);
                self.level = Some(if rate > 0.0 || next > NOTHING { next } else { 0.0 });
                self.outlier = off(rate).then_some(rate);
            }
        }
        self.sample(rate, clock);
    }

    /// What is to be expected in `ahead` seconds: above the level only where the readings rise beyond doubt.
    #[must_use]
    pub(crate) fn forecast(&self, ahead: f64, clock: f64) -> f64 {
        let level = self.level.unwrap_or(0.0);
        self.rise().map_or(level, |line| {
            line.at(clock + ahead).clamp(level, FARTHEST * level.max(1.0))
        })
    }

    /// Whether readings rise beyond doubt.
    pub(crate) fn rises(&self) -> bool {
        self.rise().is_some()
    }

    fn rise(&self) -> Option<Line> {
        self.trend()
            .filter(|line| line.slope > SIGNIFICANT * line.slope_error)
    }

    fn sample(&mut self, rate: f64, clock: f64) {
        if self
            .samples
            .last()
            .is_none_or(|(last, _)| clock - last >= SAMPLE_EVERY)
        {
            self.samples
                .retain(|(then, _)| (clock - TREND_WINDOW..clock).contains(then));
            self.samples.push((clock.round(), rate.round()));
        }
    }

    /// Least squares.
    fn trend(&self) -> Option<Line> {
        if self.samples.len() < LEAST_SAMPLES {
            return None;
        }
        let count = self.samples.len() as f64;
        let mean_time = self.samples.iter().map(|(time, _)| time).sum::<f64>() / count;
        let mean_rate = self.samples.iter().map(|(_, rate)| rate).sum::<f64>() / count;
        let spread: f64 = self
            .samples
            .iter()
            .map(|(time, _)| (time - mean_time).powi(2))
            .sum();
        let slope = self
            .samples
            .iter()
            .map(|(time, rate)| (time - mean_time) * (rate - mean_rate))
            .sum::<f64>()
            / spread;
        let line = Line {
            mean_time,
            mean_rate,
            slope,
            slope_error: 0.0,
        };
        let residuals: Vec<f64> = self
            .samples
            .iter()
            .map(|(time, rate)| rate - line.at(*time))
            .collect();
        let squares: f64 = residuals.iter().map(|residual| residual.powi(2)).sum();
        let products: f64 = residuals
            .iter()
            .zip(residuals.iter().skip(1))
            .map(|(one, next)| one * next)
            .sum();
        // Noise that lasts looks like a trend: residuals that resemble their neighbours count for less.
        let alike = (products / squares.max(f64::MIN_POSITIVE)).clamp(0.0, 0.9);
        let slope_error = (squares / (count - 2.0) / spread).sqrt() * ((1.0 + alike) / (1.0 - alike)).sqrt();
        (spread > 0.0).then_some(Line { slope_error, ..line })
    }
}

struct Line {
    mean_time: f64,
    mean_rate: f64,
    slope: f64,
    slope_error: f64,
}

impl Line {
    fn at(&self, time: f64) -> f64 {
        self.mean_rate + self.slope * (time - self.mean_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    fn after(rates: impl IntoIterator<Item = f64>) -> (Arrival, f64) {
        let mut arrival = Arrival::default();
        let mut clock = 0.0;
        for rate in rates {
            clock += 10.0;
            arrival.observe(rate, 10.0, clock);
        }
        (arrival, clock)
    }

    #[test]
    fn a_step_is_taken_at_the_second_reading_and_a_single_reading_is_not() {
        let steady = [1_000.0; 30];
        let (arrival, _) = after(steady.into_iter().chain([9_000.0]));
        assert!(arrival.level().unwrap() < 1_100.0);
        // The first reading saw a part of the step only.
        let (arrival, _) = after(steady.into_iter().chain([4_000.0, 9_000.0]));
        assert!((arrival.level().unwrap() - 9_000.0).abs() < 1.0);
        let (arrival, _) = after(steady.into_iter().chain([0.0, 0.0]));
        assert!(arrival.level().unwrap() < 1.0);
    }

    #[test]
    fn noise_neither_steps_nor_trends() {
        let mut random = StdRng::seed_from_u64(7);
        let mut rising = 0;
        for lasts in [1, 3, 6].repeat(100) {
            let mut rate = 0.0;
            let (arrival, _) = after((0..60).map(|i| {
                if i % lasts == 0 {
                    rate = 1_000.0 * random.random_range(0.8..1.2);
                }
                rate
            }));
            let level = arrival.level().unwrap();
            assert!((800.0..1_200.0).contains(&level), "{level}");
            rising += i32::from(arrival.rises());
        }
        assert!(rising <= 6, "{rising} of 300");
    }

    #[test]
    fn a_ramp_is_seen_ahead_and_a_descent_is_not() {
        let (arrival, clock) = after((0..30).map(|i| 1_000.0 + 20.0 * f64::from(i)));
        let now = 1_580.0;
        assert!(arrival.level().unwrap() < now);
        assert!((arrival.forecast(60.0, clock) - (now + 120.0)).abs() < 10.0);
        let (arrival, clock) = after((0..30).map(|i| 2_000.0 - 20.0 * f64::from(i)));
        assert!((arrival.forecast(60.0, clock) - arrival.level().unwrap()).abs() < f64::EPSILON);
    }

    #[test]
    fn readings_that_are_no_numbers_are_ignored() {
        let (arrival, _) = after([1_000.0, f64::NAN, -5.0, f64::INFINITY]);
        assert_eq!(arrival.level(), Some(1_000.0));
    }
}
