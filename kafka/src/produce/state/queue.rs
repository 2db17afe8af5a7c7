//! What is under way to each partition.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Phase, State};
use crate::error_code::ErrorCode;
use crate::produce::builder::BatchBuilder;
use crate::produce::encoder::BatchIdentity;
use crate::produce::error::ProduceError;

/// What is under way to one partition.
#[derive(Debug, Default)]
pub(super) struct PartitionQueue {
    /// `None` until the cluster says who it is, again after it was doubted.
    pub(super) leader: Option<i32>,
    next_sequence: i32,
    pub(super) batches: VecDeque<QueuedBatch>,
    /// The last transaction that has records here, and the last that the coordinator knows to have some.
    pub(super) touched: u64,
    pub(super) added: u64,
}

/// A batch that has not arrived yet, as far as is known.
#[derive(Debug)]
pub(super) struct QueuedBatch {
    number: u64,
    pub(super) transaction: u64,
    sequence: i32,
    count: i32,
    /// Uncompressed.
    length: usize,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Open(BatchBuilder),
    /// Being sealed.
    Taken,
    Sealed(Bytes),
}

/// A batch to seal.
#[derive(Debug)]
pub(in crate::produce) struct Task {
    partition: usize,
    number: u64,
    pub(in crate::produce) builder: BatchBuilder,
    pub(in crate::produce) identity: BatchIdentity,
}

/// A batch to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::produce) struct InFlight {
    pub(in crate::produce) session: u64,
    pub(in crate::produce) partition: usize,
    number: u64,
    pub(in crate::produce) batch: Bytes,
}

impl PartitionQueue {
    /// The same of which nothing is under way.
    pub(super) fn emptied(&self) -> Self {
        Self {
            leader: self.leader,
            ..Self::default()
        }
    }

    /// Whether something is under way of this transaction or an earlier one.
    pub(super) fn holds(&self, transaction: u64) -> bool {
        self.batches
            .front()
            .is_some_and(|first| first.transaction <= transaction)
    }
}

impl State {
    /// Queues a batch.
    pub(in crate::produce) fn push(&mut self, partition: usize, transaction: u64, builder: BatchBuilder) {
        let Some(queue) = self.queues.get_mut(partition) else {
            // It was there when the batch was begun, and none is taken away since.
            return self.fail(ProduceError::Refused {
                request: "Produce",
                code: ErrorCode::UnknownTopicOrPartition,
            });
        };
        self.batches += 1;
        self.held += builder.len();
        let sequence = queue.next_sequence;
        queue.next_sequence = following(sequence, builder.count());
        queue.batches.push_back(QueuedBatch {
            number: self.batches,
            transaction,
            sequence,
            count: builder.count(),
            length: builder.len(),
            body: Body::Open(builder),
        });
    }

    /// Whether nothing, or only what may be under way now, is before the next batch of `partition`.
    pub(in crate::produce) fn is_open(&self, partition: usize) -> bool {
        self.queues
            .get(partition)
            .is_some_and(|queue| queue.batches.len() <= 1)
    }

    /// Records that have not arrived.
    pub(in crate::produce) fn under_way(&self) -> u64 {
        let waiting = self.queues.iter().flat_map(|queue| &queue.batches);
        waiting
            .map(|waiting| u64::from(waiting.count.unsigned_abs()))
            .sum()
    }

    fn may_send(&self, queue: &PartitionQueue, broker: i32, waiting: &QueuedBatch) -> bool {
        let is_current = !self.transactional
            || (waiting.transaction == self.transaction && queue.added == self.transaction);
        queue.leader == Some(broker) && is_current && self.failure.is_none()
    }

    /// The next batch to seal of those that `broker` is to have: such as can be sent at once, or with `ahead` others
    /// as well, those at the front first.
    pub(in crate::produce) fn take(&mut self, broker: i32, ahead: bool) -> Option<Task> {
        let Phase::Started(identity) = self.phase else {
            return None;
        };
        let is_open = |waiting: &QueuedBatch| matches!(waiting.body, Body::Open(_));
        let places = self.queues.iter().enumerate().filter_map(|(partition, queue)| {
            if ahead {
                let led = queue.leader == Some(broker);
                let place = queue.batches.iter().position(is_open).filter(|_| led)?;
                Some((place, partition))
            } else {
                let first = queue.batches.front().filter(|first| is_open(first))?;
                self.may_send(queue, broker, first).then_some((0, partition))
            }
        });
        let (place, partition) = places.min()?;
        let waiting = self.queues.get_mut(partition)?.batches.get_mut(place)?;
        let Body::Open(builder) = std::mem::replace(&mut waiting.body, Body::Taken) else {
            return None;
        };
        Some(Task {
            partition,
            number: waiting.number,
            builder,
            identity: BatchIdentity {
                producer_id: identity.id,
                epoch: identity.epoch,
                sequence: waiting.sequence,
                transactional: self.transactional,
            },
        })
    }

    /// Puts a sealed batch in its place again, and gives who is to have it now; its memory is used for others.
    pub(in crate::produce) fn put(&mut self, task: Task, batch: Bytes) -> Option<i32> {
        let queue = self.queues.get_mut(task.partition);
        let leader = queue.as_ref().and_then(|queue| queue.leader);
        let waiting = queue.and_then(|queue| {
            let mut waiting = queue.batches.iter_mut();
            waiting.find(|waiting| waiting.number == task.number)
        });
        if let Some(waiting) = waiting {
            self.held = (self.held + batch.len()).saturating_sub(task.builder.len());
            waiting.body = Body::Sealed(batch);
        }
        if self.spare.len() < self.queues.len() {
            self.spare.push(task.builder.into_bytes());
        }
        leader
    }

    /// What to send to `broker`: of each partition that it leads the oldest batch.
    pub(in crate::produce) fn plan(&self, broker: i32) -> Vec<InFlight> {
        let first = |(partition, queue): (usize, &PartitionQueue)| {
            let first = queue.batches.front()?;
            let Body::Sealed(batch) = &first.body else {
                return None;
            };
            self.may_send(queue, broker, first).then(|| InFlight {
                session: self.session,
                partition,
                number: first.number,
                batch: batch.clone(),
            })
        };
        self.queues.iter().enumerate().filter_map(first).collect()
    }

    /// Whether there is something to send to `broker`.
    pub(in crate::produce) fn has_plan(&self, broker: i32) -> bool {
        self.queues.iter().any(|queue| {
            let first = queue.batches.front();
            first.is_some_and(|first| {
                matches!(first.body, Body::Sealed(_)) && self.may_send(queue, broker, first)
            })
        })
    }

    /// A batch has arrived.
    pub(in crate::produce) fn arrived(&mut self, asked: &InFlight) {
        if let Some(queue) = self.queue_of(asked) {
            queue.batches.pop_front();
            self.held = self.held.saturating_sub(asked.batch.len());
        }
    }

    /// A batch is to be sent again, once the cluster has said to whom.
    pub(in crate::produce) fn unsettle(&mut self, asked: &InFlight, error: String) {
        if let Some(queue) = self.queue_of(asked) {
            queue.leader = None;
            self.last_error = Some(error);
        }
    }

    /// A batch was refused for good.
    pub(in crate::produce) fn refuse(&mut self, asked: &InFlight, code: ErrorCode) {
        let Some(first) = self.queue_of(asked).and_then(|queue| queue.batches.front()) else {
            return;
        };
        let (bytes, records) = (first.length, first.count);
        let error = if code == ErrorCode::MessageTooLarge {
            self.batch_bytes = self.batch_bytes.min(bytes / 2);
            ProduceError::TooLarge { bytes, records }
        } else {
            ProduceError::Refused {
                request: "Produce",
                code,
            }
        };
        self.fail(error);
    }

    /// The queue that still waits for an answer to this.
    fn queue_of(&mut self, asked: &InFlight) -> Option<&mut PartitionQueue> {
        if asked.session != self.session {
            return None;
        }
        let queue = self.queues.get_mut(asked.partition)?;
        let is_first = queue
            .batches
            .front()
            .is_some_and(|first| first.number == asked.number);
        is_first.then_some(queue)
    }
}

/// The sequence number `count` after another: after the largest comes 0.
pub(super) fn following(sequence: i32, count: i32) -> i32 {
    sequence.wrapping_add(count) & i32::MAX
}
