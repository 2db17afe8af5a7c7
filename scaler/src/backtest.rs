//! Policies on traces: the one entry point of `streampipeline backtest`.

use std::time::Duration;

use cron::Schedule;
use jiff::Timestamp;

use crate::autoscaler::{Autoscaler, Ours};
use crate::baseline::{Flink, Keda, Numaflow};
use crate::score::{self, Score};
use crate::simulator::{Run, simulate};
use crate::trace::Trace;
use crate::{Policy, Window};

/// A policy to try.
#[derive(Debug, Clone, PartialEq)]
pub enum Contender {
    Ours {
        /// What reports call it.
        name: String,
        policy: Policy,
    },
    /// KEDA's `kafka` scaler with the HPA, at its defaults.
    Keda,
    /// The Flink operator's autoscaler, at its defaults.
    Flink,
    /// Numaflow's, at its defaults.
    Numaflow,
}

/// What became of a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceReport {
    pub trace: Trace,
    /// The fewest workers that keep up, for each minute.
    pub demand: Vec<u32>,
    /// Each contender's result, in their order.
    pub results: Vec<Outcome>,
}

/// What a contender did.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub name: String,
    /// It is one of the product's.
    pub ours: bool,
    pub run: Run,
    /// What it is worth.
    pub score: Score,
}

impl Contender {
    /// What reports call it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Ours { name, .. } => name,
            Self::Keda => "KEDA + HPA",
            Self::Flink => "Flink",
            Self::Numaflow => "Numaflow",
        }
    }

    fn autoscaler(&self) -> Box<dyn Autoscaler> {
        match self {
            Self::Ours { policy, .. } => Box::new(Ours::new(policy.clone(), Timestamp::UNIX_EPOCH)),
            Self::Keda => Box::new(Keda::default()),
            Self::Flink => Box::new(Flink::default()),
            Self::Numaflow => Box::new(Numaflow::default()),
        }
    }
}

/// The product's `policy` and all baselines.
#[must_use]
pub fn contenders(policy: Policy) -> Vec<Contender> {
    vec![
        Contender::Ours {
            name: "StreamPipeline".to_owned(),
            policy,
        },
        Contender::Keda,
        Contender::Flink,
        Contender::Numaflow,
    ]
}

/// What the documentation shows: the defaults, settings for other wishes, and the baselines.
#[must_use]
pub fn documented() -> Vec<Contender> {
    let defaults = Policy {
        max: 24,
        ..Policy::default()
    };
    let with = |name: &str, policy: Policy| Contender::Ours {
        name: format!("StreamPipeline {name}"),
        policy,
    };
    let mut all = contenders(defaults.clone());
    let baselines = all.split_off(1);
    let thrifty = Policy {
        min: 0,
        drain_within: Duration::from_mins(30),
        patience: Duration::from_secs(30),
        ..defaults.clone()
    };
    let with_peaks = Policy {
        max: 12,
        windows: [
            window("22 * * * *", Duration::from_mins(12), None, Some(24)),
            window("0 17 * * *", Duration::from_hours(3), None, Some(24)),
        ]
        .into_iter()
        .flatten()
        .collect(),
        ..thrifty.clone()
    };
    all.extend([
        with("thrifty", thrifty),
        with("rationed", with_peaks),
        with(
            "ready",
            Policy {
                drain_within: Duration::from_secs(30),
                windows: window("28 * * * *", Duration::from_mins(8), Some(24), None)
                    .into_iter()
                    .collect(),
                ..defaults.clone()
            },
        ),
        with(
            "quick",
            Policy {
                drain_within: Duration::from_secs(20),
                ..defaults.clone()
            },
        ),
        with(
            "steady",
            Policy {
                min: 12,
                ..defaults.clone()
            },
        ),
        with("ample", Policy { min: 23, ..defaults }),
    ]);
    all.extend(baselines);
    all
}

/// `None` for a schedule that is none.
fn window(start: &str, duration: Duration, min: Option<u32>, max: Option<u32>) -> Option<Window> {
    Some(Window {
        start: Schedule::parse(start).ok()?,
        duration,
        min,
        max,
    })
}

/// Runs every contender on every trace. The same seed gives the same report.
#[must_use]
pub fn run(traces: Vec<Trace>, contenders: &[Contender], seed: u64) -> Vec<TraceReport> {
    traces
        .into_iter()
        .map(|trace| TraceReport {
            demand: score::demand(&trace),
            results: contenders
                .iter()
                .map(|contender| {
                    let run = simulate(&trace, contender.autoscaler().as_mut(), seed);
                    Outcome {
                        name: contender.name().to_owned(),
                        ours: matches!(contender, Contender::Ours { .. }),
                        score: score::score(&trace, &run),
                        run,
                    }
                })
                .collect(),
            trace,
        })
        .collect()
}
