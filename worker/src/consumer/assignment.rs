//! All partitions that this worker reads.

use std::time::Instant;

use api::{Batch as BatchLimits, Partition};

use super::assigned::Assigned;

/// The partitions that the group has given to this worker, few enough to look through.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    partitions: Vec<Assigned>,
    /// Where the last one asked for was: records of one partition come in long runs.
    last: usize,
}

impl Assignment {
    pub(super) fn insert(&mut self, assigned: Assigned) {
        self.partitions.push(assigned);
    }

    pub(super) fn remove(&mut self, partition: &Partition) -> Option<Assigned> {
        let index = self
            .partitions
            .iter()
            .position(|assigned| assigned.partition == *partition)?;
        Some(self.partitions.swap_remove(index))
    }

    pub(super) fn get_mut(&mut self, topic: &str, number: i32) -> Option<&mut Assigned> {
        let wanted =
            |assigned: &Assigned| assigned.partition.number == number && *assigned.partition.topic == *topic;
        if !self.partitions.get(self.last).is_some_and(wanted) {
            self.last = self.partitions.iter().position(wanted)?;
        }
        self.partitions.get_mut(self.last)
    }

    pub(super) fn of(&mut self, partition: &Partition) -> Option<&mut Assigned> {
        self.get_mut(&partition.topic, partition.number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Assigned> {
        self.partitions.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Assigned> {
        self.partitions.iter_mut()
    }

    /// Memory is short: hands on the largest batches that are being filled, but no more than can be stored at once.
    /// The others go on waiting for company; what is stored makes room for them.
    pub(super) fn flush_early(&mut self, now: Instant, limits: &BatchLimits, concurrency: usize) {
        let storing = |assigned: &&Assigned| assigned.is_read() && assigned.in_flight > 0;
        let under_way = self.partitions.iter().filter(storing).count();
        for _ in under_way..concurrency {
            let waiting = self.partitions.iter_mut().filter(|assigned| {
                assigned.is_read() && !assigned.is_replaying() && assigned.in_flight == 0 && !assigned.idle()
            });
            let Some(largest) = waiting.max_by_key(|assigned| assigned.buffered()) else {
                break;
            };
            largest.dispatch(now, limits, true);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }
}
