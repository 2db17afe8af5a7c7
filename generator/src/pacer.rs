//! Which event comes next: the shards that this process holds, each at its own position and pace.
//!
//! A shard's events are due by the places that they have in the run. A pace begins at an instant (`origin`)
//! with a place (`first`); shards that begin together share both, so that a run's events come in the order of
//! their places. After an interruption a pace begins anew: events go on at the rate of the manifest and do not
//! hurry after what the interruption cost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::schedule::{Pace, Schedule};
use crate::shards::Shards;

/// An event that is to be produced now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When it is due, microseconds since 1970; [`Pacer::ASAP`] without a schedule.
    pub at: i64,
    /// Its place in the run.
    pub place: u64,
    pub shard: u16,
    /// Its number within the shard.
    pub index: u64,
}

/// Where a shard stands: the number of its next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub shard: u16,
    /// Events that it has produced.
    pub produced: u64,
}

#[derive(Debug, Clone, Copy)]
struct Lane {
    pace: Pace,
    /// Place of the event that is due at the pace's origin.
    first: u64,
}

/// Orders the events of the held shards by when they are due.
#[derive(Debug)]
pub struct Pacer {
    shards: Shards,
    /// Absent: everything is due at once.
    schedule: Option<Schedule>,
    /// Events with places from here on are not produced.
    places: u64,
    /// Next event of each held shard that is not complete.
    next: BinaryHeap<Reverse<Due>>,
    /// By shard; `None` for shards that are not held.
    lanes: Vec<Option<Lane>>,
}

impl Pacer {
    /// When events are due that have no schedule.
    pub const ASAP: i64 = i64::MIN;

    /// Holds no shard at first. `count` is the run's total of events, over all shards.
    #[must_use]
    pub fn new(shards: Shards, schedule: Option<Schedule>, count: Option<u64>) -> Self {
        Self {
            shards,
            schedule,
            places: count.unwrap_or(u64::MAX),
            next: BinaryHeap::with_capacity(usize::from(shards.count())),
            lanes: vec![None; usize::from(shards.count())],
        }
    }

    /// From now on exactly these shards are held. Shards that were held before keep their pace, also when
    /// they are set back to repeat events of an aborted transaction; the others begin theirs at `now`.
    pub fn hold(&mut self, positions: &[Position], now: i64) {
        let held = |lanes: &[Option<Lane>], shard: u16| lanes.get(usize::from(shard)).copied().flatten();
        let (kept, begun): (Vec<Position>, Vec<Position>) = positions
            .iter()
            .partition(|position| held(&self.lanes, position.shard).is_some());
        let kept: Vec<(Position, Option<Lane>)> = kept
            .into_iter()
            .map(|position| (position, held(&self.lanes, position.shard)))
            .collect();
        self.lanes.fill(None);
        self.next.clear();
        for (position, lane) in kept {
            if let Some(lane) = lane {
                self.push(position, lane);
            }
        }
        self.begin(&begun, now);
    }

    /// Every held shard begins its pace anew at `now`.
    pub fn rebase(&mut self, now: i64) {
        let positions: Vec<Position> = self
            .next
            .drain()
            .map(|Reverse(due)| Position {
                shard: due.shard,
                produced: due.index,
            })
            .collect();
        self.begin(&positions, now);
    }

    /// Begins the paces of shards together: the first of their events is due at `now`, the others follow in
    /// the order of their places. A shard that is whole rounds ahead of the others is not held back for that:
    /// only its place within the round counts.
    fn begin(&mut self, positions: &[Position], now: i64) {
        let first = positions
            .iter()
            .map(|position| self.shards.place(position.shard, position.produced))
            .min();
        let Some(first) = first else {
            return;
        };
        let pace = self
            .schedule
            .as_ref()
            .map_or_else(Pace::default, |schedule| schedule.from(now));
        for position in positions {
            let own = self.shards.place(position.shard, position.produced);
            let within_round = (own - first) % u64::from(self.shards.count());
            let first = own - within_round;
            self.push(*position, Lane { pace, first });
        }
    }

    fn push(&mut self, position: Position, lane: Lane) {
        let place = self.shards.place(position.shard, position.produced);
        if let Some(slot) = self.lanes.get_mut(usize::from(position.shard)) {
            *slot = Some(lane);
        }
        if place < self.places {
            self.next.push(Reverse(Due {
                at: due_at(self.schedule.as_ref(), &lane, place),
                place,
                shard: position.shard,
                index: position.produced,
            }));
        }
    }

    /// The next event, if it is due at `now`. It stays the next one until [`Self::advance`].
    #[must_use]
    pub fn peek(&self, now: i64) -> Option<Due> {
        self.next
            .peek()
            .map(|Reverse(due)| *due)
            .filter(|due| due.at <= now)
    }

    /// The next event is produced: its shard goes on to the one after it.
    pub fn advance(&mut self) {
        let Some(mut head) = self.next.peek_mut() else {
            return;
        };
        let Reverse(Due { shard, index, .. }) = *head;
        let index = index + 1;
        let place = self.shards.place(shard, index);
        match self.lanes.get(usize::from(shard)) {
            Some(Some(lane)) if place < self.places => {
                *head = Reverse(Due {
                    at: due_at(self.schedule.as_ref(), lane, place),
                    place,
                    shard,
                    index,
                });
            }
            _ => {
                PeekMut::pop(head);
            }
        }
    }

    /// When the next event is due, microseconds since 1970; `None` when there is none left.
    #[must_use]
    pub fn head(&self) -> Option<i64> {
        self.next.peek().map(|Reverse(due)| due.at)
    }
}

fn due_at(schedule: Option<&Schedule>, lane: &Lane, place: u64) -> i64 {
    schedule.map_or(Pacer::ASAP, |schedule| {
        let elapsed = schedule
            .due(&lane.pace, place.saturating_sub(lane.first))
            .as_micros();
        lane.pace
            .origin
            .saturating_add(i64::try_from(elapsed).unwrap_or(i64::MAX))
    })
}

#[cfg(test)]
mod tests {
    use api::RateShape;
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;

    fn pacer(users: u32, rate: f64, count: Option<u64>) -> Pacer {
        let schedule = Schedule::new(rate, &RateShape::Constant);
        Pacer::new(Shards::new(users, 8), Some(schedule), count)
    }

    fn all(produced: u64) -> Vec<Position> {
        (0..8).map(|shard| Position { shard, produced }).collect()
    }

    fn drain(pacer: &mut Pacer, now: i64) -> Vec<Due> {
        std::iter::from_fn(|| next(pacer, now)).collect()
    }

    fn next(pacer: &mut Pacer, now: i64) -> Option<Due> {
        let due = pacer.peek(now)?;
        pacer.advance();
        Some(due)
    }

    proptest! {
        /// One holder of all shards produces the run's places in order, each exactly once, when it is due.
        #[test]
        fn places_come_in_order(users in 8_u32..100, count in 0_u64..2_000) {
            let mut pacer = pacer(users, 100.0, Some(count));
            pacer.hold(&all(0), 0);
            let events = drain(&mut pacer, i64::MAX);
            prop_assert_eq!(events.iter().map(|due| due.place).collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
            for due in events {
                prop_assert_eq!(due.at, due.place as i64 * SECOND / 100);
            }
        }

        /// However shards wander between two holders, no event is produced twice or left out.
        #[test]
        fn handover_neither_repeats_nor_skips(moves in prop::collection::vec((any::<u8>(), 1_i64..3 * SECOND), 1..20)) {
            let mut produced = [0_u64; 8];
            let mut seen = Vec::new();
            let mut holders = [pacer(20, 50.0, None), pacer(20, 50.0, None)];
            let mut now = 0;
            for (owners, lasting) in moves {
                for (number, holder) in holders.iter_mut().enumerate() {
                    let held: Vec<Position> = (0..8_u16)
                        .filter(|shard| usize::from(owners >> shard & 1) == number)
                        .map(|shard| Position { shard, produced: produced[usize::from(shard)] })
                        .collect();
                    holder.hold(&held, now);
                }
                now += lasting;
                for holder in &mut holders {
                    while let Some(due) = next(holder, now) {
                        prop_assert_eq!(due.index, produced[usize::from(due.shard)]);
                        produced[usize::from(due.shard)] += 1;
                        seen.push((due.shard, due.index));
                    }
                }
            }
            let count = seen.len();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), count);
        }
    }

    /// After ten seconds in which nothing could be produced the rate is the same as before, without a burst.
    #[test]
    fn rebasing_keeps_the_rate() {
        let mut pacer = pacer(20, 100.0, None);
        pacer.hold(&all(0), 0);
        assert_eq!(drain(&mut pacer, SECOND).len(), 101);
        pacer.rebase(11 * SECOND);
        assert_eq!(pacer.head(), Some(11 * SECOND));
        let events = drain(&mut pacer, 12 * SECOND);
        assert_eq!(events.len(), 101);
        assert_eq!(events[0].place, 101);
    }

    /// At a low rate a restart yields one event at once, not one of each shard.
    #[test]
    fn a_restart_is_no_burst() {
        let mut pacer = pacer(16, 0.1, None);
        pacer.hold(&all(5), 0);
        let events = drain(&mut pacer, 30 * SECOND);
        assert_eq!(
            events.iter().map(|due| due.at).collect::<Vec<_>>(),
            [0, 10 * SECOND, 20 * SECOND, 30 * SECOND]
        );
    }

    /// A shard that was left behind does not stop the others.
    #[test]
    fn diverged_shards_all_produce() {
        let mut pacer = pacer(16, 80.0, None);
        let mut positions = all(1_000);
        positions[3].produced = 2;
        pacer.hold(&positions, 0);
        let events = drain(&mut pacer, SECOND - 1);
        assert_eq!(events.len(), 80);
        for shard in 0..8 {
            assert_eq!(
                events.iter().filter(|due| due.shard == shard).count(),
                10,
                "shard {shard}"
            );
        }
    }

    /// An aborted transaction's events come again, and at once: they are overdue.
    #[test]
    fn set_back_shards_keep_their_pace() {
        let mut pacer = pacer(16, 80.0, None);
        pacer.hold(&all(0), 0);
        let before = drain(&mut pacer, SECOND);
        pacer.hold(&all(0), SECOND);
        assert_eq!(drain(&mut pacer, SECOND), before);
    }

    #[test]
    fn a_complete_run_has_no_next() {
        let mut pacer = pacer(16, 80.0, Some(20));
        pacer.hold(&all(2), 0);
        assert_eq!(drain(&mut pacer, i64::MAX).len(), 4);
        assert_eq!(pacer.head(), None);
    }

    #[test]
    fn without_a_schedule_everything_is_due() {
        let mut pacer = Pacer::new(Shards::new(16, 8), None, Some(100));
        pacer.hold(&all(0), 0);
        let places: Vec<u64> = drain(&mut pacer, 0).iter().map(|due| due.place).collect();
        assert_eq!(places, (0..100).collect::<Vec<_>>());
    }
}
