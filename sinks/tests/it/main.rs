//! The sinks against real databases. One program: linking often is minutes more than linking once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod database;
mod discard;
mod numbered_letters;
mod postgres;
mod promises;
mod sqlite;
mod staged;
mod types;
