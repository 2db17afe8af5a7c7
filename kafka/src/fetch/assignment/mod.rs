//! What is to be read, and which broker has it: decisions only.

mod answer;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::Partition;
use uuid::Uuid;

use self::answer::MISSED;
pub(super) use self::answer::{Leadership, leadership};
use super::chunk::{PartitionError, PartitionErrorKind};
use crate::broker::Address;

/// The partitions to read, and what the cluster last said about them.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    wanted: HashMap<Partition, Wanted>,
    topics: HashMap<Arc<str>, Topic>,
    brokers: HashMap<i32, Address>,
    /// Of the last `set`.
    generation: u64,
}

#[derive(Debug)]
struct Wanted {
    generation: u64,
    offset: i64,
    /// Rests until it is set anew.
    resting: bool,
    /// Nil before it is known, and where brokers have no such ids.
    topic_id: Uuid,
    /// `None` until the cluster says who it is, again after it was doubted.
    leader: Option<Leader>,
    /// Answers in a row that did not know it.
    missed: u32,
    /// Whether it may not be read, as of the last answer.
    refused: bool,
    /// Bytes that were handed over and not dropped yet.
    ahead: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leader {
    broker: i32,
    epoch: i32,
}

#[derive(Debug)]
struct Topic {
    id: Uuid,
    leaders: HashMap<i32, Leader>,
}

/// What to ask one broker for.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) asked: Vec<Asked>,
    /// Whether partitions are left out because too much of them was handed over and not dropped yet.
    pub(super) holds_back: bool,
    /// Grows with each `set`.
    pub(super) sets: u64,
}

/// One partition of a plan.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) partition: Partition,
    pub(super) topic_id: Uuid,
    pub(super) generation: u64,
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
}

impl Assignment {
    /// Reads `partition` from `offset` on; gives the generation of what will come of it.
    pub(super) fn set(&mut self, partition: Partition, offset: i64) -> u64 {
        self.generation += 1;
        let topic = self.topics.get(&partition.topic);
        let wanted = Wanted {
            generation: self.generation,
            offset,
            resting: false,
            topic_id: topic.map_or(Uuid::nil(), |topic| topic.id),
            leader: topic
                .and_then(|topic| topic.leaders.get(&partition.number))
                .copied(),
            missed: 0,
            refused: false,
            ahead: Arc::default(),
        };
        self.wanted.insert(partition, wanted);
        self.generation
    }

    pub(super) fn remove(&mut self, partition: &Partition) {
        self.wanted.remove(partition);
    }

    /// Partitions to read.
    pub(super) fn len(&self) -> usize {
        self.wanted.len()
    }

    /// The topics that the cluster is to be asked about.
    pub(super) fn topics(&self) -> Vec<Arc<str>> {
        let mut topics: Vec<_> = self
            .wanted
            .keys()
            .map(|partition| Arc::clone(&partition.topic))
            .collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    }

    /// Whether a partition waits for somebody to ask.
    pub(super) fn is_unsettled(&self) -> bool {
        self.wanted
            .values()
            .any(|wanted| !wanted.resting && wanted.leader.is_none())
    }

    /// The brokers that have something to read.
    pub(super) fn leaders(&self) -> HashMap<i32, Address> {
        let ids = self.wanted.values().filter_map(|wanted| wanted.leader);
        ids.filter_map(|leader| Some((leader.broker, self.brokers.get(&leader.broker)?.clone())))
            .collect()
    }

    /// The broker that leads `partition`, where that is known.
    pub(super) fn leader(&self, partition: &Partition) -> Option<Address> {
        let leader = self
            .topics
            .get(&partition.topic)?
            .leaders
            .get(&partition.number)?;
        self.brokers.get(&leader.broker).cloned()
    }

    /// Forgets who leads what `broker` was thought to lead: the cluster is asked again.
    pub(super) fn doubt(&mut self, broker: i32) {
        let is_doubted = |leader: &Leader| leader.broker == broker;
        for wanted in self.wanted.values_mut() {
            wanted.leader = wanted.leader.filter(|leader| !is_doubted(leader));
        }
        for topic in self.topics.values_mut() {
            topic.leaders.retain(|_, leader| !is_doubted(leader));
        }
    }

    /// What to ask `broker` for, without the partitions of which the caller holds `ahead` bytes or more. Each `turn`
    /// another partition is the first.
    pub(super) fn plan(&self, broker: i32, ahead: usize, turn: usize) -> Plan {
        let mut plan = Plan {
            asked: Vec::new(),
            holds_back: false,
            sets: self.generation,
        };
        for (partition, wanted) in &self.wanted {
            let Some(leader) = wanted
                .leader
                .filter(|leader| leader.broker == broker && !wanted.resting)
            else {
                continue;
            };
            if wanted.ahead.load(Ordering::Relaxed) >= ahead {
                plan.holds_back = true;
                continue;
            }
            plan.asked.push(Asked {
                partition: partition.clone(),
                topic_id: wanted.topic_id,
                generation: wanted.generation,
                offset: wanted.offset,
                leader_epoch: leader.epoch,
            });
        }
        // A broker fills its answer from the first partition on, so each is to be the first at times.
        plan.asked.sort_unstable_by(|a, b| a.partition.cmp(&b.partition));
        if let Some(first) = turn.checked_rem(plan.asked.len()) {
            plan.asked.rotate_left(first);
        }
        plan
    }

    /// Whether something is missing or not allowed.
    pub(super) fn is_refused(&self) -> bool {
        self.wanted
            .values()
            .any(|wanted| wanted.refused || wanted.missed >= MISSED)
    }

    /// The leader has answered for a partition.
    pub(super) fn allow(&mut self, asked: &Asked) {
        if let Some(wanted) = self.current(asked) {
            wanted.refused = false;
        }
    }

    /// The leader does not let a partition be read; it is asked again later.
    pub(super) fn refuse(&mut self, asked: &Asked) {
        if let Some(wanted) = self.current(asked) {
            wanted.refused = true;
        }
        self.unsettle(asked);
    }

    /// Moves the position of what was asked for to `next`, and gives what the partition has handed over. `None` if
    /// nobody waits for it any more.
    pub(super) fn advance(&mut self, asked: &Asked, next: i64) -> Option<&Arc<AtomicUsize>> {
        let wanted = self.current(asked)?;
        wanted.offset = next;
        Some(&wanted.ahead)
    }

    /// Lets a partition rest; `None` if nobody waits for it any more.
    pub(super) fn rest(&mut self, asked: &Asked, kind: PartitionErrorKind) -> Option<PartitionError> {
        self.current(asked)?.resting = true;
        Some(PartitionError {
            partition: asked.partition.clone(),
            generation: asked.generation,
            offset: asked.offset,
            kind,
        })
    }

    /// Forgets who leads a partition: the cluster is asked again.
    pub(super) fn unsettle(&mut self, asked: &Asked) {
        if let Some(wanted) = self.current(asked) {
            wanted.leader = None;
        }
        if let Some(topic) = self.topics.get_mut(&asked.partition.topic) {
            topic.leaders.remove(&asked.partition.number);
        }
    }

    fn current(&mut self, asked: &Asked) -> Option<&mut Wanted> {
        let wanted = self.wanted.get_mut(&asked.partition)?;
        (wanted.generation == asked.generation && wanted.offset == asked.offset).then_some(wanted)
    }
}
