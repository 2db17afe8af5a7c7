//! When events are due: the rate as a function of time, its integral, and the integral's exact inverse.
//!
//! A shape is a period of pieces in each of which the rate changes linearly, so that the integral is a
//! parabola a piece and is inverted in closed form. Shapes are tied to the clock, not to the start of a run:
//! a burst every minute begins on the minute (UTC), and a day's weights are the UTC hours', whenever a run
//! began or was resumed and however many replicas take part.

use std::time::Duration;

use api::RateShape;

/// The rate over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pieces: Box<[Piece]>,
    /// Seconds.
    period: f64,
    /// Events of one period.
    events: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    /// Seconds since the period's start.
    start: f64,
    /// Events a second at the start.
    rate: f64,
    /// Change of the rate, events a second each second.
    slope: f64,
    /// Events of the period before this piece.
    before: f64,
}

impl Piece {
    /// Events in the first `seconds` of the piece.
    fn events(&self, seconds: f64) -> f64 {
        (self.rate + 0.5 * self.slope * seconds) * seconds
    }

    /// Seconds until the piece has had `events`: the root of the parabola in the form without cancellation.
    fn seconds(&self, events: f64) -> f64 {
        if events <= 0.0 {
            return 0.0;
        }
        let discriminant = (self.rate * self.rate + 2.0 * self.slope * events).max(0.0);
        2.0 * events / (self.rate + discriminant.sqrt())
    }
}

impl Schedule {
    /// `rate` in events a second, varied by `shape`; the meaning of each is [`api::RateShape`]'s.
    #[must_use]
    pub fn new(rate: f64, shape: &RateShape) -> Self {
        match shape {
            RateShape::Constant => Self::of(&[(1.0, rate, rate)]),
            RateShape::Bursts {
                every,
                lasting,
                rate: burst,
            } => {
                let (every, lasting) = (every.as_secs_f64(), lasting.as_secs_f64());
                Self::of(&[(lasting, *burst, *burst), (every - lasting, rate, rate)])
            }
            RateShape::Day { weights, period } => {
                let hour = period.as_secs_f64() / weights.len() as f64;
                // The mean of linear pieces of equal length is the mean of their ends.
                let scale = rate * weights.len() as f64 / weights.iter().sum::<f64>();
                let ends = weights.iter().cycle().skip(1);
                let pieces: Vec<_> = weights
                    .iter()
                    .zip(ends)
                    .map(|(from, to)| (hour, from * scale, to * scale))
                    .collect();
                Self::of(&pieces)
            }
        }
    }

    /// From `(seconds, rate at the start, rate at the end)`.
    fn of(parts: &[(f64, f64, f64)]) -> Self {
        let (mut period, mut events) = (0.0, 0.0);
        let mut pieces = Vec::with_capacity(parts.len());
        for &(seconds, from, to) in parts {
            if seconds <= 0.0 {
                continue;
            }
            let piece = Piece {
                start: period,
                rate: from,
                slope: (to - from) / seconds,
                before: events,
            };
            events += piece.events(seconds);
            period += seconds;
            pieces.push(piece);
        }
        Self {
            pieces: pieces.into_boxed_slice(),
            period,
            events,
        }
    }

    /// Mean events a second over the shape's period.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.events / self.period
    }

    /// The schedule as it runs from `origin`, microseconds since 1970.
    #[must_use]
    pub fn from(&self, origin: i64) -> Pace {
        // Whole periods cancel, so only the place within the period counts.
        let micros = self.period * 1e6;
        let phase = ((origin as f64).rem_euclid(micros) / 1e6).min(self.period);
        Pace {
            origin,
            phase,
            events_before: self.events_by(phase),
        }
    }

    /// Events from the period's start to `seconds` after it.
    fn events_by(&self, seconds: f64) -> f64 {
        let periods = (seconds / self.period).floor();
        let within = (-periods).mul_add(self.period, seconds).clamp(0.0, self.period);
        let piece = self.pieces.partition_point(|piece| piece.start <= within).max(1) - 1;
        let events = self
            .pieces
            .get(piece)
            .map_or(0.0, |piece| piece.before + piece.events(within - piece.start));
        periods.mul_add(self.events, events.min(self.events))
    }

    /// Seconds from the period's start until there have been `events`.
    fn seconds_until(&self, events: f64) -> f64 {
        let periods = (events / self.events).floor();
        let within = (-periods).mul_add(self.events, events).clamp(0.0, self.events);
        // The last piece that begins before the event: of a stretch without events, its start.
        let piece = self.pieces.partition_point(|piece| piece.before < within).max(1) - 1;
        let seconds = self
            .pieces
            .get(piece)
            .map_or(0.0, |piece| piece.start + piece.seconds(within - piece.before));
        periods.mul_add(self.period, seconds.min(self.period))
    }

    /// When event number `number` of a pace, from 0, is due, since the pace's origin: as soon as the integral
    /// of the rate reaches it. Accurate to some nanoseconds over years.
    #[must_use]
    pub fn due(&self, pace: &Pace, number: u64) -> Duration {
        let seconds = self.seconds_until(pace.events_before + number as f64) - pace.phase;
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
    }

    /// How many events of a pace are due within `elapsed` of its origin: the inverse of [`Self::due`].
    #[must_use]
    pub fn count_by(&self, pace: &Pace, elapsed: Duration) -> u64 {
        let events = self.events_by(pace.phase + elapsed.as_secs_f64()) - pace.events_before;
        // The estimate is right but for rounding; `due` decides, so that the two agree to the nanosecond.
        let mut count = events.max(0.0) as u64;
        while self.due(pace, count) <= elapsed {
            count += 1;
        }
        while count > 0 && self.due(pace, count - 1) > elapsed {
            count -= 1;
        }
        count
    }
}

/// A schedule's beginning at a certain instant.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pace {
    /// Microseconds since 1970.
    pub origin: i64,
    /// Seconds from the period's start to the origin.
    phase: f64,
    /// Events of the period before the origin.
    events_before: f64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn shapes() -> impl Strategy<Value = RateShape> {
        let bursts = (1_u64..3_600, 0.01_f64..0.99, 0.1_f64..200_000.0).prop_map(|(every, share, rate)| {
            let every = Duration::from_secs(every);
            RateShape::Bursts {
                every,
                lasting: every.mul_f64(share),
                rate,
            }
        });
        let day =
            (prop::collection::vec(0.0_f64..10.0, 24), 10_u64..200_000).prop_map(|(mut weights, seconds)| {
                weights[3] = 0.0;
                weights[4] = 0.0;
                weights[12] += 1.0;
                RateShape::Day {
                    weights,
                    period: Duration::from_secs(seconds),
                }
            });
        prop_oneof![Just(RateShape::Constant), bursts, day]
    }

    proptest! {
        #[test]
        fn due_and_count_are_inverse_and_monotone(
            shape in shapes(),
            rate in 0.1_f64..200_000.0,
            origin in 0_i64..2_000_000_000_000_000,
            number in 0_u64..1_000_000_000_000,
        ) {
            let schedule = Schedule::new(rate, &shape);
            let pace = schedule.from(origin);
            let due = schedule.due(&pace, number);
            prop_assert!(schedule.due(&pace, number + 1) >= due);
            prop_assert!(schedule.count_by(&pace, due) > number);
            if let Some(before) = due.checked_sub(Duration::from_nanos(1)) {
                prop_assert!(schedule.count_by(&pace, before) <= number);
            }
        }

        /// Over whole periods the mean is the rate that was asked for, wherever the run begins.
        #[test]
        fn the_mean_is_exact(shape in shapes(), rate in 0.1_f64..200_000.0, origin in 0_i64..2_000_000_000_000_000) {
            let schedule = Schedule::new(rate, &shape);
            if !matches!(shape, RateShape::Bursts { .. }) {
                prop_assert!((schedule.mean() / rate - 1.0).abs() < 1e-9);
            }
            let pace = schedule.from(origin);
            let elapsed = Duration::from_secs_f64(schedule.period * 100.0);
            let expected = schedule.events * 100.0;
            let count = schedule.count_by(&pace, elapsed) as f64;
            prop_assert!((count - expected).abs() <= 2.0 + expected * 1e-9, "{count} for {expected}");
        }

        /// Any ten seconds hold ten seconds' worth, to 1 % or one event.
        #[test]
        fn ten_seconds_are_within_one_percent(rate in 0.1_f64..200_000.0, from in 0_u64..10_000_000_000) {
            let schedule = Schedule::new(rate, &RateShape::Constant);
            let pace = schedule.from(0);
            let from = Duration::from_millis(from);
            let count = schedule.count_by(&pace, from + Duration::from_secs(10)) - schedule.count_by(&pace, from);
            let expected = rate * 10.0;
            prop_assert!((count as f64 - expected).abs() <= (expected * 0.01).max(1.0), "{count} for {expected}");
        }
    }

    #[test]
    fn the_first_event_is_due_at_once() {
        let schedule = Schedule::new(0.1, &RateShape::Constant);
        let pace = schedule.from(1_234_567);
        let due: Vec<f64> = (0..3)
            .map(|number| schedule.due(&pace, number).as_secs_f64())
            .collect();
        assert_eq!(due, [0.0, 10.0, 20.0]);
        assert_eq!(schedule.count_by(&pace, Duration::ZERO), 1);
    }

    /// After five months at 200,000 a second the spacing of 5 microseconds is still kept.
    #[test]
    fn stays_accurate_for_months() {
        let schedule = Schedule::new(200_000.0, &RateShape::Constant);
        let pace = schedule.from(0);
        let months = 150 * 86_400 * 200_000_u64;
        let spacing = schedule
            .due(&pace, months)
            .abs_diff(schedule.due(&pace, months + 1));
        assert!(spacing.as_nanos().abs_diff(5_000) <= 4, "{spacing:?}");
    }

    #[test]
    fn bursts_begin_on_the_clock() {
        let shape = RateShape::Bursts {
            every: Duration::from_mins(1),
            lasting: Duration::from_secs(10),
            rate: 100.0,
        };
        let schedule = Schedule::new(1.0, &shape);
        let count = |origin: i64, from: u64, to: u64| {
            let pace = schedule.from(origin);
            schedule.count_by(&pace, Duration::from_secs(to))
                - schedule.count_by(&pace, Duration::from_secs(from))
        };
        assert_eq!(count(1_000 * MINUTE, 0, 10), 1_000);
        assert_eq!(count(1_000 * MINUTE, 10, 60), 50);
        assert_eq!(count(1_000 * MINUTE, 60, 70), 1_000);
        // Begun half-way through a minute: the next burst is half a minute away.
        assert_eq!(count(1_000 * MINUTE + MINUTE / 2, 0, 30), 30);
        assert_eq!(count(1_000 * MINUTE + MINUTE / 2, 30, 40), 1_000);
    }

    #[test]
    fn a_day_follows_its_weights() {
        let mut weights = vec![0.0; 24];
        weights[12] = 1.0;
        let shape = RateShape::Day {
            weights,
            period: Duration::from_hours(24),
        };
        let schedule = Schedule::new(10.0, &shape);
        let pace = schedule.from(0);
        let by = |hour: u64| schedule.count_by(&pace, Duration::from_hours(hour));
        // All of the day's 864,000 events fall into the two hours around noon, symmetrically. The event that is
        // due at the very start of a run is the one in the night.
        assert_eq!(by(11), 1);
        assert!(by(12).abs_diff(432_000) <= 1, "{}", by(12));
        assert!(by(13).abs_diff(864_000) <= 1, "{}", by(13));
        assert!(by(34).abs_diff(864_000) <= 1, "{}", by(34));
    }
}
