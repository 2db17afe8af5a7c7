//! Schedules: cron expressions of five fields, in UTC, as Kubernetes' `CronJob` takes them.
//!
//! The one reader of them, below both the manifest, which has them as text, and the scaler, which knows nothing of
//! manifests. Nothing here does I/O or asks a clock.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod field;
mod schedule;

pub use schedule::{Schedule, ScheduleError};
