//! How far the worker is, for whoever runs in the same process: the live view of `streampipeline up`.

use std::collections::BTreeMap;

use api::Partition;

use crate::audit::Totals;
use crate::state::{Gap, PartitionState};

/// Where every partition stands that this worker has stored something of, or claimed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// A partition that went to another worker stays as it was here.
    pub partitions: BTreeMap<Partition, PartitionProgress>,
}

/// Where one partition stands, as of its last transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartitionProgress {
    /// The first offset that is not stored yet.
    pub next: i64,
    /// Records stored or dead-lettered, ever.
    pub records: u64,
    /// Rows written by table, ever.
    pub rows: BTreeMap<String, u64>,
    /// Records among them that became dead letters.
    pub dead_letters: u64,
    /// Over all runs and shards of the generator.
    pub audit: Totals,
    /// Offsets that could not be read.
    pub gaps: Vec<Gap>,
}

impl Progress {
    /// Notes what is stored.
    pub fn note(&mut self, partition: &Partition, next: i64, state: &PartitionState) {
        let progress = PartitionProgress {
            next,
            records: state.records,
            rows: state.rows.clone(),
            dead_letters: state.dead_letters,
            audit: state.audit.totals(),
            gaps: state.gaps.clone(),
        };
        self.partitions.insert(partition.clone(), progress);
    }

    /// Rows by table over all partitions.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for (table, rows) in self.partitions.values().flat_map(|partition| &partition.rows) {
            *sums.entry(table.clone()).or_default() += rows;
        }
        sums
    }

    /// Records stored or dead-lettered, over all partitions.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.partitions.values().map(|partition| partition.records).sum()
    }

    /// Records that became dead letters, over all partitions.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.partitions
            .values()
            .map(|partition| partition.dead_letters)
            .sum()
    }

    /// The audit over all partitions.
    #[must_use]
    pub fn audit(&self) -> Totals {
        let mut totals = Totals::default();
        for partition in self.partitions.values() {
            totals += partition.audit;
        }
        totals
    }
}
