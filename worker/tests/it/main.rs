//! The worker against real servers. One program: linking `DataFusion` once is minutes less than linking it often.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bad_records;
mod kafka_outages;
mod kill;
mod models;
mod postgres_outages;
mod secure;
mod support;
mod unfinished;
