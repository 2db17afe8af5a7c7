//! `streampipeline backtest` and `streampipeline record`: scaling decisions, before they cost anything.

mod backtest;
mod record;

pub(crate) use backtest::BacktestArgs;
pub(crate) use record::RecordArgs;
