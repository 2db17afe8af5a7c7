//! The shape of a table: its columns' types, its key and indexes, and what may change about them. Pure.

pub(crate) mod columns;
pub(crate) mod evolution;
pub(crate) mod layout;
