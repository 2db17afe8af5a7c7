//! One SQL over the same rows in every store.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod portable;
mod random;
mod refused;
mod stores;
