//! Deterministic events, held at a rate: the source of a pipeline that has none of its own.
//!
//! ```text
//! seed ─► music (event = f(seed, shard, number)) ─┐
//! rate ─► schedule (when is place k due?) ─► pacer ┴─► engine ─► output: Kafka │ lines of JSON │ nothing
//!                                                                 └─ says which shards are held, and from where
//! ```
//!
//! * The work is split into virtual [`shards`]. What a shard produces follows from the seed alone, so neither
//!   replicas nor crashes change it, and [`stream::EventStream`] gives the same events to those who check.
//! * [`schedule`] and [`pacer`] decide when; they are pure. [`engine`] is one thread that follows them.
//! * In Kafka, events and their shard's checkpoint commit together ([`output::kafka::Transactional`]).
//! * [`reference`](mod@reference) gives the tables that events refer to.
//!
//! A run with a limit ends by itself, and the process with exit code 0. Started again it finds that nothing is
//! left to do and ends at once; whoever starts it should do so once (a Kubernetes `Job`, not a `Deployment`).

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]
mod alias;
pub mod args;
pub mod clock;
pub mod destination;
pub mod engine;
mod fingerprint;
pub mod metrics;
pub mod music;
pub mod output;
pub mod pacer;
pub mod progress;
mod random;
pub mod reference;
pub mod run;
pub mod schedule;
pub mod shards;
pub mod stream;
#[cfg(test)]
mod testing;
mod timestamp;
