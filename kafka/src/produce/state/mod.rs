//! What is to be written, how far each part of it is, and what is to be asked next: decisions only.

mod queue;
#[cfg(test)]
mod tests;
mod topic;

use std::collections::HashMap;
use std::sync::Arc;

pub(super) use self::queue::InFlight;
use self::queue::PartitionQueue;
use super::error::ProduceError;
use super::offsets::Offsets;
use crate::broker::Address;

/// A little less than what brokers take by default.
const BATCH_BYTES: usize = 1_000_000;

/// All that the thread and the driver share.
#[derive(Debug)]
pub(super) struct State {
    transactional: bool,
    /// Grows with each start. What is still under way of an earlier session counts no more.
    session: u64,
    phase: Phase,
    /// The transaction whose batches may be sent now; those of later ones wait until it is committed.
    transaction: u64,
    commit: Option<Commit>,
    failure: Option<ProduceError>,
    /// What went wrong last, and may pass by itself.
    last_error: Option<String>,
    /// By partition.
    queues: Vec<PartitionQueue>,
    /// Partitions as of the last answer: within a session none are taken away.
    partitions: usize,
    brokers: HashMap<i32, Address>,
    /// Answers in a row that did not know the topic.
    missed: u32,
    refused: bool,
    /// Batches so far.
    batches: u64,
    /// Bytes of all batches.
    held: usize,
    /// Batches are closed at so many bytes.
    batch_bytes: usize,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody has asked for anything yet.
    Idle,
    /// The producer's id is to be asked for.
    Starting,
    /// What a predecessor may have left open is to be ended.
    Clearing(ProducerIdentity),
    Started(ProducerIdentity),
}

/// Who writes, as brokers know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProducerIdentity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// A commit that was asked for.
#[derive(Debug)]
struct Commit {
    /// Not sent yet.
    offsets: Option<Arc<Offsets>>,
}

/// What the coordinators are to be asked next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// For the producer's id, which ends whatever its predecessor has left open.
    Start,
    /// To end what has been left open in these partitions nevertheless.
    Clear(ProducerIdentity, Vec<usize>),
    /// To let the transaction write to these partitions.
    Add(ProducerIdentity, Vec<usize>),
    /// To take these offsets into the transaction.
    Offsets(ProducerIdentity, Arc<Offsets>),
    /// To commit.
    End(ProducerIdentity),
}

impl State {
    pub(super) fn new(transactional: bool) -> Self {
        Self {
            transactional,
            session: 0,
            phase: Phase::Idle,
            transaction: 0,
            commit: None,
            failure: None,
            last_error: None,
            queues: Vec::new(),
            partitions: 0,
            brokers: HashMap::new(),
            missed: 0,
            refused: false,
            batches: 0,
            held: 0,
            batch_bytes: BATCH_BYTES,
            spare: Vec::new(),
        }
    }

    pub(super) fn session(&self) -> u64 {
        self.session
    }

    /// The transaction whose batches may be sent.
    pub(super) fn transaction(&self) -> u64 {
        self.transaction
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Batches are closed when they would grow beyond so many bytes.
    pub(super) fn batch_bytes(&self) -> usize {
        self.batch_bytes
    }

    pub(super) fn partitions(&self) -> usize {
        self.queues.len()
    }

    pub(super) fn failure(&self) -> Option<&ProduceError> {
        self.failure.as_ref()
    }

    pub(super) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Forgets what was written and not committed, and asks for a new identity.
    pub(super) fn start(&mut self) {
        self.session += 1;
        self.transaction += 1;
        self.phase = Phase::Starting;
        self.commit = None;
        self.failure = None;
        self.last_error = None;
        self.missed = 0;
        self.refused = false;
        self.held = 0;
        self.queues.truncate(self.partitions);
        for queue in &mut self.queues {
            *queue = queue.emptied();
        }
    }

    /// Whether records can be written.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Started(_)) && !self.queues.is_empty()
    }

    pub(super) fn started(&mut self, identity: ProducerIdentity) {
        self.phase = if self.transactional {
            Phase::Clearing(identity)
        } else {
            Phase::Started(identity)
        };
        self.last_error = None;
    }

    /// Nothing of a predecessor is open.
    pub(super) fn cleared(&mut self, identity: ProducerIdentity) {
        self.phase = Phase::Started(identity);
        self.last_error = None;
    }

    /// Nothing of this session counts any more; the first reason is kept.
    pub(super) fn fail(&mut self, error: ProduceError) {
        self.failure.get_or_insert(error);
    }

    /// Notes what may pass by itself, in case it does not.
    pub(super) fn note(&mut self, error: String) {
        self.last_error = Some(error);
    }

    // What the thread does.

    /// `transaction` will have records in `partition`.
    pub(super) fn touch(&mut self, partition: usize, transaction: u64) {
        if let Some(queue) = self.queues.get_mut(partition) {
            queue.touched = transaction;
        }
    }

    /// Memory for the next batch.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Asks for a commit of the current transaction: all of its batches are queued.
    pub(super) fn commit(&mut self, offsets: Option<Offsets>) {
        self.commit = Some(Commit {
            offsets: offsets.map(Arc::new),
        });
    }

    // What the driver does.

    /// Whether there is somebody to work for.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// What the coordinators are to be asked next, if anything.
    pub(super) fn step(&self) -> Option<Step> {
        let identity = match self.phase {
            _ if self.failure.is_some() => return None,
            Phase::Idle => return None,
            Phase::Starting => return Some(Step::Start),
            // It waits for somebody to say which partitions there are.
            Phase::Clearing(identity) => {
                let partitions: Vec<usize> = (0..self.partitions).collect();
                return (!partitions.is_empty()).then_some(Step::Clear(identity, partitions));
            }
            Phase::Started(identity) => identity,
        };
        if !self.transactional {
            return None;
        }
        let current = self.transaction;
        let is_to_add = |queue: &PartitionQueue| {
            queue.added != current && (queue.touched == current || queue.holds(current))
        };
        let queues = self.queues.iter().enumerate();
        let partitions: Vec<usize> = queues
            .filter_map(|(partition, queue)| is_to_add(queue).then_some(partition))
            .collect();
        if !partitions.is_empty() {
            return Some(Step::Add(identity, partitions));
        }
        let commit = self.commit.as_ref()?;
        if let Some(offsets) = &commit.offsets {
            return Some(Step::Offsets(identity, Arc::clone(offsets)));
        }
        let is_under_way = self.queues.iter().any(|queue| queue.holds(current));
        (!is_under_way).then_some(Step::End(identity))
    }

    /// The coordinator lets the transaction write to these partitions.
    pub(super) fn added(&mut self, partitions: &[usize]) {
        for partition in partitions {
            if let Some(queue) = self.queues.get_mut(*partition) {
                queue.added = self.transaction;
            }
        }
    }

    /// The offsets are part of the transaction.
    pub(super) fn offsets_taken(&mut self) {
        if let Some(commit) = &mut self.commit {
            commit.offsets = None;
        }
    }

    /// The transaction is committed; the next one may be sent.
    pub(super) fn committed(&mut self) {
        self.commit = None;
        self.last_error = None;
        self.transaction += 1;
    }
}
