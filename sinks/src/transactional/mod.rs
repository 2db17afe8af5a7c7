//! Sinks with transactions: rows, dead letters and the position are committed together, or not at all.

pub mod postgres;
pub mod sqlite;
