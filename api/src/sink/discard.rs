//! `spec.sink.discard`: rows are taken and not kept.

use super::questions::{Abilities, Questions};

/// No store at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscardSink;

impl Questions for DiscardSink {
    fn place(&self) -> String {
        "no store (rows are discarded)".to_owned()
    }

    fn describe(&self) -> String {
        "none: rows are discarded, positions are in each worker's memory".to_owned()
    }

    /// Nobody waits for it: as many as the processors of a large worker have to do.
    fn parallel_batches(&self) -> usize {
        16
    }

    /// Rows of whatever kind are taken; nothing can be asked of them later.
    fn abilities(&self) -> Abilities {
        Abilities {
            merge: true,
            models: false,
            reports: false,
        }
    }

    fn keeps(&self) -> bool {
        false
    }
}
