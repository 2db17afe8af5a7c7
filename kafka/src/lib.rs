//! What the project's programs share about Kafka: a client configuration from a manifest, clear reports of
//! broken connections, topics, lag, and the formats that travel in records and committed offsets.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod broker;
mod error_code;
pub mod fetch;
pub mod formats;
pub mod group;
pub mod health;
pub mod issue;
pub mod lag;
pub mod librdkafka;
pub mod produce;

pub use error_code::{Consequence, ErrorCode};
pub use librdkafka::{admin, client};
