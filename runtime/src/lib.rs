//! What every program of the project needs besides its own work: secrets, logs, shutdown, health and metrics
//! over HTTP, retry delays, exit codes, and the manifest read from a file.
//!
//! Nothing here knows Kafka, a database or a cluster.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod backoff;
pub mod exit;
pub mod health;
pub mod http;
pub mod manifest;
pub mod report;
pub mod secrets;
pub mod shutdown;
pub mod telemetry;
