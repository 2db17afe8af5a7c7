//! What users do and what clusters do, on real nodes: pods run the generator and the worker. Needs root and
//! `make test-node`, which builds the programs that the pods run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod bed;
mod faults;
mod life;
mod rotation;
mod scaling;
