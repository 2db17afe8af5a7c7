//! The positions of this process's pipelines.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use api::{Partition, PipelineName};

use crate::{Advance, Claim, Lease, StoredPosition};

/// Of one pipeline.
#[derive(Debug, Default)]
pub(super) struct Memory {
    partitions: Mutex<BTreeMap<Partition, Stored>>,
}

#[derive(Debug)]
struct Stored {
    next_offset: Option<i64>,
    epoch: i64,
    state: Option<String>,
    written: Instant,
}

/// The memory of a pipeline: whoever opens its sink in this process has the same.
pub(super) fn of(pipeline: &PipelineName) -> Arc<Memory> {
    static PIPELINES: Mutex<BTreeMap<String, Arc<Memory>>> = Mutex::new(BTreeMap::new());
    let mut pipelines = PIPELINES.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(pipelines.entry(pipeline.to_string()).or_default())
}

impl Memory {
    fn partitions(&self) -> MutexGuard<'_, BTreeMap<Partition, Stored>> {
        // Each change is one assignment: a panic elsewhere leaves nothing half done.
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn claim(&self, partition: &Partition) -> Claim {
        let mut partitions = self.partitions();
        let stored = partitions.entry(partition.clone()).or_insert_with(|| Stored {
            next_offset: None,
            epoch: 0,
            state: None,
            written: Instant::now(),
        });
        stored.epoch += 1;
        Claim {
            lease: Lease {
                partition: partition.clone(),
                epoch: stored.epoch,
            },
            next_offset: stored.next_offset,
            state: stored.state.clone(),
            idle: stored.written.elapsed(),
            unfinished: None,
        }
    }

    /// Moves the partition if it is where the batch began and the lease is the current one.
    pub(super) fn advance(&self, lease: &Lease, advance: &Advance) -> bool {
        let mut partitions = self.partitions();
        match partitions.get_mut(&lease.partition) {
            Some(stored) if stored.epoch == lease.epoch && stored.next_offset == advance.start => {
                *stored = Stored {
                    next_offset: Some(advance.end),
                    epoch: stored.epoch,
                    state: Some(advance.state.clone()),
                    written: Instant::now(),
                };
                true
            }
            _ => false,
        }
    }

    /// Sorted.
    pub(super) fn positions(&self) -> Vec<StoredPosition> {
        let partitions = self.partitions();
        let position = |(partition, stored): (&Partition, &Stored)| StoredPosition {
            partition: partition.clone(),
            next_offset: stored.next_offset,
            epoch: stored.epoch,
            state: stored.state.clone(),
        };
        partitions.iter().map(position).collect()
    }
}
