//! The worker: Kafka records → Arrow batches → SQL → a sink, exactly once.
//!
//! ```text
//! consumer (one thread) ──batches──► partition (a task each) ──► store: decode ─► sql ─► sink
//!      ▲                                   │                          a batch is stored whole or not
//!      └──────── begin, stored, hold ──────┘
//! ```
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod args;
pub mod audit;
mod consumer;
pub mod decode;
mod digest;
mod halt;
mod load;
pub mod metrics;
pub mod model;
pub mod models;
mod ownership;
mod partition;
pub mod plan;
pub mod position;
pub mod prepare;
mod processor;
pub mod progress;
pub mod records;
pub mod reference;
pub mod run;
pub mod sql;
pub mod state;
pub mod store;
