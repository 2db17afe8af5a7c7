//! What the fetcher's handle, its driver and its loops have in common.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, mpsc, watch};

use super::assignment::Assignment;
use super::chunk::Fetched;
use crate::broker::{Access, Cluster};
use crate::health::{ErrorReporter, KafkaHealth};

/// The least and the most that one answer is asked to hold: less is all overhead, and more makes nothing faster.
const ANSWER_BYTES: (usize, usize) = (64 * 1024, 4 * 1024 * 1024);

/// The same for one partition's part of it. Less than a batch makes brokers send one partition after the other.
const PARTITION_BYTES: (usize, usize) = (256 * 1024, 1024 * 1024);

pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) assignment: Mutex<Assignment>,
    /// Told of every change of the assignment that somebody may wait for.
    pub(super) changed: watch::Sender<()>,
    /// Told of every chunk that is dropped.
    pub(super) room: watch::Sender<()>,
    /// One permit a byte.
    pub(super) budget: Arc<Semaphore>,
    pub(super) budget_bytes: usize,
    pub(super) fetched: mpsc::UnboundedSender<Fetched>,
    pub(super) reporter: ErrorReporter,
}

/// How much to ask for at once, and to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Bytes of one answer.
    pub(super) answer: usize,
    /// Bytes of it for one partition.
    pub(super) partition: usize,
    /// A partition that holds so many bytes which the caller has not dropped is left out.
    pub(super) ahead: usize,
}

impl Shared {
    pub(super) fn new(
        access: Access,
        budget_bytes: usize,
        fetched: mpsc::UnboundedSender<Fetched>,
        reporter: ErrorReporter,
    ) -> Self {
        // An answer's reservation is a u32, and nobody has more memory for this anyway.
        let budget_bytes = budget_bytes.clamp(ANSWER_BYTES.0, u32::MAX as usize);
        Self {
            cluster: Cluster::new(access),
            assignment: Mutex::default(),
            changed: watch::Sender::new(()),
            room: watch::Sender::new(()),
            budget: Arc::new(Semaphore::new(budget_bytes)),
            budget_bytes,
            fetched,
            reporter,
        }
    }

    /// No panic leaves the assignment half changed, so a poisoned lock is as good as any.
    pub(super) fn assignment(&self) -> MutexGuard<'_, Assignment> {
        self.assignment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The assignment has changed.
    pub(super) fn notify(&self) {
        self.changed.send_replace(());
    }

    /// How much to ask for at once, as the partitions are spread now.
    pub(super) fn sizes(&self) -> Sizes {
        let assignment = self.assignment();
        Sizes::new(self.budget_bytes, assignment.leaders().len(), assignment.len())
    }

    /// Hands over. When nobody is there to take it, the driver ends.
    pub(super) fn hand_over(&self, fetched: Fetched) {
        drop(self.fetched.send(fetched));
    }

    /// A broker has answered. As long as another answer refuses something, that says no more than that connections
    /// stand.
    pub(super) fn works(&self) {
        let is_connected = match self.reporter.health() {
            KafkaHealth::Working => true,
            KafkaHealth::Connecting => false,
            KafkaHealth::Failing(issue) => !issue.kind.is_about_connections(),
        };
        if !is_connected || !self.assignment().is_refused() {
            self.reporter.works();
        }
    }
}

impl Sizes {
    /// All leaders together are asked for no more than half of the budget at once, and all partitions together hold no
    /// more than about the other half: so none takes what another needs.
    fn new(budget: usize, leaders: usize, partitions: usize) -> Self {
        let (least, most) = ANSWER_BYTES;
        let answer = (budget / 2 / leaders.max(1)).clamp(least, most).min(budget);
        let ahead = budget / 2 / partitions.max(1);
        let (least, most) = PARTITION_BYTES;
        Self {
            answer,
            partition: ahead.clamp(least, most).min(answer),
            ahead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_shared() {
        const KIB: usize = 1024;
        const MIB: usize = 1024 * KIB;
        for (budget, leaders, partitions, answer, partition, ahead) in [
            (40 * MIB, 1, 1, 4 * MIB, MIB, 20 * MIB),
            (40 * MIB, 10, 40, 2 * MIB, 512 * KIB, 512 * KIB),
            (40 * MIB, 1000, 10_240, 64 * KIB, 64 * KIB, 2 * KIB),
            (MIB, 1, 2, 512 * KIB, 256 * KIB, 256 * KIB),
            (64 * KIB, 3, 4, 64 * KIB, 64 * KIB, 8 * KIB),
            (MIB, 0, 0, 512 * KIB, 512 * KIB, 512 * KIB),
        ] {
            let sizes = Sizes {
                answer,
                partition,
                ahead,
            };
            assert_eq!(
                Sizes::new(budget, leaders, partitions),
                sizes,
                "{budget} {leaders} {partitions}"
            );
        }
    }
}
