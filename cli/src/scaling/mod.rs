//! `streampipeline backtest` and `streampipeline record`: scaling decisions, before they cost anything.

mod backtest;
mod record;

pub(crate) use backtest::BacktestArgs;
pub(crate) use record::RecordArgs;

use api::{Pipeline, ScalingMode, StartFrom};
use scaler::cron::Schedule;
use scaler::{Mode, Policy, Window};

/// The policy that a manifest asks for.
pub(crate) fn policy(pipeline: &Pipeline) -> Policy {
    let scaling = &pipeline.scaling;
    Policy {
        min: scaling.min,
        max: scaling.max,
        drain_within: scaling.drain_within,
        freshness: scaling.freshness,
        patience: scaling.patience,
        // What validation has let through is a schedule.
        windows: scaling
            .windows
            .iter()
            .filter_map(|window| {
                Some(Window {
                    start: Schedule::parse(&window.schedule).ok()?,
                    duration: window.duration,
                    min: window.min,
                    max: window.max,
                })
            })
            .collect(),
        mode: match scaling.mode {
            ScalingMode::Auto => Mode::Auto,
            ScalingMode::Recommend => Mode::Recommend,
            ScalingMode::Off => Mode::Off,
        },
        pinned: scaling.replicas,
        from_latest: pipeline
            .topics
            .iter()
            .all(|topic| topic.start_from == StartFrom::Latest),
    }
}
