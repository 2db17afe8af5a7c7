//! The operator: makes a cluster run what `StreamPipeline`s say.
//!
//! ```text
//! watches ─► dereference ─► validate ─► build ─► apply ─► status
//!            (secrets,      (pure)      (pure)   (server-  (pure, then one write
//!             pods)                              side)      if something changed)
//!                  ▲
//! Kafka ─► links ──┘  topics and lag, off the reconcile path
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
pub mod installation;
pub mod kafka;
pub mod kind;
pub mod leader;
pub mod metrics;
pub mod objects;
pub mod plan;
pub mod pods;
pub mod reconcile;
pub mod scaling;
pub mod status;
#[cfg(test)]
mod testing;
pub mod validate;
pub mod watch;
