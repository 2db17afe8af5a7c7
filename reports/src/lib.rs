//! Questions over a pipeline's tables: a report asked with parameters, its typed answer, and how that is drawn on a
//! terminal.
//!
//! ```text
//! report + parameters ──► one SQL ──► the store's SQL ──Sink::query──► typed answer ──draw──► lines of a terminal
//! ```
//!
//! Nothing here knows Kafka or a cluster; what a store is, `sinks` knows.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod csv;
pub mod draw;
pub mod engine;
pub mod parameter;
pub mod report;
pub mod span;
pub mod sql;
pub mod terminal;
