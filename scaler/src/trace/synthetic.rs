//! Loads by formula.

use std::f64::consts::TAU;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::Trace;
use crate::platform::Platform;

const PARTITIONS: usize = 24;
const HOUR: u32 = 3_600;
const MINUTE: u32 = 60;

/// The set that reports show.
#[must_use]
pub fn all(seed: u64) -> Vec<Trace> {
    vec![
        step(seed),
        slow_start(seed),
        ramp(seed),
        sine(seed),
        spike(seed),
        sawtooth(seed),
        noise(seed),
        idle(seed),
        day(seed),
        zipf(seed),
        sink(seed),
    ]
}

fn step(seed: u64) -> Trace {
    Trace {
        steps: vec![30 * MINUTE],
        ..trace(
            "step",
            "4,000 records/s, for an hour 24,000, then 4,000 again",
            seed,
            3 * HOUR,
            |t| {
                if (30 * MINUTE..90 * MINUTE).contains(&t) {
                    24_000.0
                } else {
                    4_000.0
                }
            },
        )
    }
}

fn slow_start(seed: u64) -> Trace {
    let step = step(seed);
    Trace {
        name: "slow-start".to_owned(),
        about: "the same step where workers take 3 minutes to start and a rebalance takes 15 seconds"
            .to_owned(),
        platform: Platform {
            start_seconds: 180,
            pause_seconds: 15,
            ..step.platform
        },
        ..step
    }
}

fn ramp(seed: u64) -> Trace {
    trace(
        "ramp",
        "from 2,000 to 40,000 records/s in 90 minutes, and back in 60",
        seed,
        3 * HOUR,
        |t| {
            let t = f64::from(t) / 60.0;
            2_000.0
                + 38_000.0
                    * if t < 90.0 {
                        t / 90.0
                    } else {
                        ((150.0 - t) / 60.0).max(0.0)
                    }
        },
    )
}

fn sine(seed: u64) -> Trace {
    trace(
        "sine",
        "20,000 ± 15,000 records/s, with a period of an hour",
        seed,
        5 * HOUR,
        |t| 20_000.0 - 15_000.0 * (TAU * f64::from(t) / f64::from(HOUR)).cos(),
    )
}

fn spike(seed: u64) -> Trace {
    trace(
        "spike",
        "4,000 records/s, each hour 40,000 for three minutes",
        seed,
        4 * HOUR,
        |t| {
            if (30 * MINUTE..33 * MINUTE).contains(&(t % HOUR)) {
                40_000.0
            } else {
                4_000.0
            }
        },
    )
}

fn sawtooth(seed: u64) -> Trace {
    trace(
        "sawtooth",
        "from 4,000 to 30,000 records/s in 40 minutes, again and again",
        seed,
        4 * HOUR,
        |t| 4_000.0 + 26_000.0 * f64::from(t % (40 * MINUTE)) / f64::from(40 * MINUTE),
    )
}

fn noise(seed: u64) -> Trace {
    let mut random = StdRng::seed_from_u64(seed);
    let factors: Vec<f64> = (0..6 * 360).map(|_| random.random_range(0.8..1.2)).collect();
    trace(
        "noise",
        "12,000 records/s ± 20 %, another value every ten seconds",
        seed,
        6 * HOUR,
        |t| 12_000.0 * factors.get(t as usize / 10).copied().unwrap_or(1.0),
    )
}

fn idle(seed: u64) -> Trace {
    trace(
        "idle",
        "nothing, but for ten minutes of 2,000 records/s every two hours",
        seed,
        8 * HOUR,
        |t| {
            if t % (2 * HOUR) >= 110 * MINUTE {
                2_000.0
            } else {
                0.0
            }
        },
    )
}

fn day(seed: u64) -> Trace {
    // Listeners of a music service by hour, UTC.
    const CURVE: [f64; 25] = [
        10.0, 7.0, 5.0, 4.0, 4.0, 5.0, 8.0, 14.0, 20.0, 22.0, 22.0, 23.0, 25.0, 25.0, 24.0, 25.0, 28.0, 33.0,
        38.0, 40.0, 36.0, 28.0, 20.0, 14.0, 10.0,
    ];
    trace(
        "day",
        "a day of listeners: 4,000 records/s at night, 40,000 in the evening",
        seed,
        24 * HOUR,
        |t| {
            let hour = (t / HOUR) as usize;
            let within = f64::from(t % HOUR) / f64::from(HOUR);
            let at = |hour: usize| 1_000.0 * CURVE.get(hour).copied().unwrap_or(10.0);
            at(hour) + within * (at(hour + 1) - at(hour))
        },
    )
}

fn zipf(seed: u64) -> Trace {
    let weights = (1..=PARTITIONS).map(|rank| 1.0 / rank as f64).collect();
    Trace {
        weights,
        steps: vec![30 * MINUTE],
        ..trace(
            "zipf",
            "keys by Zipf's law: at 12,000 records/s the hottest partition alone gets 3,200, more than a worker can do",
            seed,
            3 * HOUR,
            |t| {
                if (30 * MINUTE..60 * MINUTE).contains(&t) {
                    12_000.0
                } else {
                    6_000.0
                }
            },
        )
    }
}

fn sink(seed: u64) -> Trace {
    let trace = trace(
        "sink",
        "a sink that takes 9,000 records/s, and for an hour 14,000 arrive",
        seed,
        5 * HOUR,
        |t| {
            if (30 * MINUTE..90 * MINUTE).contains(&t) {
                14_000.0
            } else {
                4_000.0
            }
        },
    );
    Trace {
        platform: Platform {
            sink_per_second: Some(9_000.0),
            ..trace.platform
        },
        ..trace
    }
}

/// A load by second, with ±5 % of noise so that nothing is too regular.
fn trace(name: &str, about: &str, seed: u64, seconds: u32, load: impl Fn(u32) -> f64) -> Trace {
    let mut random = StdRng::seed_from_u64(seed ^ u64::from(seconds));
    Trace {
        name: name.to_owned(),
        about: about.to_owned(),
        arrivals: (0..seconds)
            .map(|t| (load(t) * random.random_range(0.95..1.05)).round())
            .collect(),
        weights: vec![1.0; PARTITIONS],
        platform: Platform {
            workers: 2,
            ..Platform::default()
        },
        steps: Vec::new(),
    }
}
