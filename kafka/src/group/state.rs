//! What a member holds, as its thread sees it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Membership;

/// A member that has stopped for a rebalance waits so long for the others. Then it goes on, for a member that has died
/// holds the group up until its session is over. What is under way when the rebalance comes to its end is refused.
/// Living members need a heartbeat's interval and the rest of a transaction; and less than a second can be made up for.
const PAUSE: Duration = Duration::from_millis(800);

/// The difference that rebalances made.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Partitions that are held now and were not before, or that others may have had in between.
    pub gained: BTreeSet<i32>,
    /// Partitions that were given away; some may have come back.
    pub given: BTreeSet<i32>,
}

/// What the driver has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The group shares its partitions anew.
    Rebalance,
    /// The group has gone on without this member.
    Lost,
    /// The member holds these partitions from now on.
    Joined(Membership, BTreeSet<i32>),
}

/// The member's side of it.
#[derive(Debug, Default)]
pub(super) struct MemberState {
    membership: Option<Membership>,
    /// The membership that was stopped for a rebalance, and until when.
    stopped: Option<(Membership, Instant)>,
    held: BTreeSet<i32>,
    /// In which `held` was assigned.
    assigned_in: Option<Membership>,
    /// The driver waits for consent before it joins again.
    is_joined: bool,
}

impl MemberState {
    /// Under which transactions may be begun.
    pub(super) fn membership(&self) -> Option<&Membership> {
        self.membership.as_ref()
    }

    /// Whether the driver has nothing else to do than to beat and to answer.
    pub(super) fn is_joined(&self) -> bool {
        self.is_joined
    }

    /// Takes an event in; true if the driver is to be told that it may join again.
    pub(super) fn take(&mut self, event: Event, now: Instant, changes: &mut Changes) -> bool {
        match event {
            Event::Rebalance => {
                self.stopped = self.membership.take().map(|membership| (membership, now + PAUSE));
                std::mem::take(&mut self.is_joined)
            }
            Event::Lost => {
                self.membership = None;
                self.stopped = None;
                self.hold(BTreeSet::new(), changes);
                std::mem::take(&mut self.is_joined)
            }
            Event::Joined(membership, partitions) => {
                if !self.is_followed_by(&membership) {
                    self.hold(BTreeSet::new(), changes);
                }
                self.hold(partitions, changes);
                self.assigned_in = Some(membership.clone());
                self.membership = Some(membership);
                self.stopped = None;
                self.is_joined = true;
                false
            }
        }
    }

    /// Goes on as before if a rebalance takes long.
    pub(super) fn tick(&mut self, now: Instant) {
        if let Some((membership, _)) = self.stopped.take_if(|(_, until)| *until <= now) {
            self.membership = Some(membership);
        }
    }

    /// Whether nobody can have had in between what is held before and after: no generation lies between.
    fn is_followed_by(&self, next: &Membership) -> bool {
        self.assigned_in.as_ref().is_some_and(|last| {
            let generations = last.generation..=last.generation.saturating_add(1);
            last.member_id == next.member_id && generations.contains(&next.generation)
        })
    }

    fn hold(&mut self, partitions: BTreeSet<i32>, changes: &mut Changes) {
        for given in self.held.difference(&partitions) {
            changes.gained.remove(given);
            changes.given.insert(*given);
        }
        changes.gained.extend(partitions.difference(&self.held));
        self.held = partitions;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(member_id: &str, generation: i32) -> Membership {
        Membership {
            group: "g".to_owned(),
            member_id: member_id.to_owned(),
            generation,
            instance_id: None,
        }
    }

    fn joined(member_id: &str, generation: i32, partitions: &[i32]) -> Event {
        let partitions = partitions.iter().copied().collect();
        Event::Joined(membership(member_id, generation), partitions)
    }

    /// What is given and gained by these events, taken in one after the other.
    fn changes(events: &[Event]) -> (Vec<i32>, Vec<i32>) {
        let (mut state, mut changes) = (MemberState::default(), Changes::default());
        let (last, first) = events.split_last().unwrap();
        for event in first {
            state.take(event.clone(), Instant::now(), &mut changes);
        }
        let mut changes = Changes::default();
        state.take(last.clone(), Instant::now(), &mut changes);
        let list = |set: BTreeSet<i32>| set.into_iter().collect();
        (list(changes.given), list(changes.gained))
    }

    #[test]
    fn what_is_kept_through_consecutive_generations_is_not_gained_again() {
        for (next, given, gained) in [
            (joined("a", 8, &[1, 2, 3]), vec![], vec![3]),
            (joined("a", 8, &[2]), vec![1], vec![]),
            (joined("a", 7, &[1, 2]), vec![], vec![]),
            // Somebody else may have had them in generation 8.
            (joined("a", 9, &[1, 2]), vec![1, 2], vec![1, 2]),
            // The group has begun anew.
            (joined("a", 1, &[2]), vec![1, 2], vec![2]),
            // So may somebody else when this member was given up, and let in again.
            (joined("b", 8, &[1, 2]), vec![1, 2], vec![1, 2]),
        ] {
            let events = [joined("a", 7, &[1, 2]), Event::Rebalance, next.clone()];
            assert_eq!(changes(&events), (given, gained), "{next:?}");
        }
        let first = [joined("a", 1, &[0, 1])];
        assert_eq!(changes(&first), (vec![], vec![0, 1]));
    }

    #[test]
    fn what_was_lost_is_gained_again() {
        let lost = [joined("a", 7, &[1, 2]), Event::Lost];
        assert_eq!(changes(&lost), (vec![1, 2], vec![]));
        let again = [joined("a", 7, &[1, 2]), Event::Lost, joined("a", 8, &[1, 2])];
        assert_eq!(changes(&again), (vec![], vec![1, 2]));
    }

    #[test]
    fn several_events_at_once_add_up() {
        let (mut state, mut changes) = (MemberState::default(), Changes::default());
        for event in [
            joined("a", 1, &[0, 1]),
            Event::Rebalance,
            joined("a", 2, &[1, 2]),
            Event::Lost,
            joined("b", 4, &[2]),
        ] {
            state.take(event, Instant::now(), &mut changes);
        }
        assert_eq!(changes.gained, BTreeSet::from([2]));
        assert_eq!(changes.given, BTreeSet::from([0, 1, 2]));
        assert_eq!(state.membership(), Some(&membership("b", 4)));
    }

    #[test]
    fn transactions_wait_for_a_rebalance_but_not_forever() {
        let (mut state, mut changes) = (MemberState::default(), Changes::default());
        let now = Instant::now();
        assert!(!state.take(joined("a", 1, &[0]), now, &mut changes));
        assert!(state.take(Event::Rebalance, now, &mut changes));
        state.tick(now + PAUSE / 2);
        assert_eq!(state.membership(), None);
        state.tick(now + PAUSE);
        assert_eq!(state.membership(), Some(&membership("a", 1)));
        // The driver has its consent already, and is told no second time.
        assert!(!state.take(Event::Lost, now, &mut changes));
        state.tick(now + PAUSE * 2);
        assert_eq!(state.membership(), None);
    }
}
