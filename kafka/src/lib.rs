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

pub mod admin;
pub mod broker;
pub mod checkpoint;
pub mod client;
pub mod commit_metadata;
pub mod context;
pub mod fetch;
pub mod group;
mod health;
mod inspect;
pub mod lag;
mod loops;
mod metadata;
pub mod partitioner;
pub mod problem;
pub mod produce;
pub mod sequence;
