//! The consumer group: what it has, and what happens to it in a second.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::assignment;
use crate::observation::{Committed, Handover, LogRange, Observation, PartitionId, PartitionReading};
use crate::platform::Platform;

/// A group at an instant.
#[derive(Debug)]
pub struct Group {
    platform: Platform,
    random: StdRng,
    ids: Vec<PartitionId>,
    /// Share of the arrivals of each partition; they sum up to 1.
    weights: Vec<f64>,
    end: Vec<f64>,
    position: Vec<f64>,
    owners: Vec<Option<u32>>,
    /// Until when a partition stands still, in seconds.
    paused_until: Vec<u32>,
    workers: Vec<Worker>,
    /// When each starting worker will be ready, in seconds.
    starting: Vec<u32>,
    next_id: u32,
    /// What the sink left of the workers' speed in the last second; 0..=1.
    sink_factor: f64,
    seconds: u32,
}

#[derive(Debug)]
struct Worker {
    id: u32,
    per_second: f64,
    partitions: Vec<usize>,
}

impl Group {
    /// A group whose partitions get shares of the arrivals as `weights` say.
    #[must_use]
    pub fn new(platform: Platform, weights: &[f64], seed: u64) -> Self {
        let topic: Arc<str> = "events".into();
        let total: f64 = weights.iter().sum();
        let weights: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        let count = weights.len();
        let workers = platform.workers;
        let mut group = Self {
            random: StdRng::seed_from_u64(seed),
            ids: (0..)
                .take(count)
                .map(|number| PartitionId::new(&topic, number))
                .collect(),
            end: weights.iter().map(|weight| weight * platform.backlog).collect(),
            position: vec![0.0; count],
            owners: vec![None; count],
            paused_until: vec![0; count],
            workers: Vec::new(),
            starting: Vec::new(),
            next_id: 0,
            sink_factor: 1.0,
            seconds: 0,
            platform,
            weights,
        };
        group.start(workers);
        group.rebalance();
        group.paused_until.fill(0);
        group
    }

    /// Workers that exist, ready or not.
    #[must_use]
    pub fn desired(&self) -> u32 {
        self.ready() + u32::try_from(self.starting.len()).unwrap_or(u32::MAX)
    }

    /// Workers that are ready.
    #[must_use]
    pub fn ready(&self) -> u32 {
        u32::try_from(self.workers.len()).unwrap_or(u32::MAX)
    }

    /// Records to be read yet.
    #[must_use]
    pub fn lag(&self) -> f64 {
        self.end
            .iter()
            .zip(&self.position)
            .map(|(end, position)| end - position)
            .sum()
    }

    /// Asks for `desired` workers: further ones begin to start, and those too many stop at once, starting ones first.
    pub fn scale(&mut self, desired: u32) {
        let present = self.desired();
        if desired > present {
            let spread = f64::from(self.platform.start_seconds) * 0.2;
            // The workers of a step start together: they wait for the same image and the same node.
            let jitter = if spread > 0.0 {
                self.random.random_range(-spread..spread)
            } else {
                0.0
            };
            let at = self.seconds + (f64::from(self.platform.start_seconds) + jitter).max(0.0) as u32;
            self.starting.extend((present..desired).map(|_| at));
        } else if desired < present {
            let mut fewer = (present - desired) as usize;
            while fewer > 0 && self.starting.pop().is_some() {
                fewer -= 1;
            }
            if fewer > 0 {
                self.workers.truncate(self.workers.len().saturating_sub(fewer));
                self.rebalance();
            }
        }
    }

    /// Lets a second pass in which `arrivals` records come.
    pub fn second(&mut self, arrivals: f64) {
        self.seconds += 1;
        let now = self.seconds;
        let starting = self.starting.len();
        self.starting.retain(|at| *at > now);
        let started = starting - self.starting.len();
        if started > 0 {
            self.start(u32::try_from(started).unwrap_or(u32::MAX));
            self.rebalance();
        }
        self.process();
        for (end, weight) in self.end.iter_mut().zip(&self.weights) {
            *end += arrivals * weight;
        }
    }

    /// What Kafka and the workers would tell now.
    pub fn observe(&mut self) -> Observation {
        let noise = self.platform.rate_noise;
        let reported: Vec<(u32, f64)> = self
            .workers
            .iter()
            .map(|worker| {
                let varied = if noise > 0.0 {
                    self.random.random_range(-noise..noise)
                } else {
                    0.0
                };
                (worker.id, worker.per_second * self.sink_factor * (1.0 + varied))
            })
            .collect();
        let wait = 1.0 - self.sink_factor * (1.0 - self.platform.sink_wait);
        let partitions = (self.ids.iter().zip(&self.owners))
            .zip(self.end.iter().zip(&self.position))
            .zip(&self.paused_until)
            .map(|(((id, owner), (end, position)), until)| {
                let rate = reported.iter().find(|(worker, _)| Some(*worker) == *owner);
                PartitionReading {
                    id: id.clone(),
                    log: Some(LogRange {
                        start: 0,
                        end: end.floor() as i64,
                    }),
                    committed: Committed::At(position.floor() as i64),
                    age_seconds: 0.0,
                    records_per_busy_second: rate.map(|(_, rate)| *rate),
                    sink_wait_share: rate.map(|_| wait),
                    newest_event_ms: None,
                    handover: (1..=self.seconds).contains(until).then(|| Handover {
                        at_ms: i64::from(*until) * 1_000,
                        pause_seconds: f64::from(self.platform.pause_seconds),
                    }),
                }
            })
            .collect();
        Observation {
            partitions,
            desired: self.desired(),
            ready: self.ready(),
        }
    }

    fn start(&mut self, count: u32) {
        let noise = self.platform.rate_noise;
        for _ in 0..count {
            let varied = if noise > 0.0 {
                self.random.random_range(-noise..noise)
            } else {
                0.0
            };
            self.workers.push(Worker {
                id: self.next_id,
                per_second: self.platform.per_worker * (1.0 + varied),
                partitions: Vec::new(),
            });
            self.next_id += 1;
        }
    }

    fn rebalance(&mut self) {
        let ids: Vec<u32> = self.workers.iter().map(|worker| worker.id).collect();
        let until = self.seconds + self.platform.pause_seconds;
        for moved in assignment::rebalance(&mut self.owners, &ids) {
            if let Some(paused) = self.paused_until.get_mut(moved) {
                *paused = until;
            }
        }
        for worker in &mut self.workers {
            let mine = |(_, owner): &(usize, &Option<u32>)| **owner == Some(worker.id);
            worker.partitions = self
                .owners
                .iter()
                .enumerate()
                .filter(mine)
                .map(|(index, _)| index)
                .collect();
        }
    }

    /// Each worker works off its partitions, none of which gets more than its share while others have work.
    fn process(&mut self) {
        let mut done = vec![0.0; self.end.len()];
        for worker in &self.workers {
            let mut left = worker.per_second;
            let mut waiting: Vec<(usize, f64)> = worker
                .partitions
                .iter()
                .filter(|&&index| {
                    self.paused_until
                        .get(index)
                        .is_some_and(|until| *until <= self.seconds)
                })
                .filter_map(|&index| Some((index, self.end.get(index)? - self.position.get(index)?)))
                .collect();
            waiting.sort_unstable_by(|(_, one), (_, other)| one.total_cmp(other));
            let mut remaining = waiting.len();
            for (index, backlog) in waiting {
                let take = backlog.min(left / remaining as f64);
                left -= take;
                remaining -= 1;
                if let Some(done) = done.get_mut(index) {
                    *done = take;
                }
            }
        }
        let total: f64 = done.iter().sum();
        self.sink_factor = self
            .platform
            .sink_per_second
            .filter(|sink| *sink < total)
            .map_or(1.0, |sink| sink / total);
        for (position, done) in self.position.iter_mut().zip(done) {
            *position += done * self.sink_factor;
        }
    }
}
