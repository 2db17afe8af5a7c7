//! What the product writes into records and committed offsets. Releases of different age read each other, so a layout is
//! never changed, only followed by another.

pub mod checkpoint;
pub mod commit_metadata;
pub mod partitioner;
pub mod sequence;
