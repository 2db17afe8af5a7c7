//! What is under way to each partition.

use std::collections::VecDeque;

use bytes::Bytes;
use rdkafka::error::RDKafkaErrorCode;

use super::{Phase, State};
use crate::produce::batch::Filling;
use crate::produce::error::{self, ProduceError};
use crate::produce::seal::Stamp;

/// What is under way to one partition.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// `None` until the cluster says who it is, again after it was doubted.
    pub(super) leader: Option<i32>,
    next_sequence: i32,
    pub(super) queue: VecDeque<Waiting>,
    /// The last transaction that has records here, and the last that the coordinator knows to have some.
    pub(super) touched: u64,
    pub(super) added: u64,
}

/// A batch that has not arrived yet, as far as is known.
#[derive(Debug)]
pub(super) struct Waiting {
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
    Open(Filling),
    /// Being sealed.
    Taken,
    Sealed(Bytes),
}

/// A batch to seal.
#[derive(Debug)]
pub(in crate::produce) struct Task {
    partition: usize,
    number: u64,
    pub(in crate::produce) filling: Filling,
    pub(in crate::produce) stamp: Stamp,
}

/// A batch to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::produce) struct Asked {
    pub(in crate::produce) session: u64,
    pub(in crate::produce) partition: usize,
    number: u64,
    pub(in crate::produce) batch: Bytes,
}

impl Lane {
    /// The same of which nothing is under way.
    pub(super) fn emptied(&self) -> Self {
        Self {
            leader: self.leader,
            ..Self::default()
        }
    }

    /// Whether something is under way of this transaction or an earlier one.
    pub(super) fn holds(&self, transaction: u64) -> bool {
        self.queue
            .front()
            .is_some_and(|first| first.transaction <= transaction)
    }
}

impl State {
    /// Queues a batch.
    pub(in crate::produce) fn push(&mut self, partition: usize, transaction: u64, filling: Filling) {
        let Some(lane) = self.lanes.get_mut(partition) else {
            // It was there when the batch was begun, and none is taken away since.
            return self.fail(ProduceError::Refused {
                request: "Produce",
                code: RDKafkaErrorCode::UnknownPartition,
            });
        };
        self.batches += 1;
        self.held += filling.len();
        let sequence = lane.next_sequence;
        lane.next_sequence = following(sequence, filling.count());
        lane.queue.push_back(Waiting {
            number: self.batches,
            transaction,
            sequence,
            count: filling.count(),
            length: filling.len(),
            body: Body::Open(filling),
        });
    }

    /// Whether nothing, or only what may be under way now, is before the next batch of `partition`.
    pub(in crate::produce) fn is_open(&self, partition: usize) -> bool {
        self.lanes
            .get(partition)
            .is_some_and(|lane| lane.queue.len() <= 1)
    }

    /// Records that have not arrived.
    pub(in crate::produce) fn under_way(&self) -> u64 {
        let waiting = self.lanes.iter().flat_map(|lane| &lane.queue);
        waiting
            .map(|waiting| u64::from(waiting.count.unsigned_abs()))
            .sum()
    }

    fn may_send(&self, lane: &Lane, broker: i32, waiting: &Waiting) -> bool {
        let is_current = !self.transactional
            || (waiting.transaction == self.transaction && lane.added == self.transaction);
        lane.leader == Some(broker) && is_current && self.failure.is_none()
    }

    /// The next batch to seal of those that `broker` is to have: such as can be sent at once, or with `ahead` others
    /// as well, those at the front first.
    pub(in crate::produce) fn take(&mut self, broker: i32, ahead: bool) -> Option<Task> {
        let Phase::Started(identity) = self.phase else {
            return None;
        };
        let is_open = |waiting: &Waiting| matches!(waiting.body, Body::Open(_));
        let places = self.lanes.iter().enumerate().filter_map(|(partition, lane)| {
            if ahead {
                let led = lane.leader == Some(broker);
                let place = lane.queue.iter().position(is_open).filter(|_| led)?;
                Some((place, partition))
            } else {
                let first = lane.queue.front().filter(|first| is_open(first))?;
                self.may_send(lane, broker, first).then_some((0, partition))
            }
        });
        let (place, partition) = places.min()?;
        let waiting = self.lanes.get_mut(partition)?.queue.get_mut(place)?;
        let Body::Open(filling) = std::mem::replace(&mut waiting.body, Body::Taken) else {
            return None;
        };
        Some(Task {
            partition,
            number: waiting.number,
            filling,
            stamp: Stamp {
                producer_id: identity.id,
                epoch: identity.epoch,
                sequence: waiting.sequence,
                transactional: self.transactional,
            },
        })
    }

    /// Puts a sealed batch in its place again, and gives who is to have it now; its memory is used for others.
    pub(in crate::produce) fn put(&mut self, task: Task, batch: Bytes) -> Option<i32> {
        let lane = self.lanes.get_mut(task.partition);
        let leader = lane.as_ref().and_then(|lane| lane.leader);
        let waiting = lane.and_then(|lane| {
            let mut waiting = lane.queue.iter_mut();
            waiting.find(|waiting| waiting.number == task.number)
        });
        if let Some(waiting) = waiting {
            self.held = (self.held + batch.len()).saturating_sub(task.filling.len());
            waiting.body = Body::Sealed(batch);
        }
        if self.spare.len() < self.lanes.len() {
            self.spare.push(task.filling.into_bytes());
        }
        leader
    }

    /// What to send to `broker`: of each partition that it leads the oldest batch.
    pub(in crate::produce) fn plan(&self, broker: i32) -> Vec<Asked> {
        let first = |(partition, lane): (usize, &Lane)| {
            let first = lane.queue.front()?;
            let Body::Sealed(batch) = &first.body else {
                return None;
            };
            self.may_send(lane, broker, first).then(|| Asked {
                session: self.session,
                partition,
                number: first.number,
                batch: batch.clone(),
            })
        };
        self.lanes.iter().enumerate().filter_map(first).collect()
    }

    /// Whether there is something to send to `broker`.
    pub(in crate::produce) fn has_plan(&self, broker: i32) -> bool {
        self.lanes.iter().any(|lane| {
            let first = lane.queue.front();
            first.is_some_and(|first| {
                matches!(first.body, Body::Sealed(_)) && self.may_send(lane, broker, first)
            })
        })
    }

    /// A batch has arrived.
    pub(in crate::produce) fn arrived(&mut self, asked: &Asked) {
        if let Some(lane) = self.lane_of(asked) {
            lane.queue.pop_front();
            self.held = self.held.saturating_sub(asked.batch.len());
        }
    }

    /// A batch is to be sent again, once the cluster has said to whom.
    pub(in crate::produce) fn unsettle(&mut self, asked: &Asked, trouble: String) {
        if let Some(lane) = self.lane_of(asked) {
            lane.leader = None;
            self.trouble = Some(trouble);
        }
    }

    /// A batch was refused for good.
    pub(in crate::produce) fn refuse(&mut self, asked: &Asked, number: i16) {
        let Some(first) = self.lane_of(asked).and_then(|lane| lane.queue.front()) else {
            return;
        };
        let (bytes, records) = (first.length, first.count);
        let error = match error::code(number) {
            RDKafkaErrorCode::MessageSizeTooLarge => {
                self.batch_bytes = self.batch_bytes.min(bytes / 2);
                ProduceError::TooLarge { bytes, records }
            }
            code => ProduceError::Refused {
                request: "Produce",
                code,
            },
        };
        self.fail(error);
    }

    /// The lane that still waits for an answer to this.
    fn lane_of(&mut self, asked: &Asked) -> Option<&mut Lane> {
        if asked.session != self.session {
            return None;
        }
        let lane = self.lanes.get_mut(asked.partition)?;
        let is_first = lane
            .queue
            .front()
            .is_some_and(|first| first.number == asked.number);
        is_first.then_some(lane)
    }
}

/// The sequence number `count` after another: after the largest comes 0.
pub(super) fn following(sequence: i32, count: i32) -> i32 {
    sequence.wrapping_add(count) & i32::MAX
}
