//! The controller against a real API server with its real controllers. There is no node: the test plays the kubelet,
//! and says that pods run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../support/kafka.rs"]
mod kafka;

mod admission;
mod life;
mod misuse;
mod scene;
mod spare;
mod versions;
