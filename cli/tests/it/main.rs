//! `streampipeline` as people run it, all in one program: linking it is what takes long.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod cluster;
mod embedded;
mod manifests;
mod real;
mod recorded;
mod support;
