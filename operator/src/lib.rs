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

pub mod access;
pub mod apply;
pub mod args;
pub mod build;
pub mod check;
pub mod cleanup;
pub mod context;
pub mod controller;
pub mod definition;
mod deletion_cost;
pub mod dereference;
pub mod events;
pub mod index;
pub mod install;
pub mod kafka;
pub mod kind;
pub mod leader;
pub mod memory;
pub mod metrics;
pub mod plan;
pub mod pods;
pub mod rbac;
pub mod reconcile;
pub mod scaling;
mod scene;
pub mod stage;
pub mod status;
mod steps;
#[cfg(test)]
mod testing;
mod unreadable;
pub mod validate;
mod watches;
pub mod workers;
mod write;
