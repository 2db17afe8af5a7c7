//! What the programs of one release leave behind, and what those of the next make of it: recordings of topics, committed
//! offsets and databases as text, put back as they were; the rows that the topics ask for; and the upgrade of a
//! pipeline that runs.
//!
//! It knows the product by its command lines only, so that the programs of any release will do.

// For tests and for people who release: what goes wrong here is a failed test, not an error to handle.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc
)]

mod bytes;
pub mod expected;
pub mod offsets;
pub mod pipeline;
pub mod postgres;
pub mod programs;
pub mod recording;
pub mod rolling;
pub mod sqlite;
pub mod stored;
pub mod topic;

/// For everything that is awaited; enough for a busy machine.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);
