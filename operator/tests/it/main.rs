//! The real controller against an API server in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../support/mod.rs"]
mod support;

mod api_server;
mod edits;
mod faults;
mod leader;
mod lifecycle;
mod models;
mod ownership;
mod recorded;
mod replicas;
