//! The operator: makes a cluster run what `StreamPipeline`s say.
//!
//! ```text
//! watch ─► dereference ─► validate ─► observe ─► desire ─► act ─────► report
//!          (secrets)      (pure)      (pods)     (pure)    (server-   (one write, if
//!                                       ▲                   side apply) something changed)
//! Kafka ─► monitors ────────────────────┘  topics and lag, off the reconcile path
//! ```
//!
//! Whatever cannot be read is never taken for absent, and nothing is deleted for it.

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
pub mod controller;
mod hash;
pub mod installation;
pub mod kafka;
mod kind;
pub mod leader;
pub mod metrics;
pub mod names;
pub mod objects;
pub mod plan;
mod pods;
mod program;
mod reconcile;
pub mod scaling;
pub mod secrets;
mod status;
#[cfg(test)]
mod testing;
pub mod validate;
mod watch;
