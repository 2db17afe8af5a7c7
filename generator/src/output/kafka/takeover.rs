//! Where shards go on that were taken over: at their checkpoints, or at the beginning of a run.
//!
//! A run has one number for all of its shards, so that an audit reads as one. When several replicas start at
//! once, the one that holds shard 0 chooses it and commits it at once; the others wait for that, but not for
//! long: two numbers are no harm, since records are counted by run and shard.

use ::kafka::formats::checkpoint::Checkpoint;
use jiff::Timestamp;

/// Attempts to read the number of the run before an own one is taken; some seconds.
const PATIENCE: u32 = 5;

/// A shard's checkpoint as the group has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) shard: u16,
    /// `None` for a shard that has produced nothing yet.
    pub(super) checkpoint: Option<Checkpoint>,
}

impl Stored {
    /// The checkpoint, if it is one of these events.
    pub(super) fn matching(&self, fingerprint: u64) -> Option<&Checkpoint> {
        self.checkpoint
            .as_ref()
            .filter(|checkpoint| checkpoint.fingerprint == fingerprint)
    }
}

/// What is to be done with shards that were taken over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Takeover {
    /// The run's number is not known yet: ask again.
    Wait,
    /// Go on from here.
    From {
        /// Each shard's state.
        shards: Vec<(u16, Checkpoint)>,
        /// How many of them begin a run.
        anew: usize,
        /// Shard 0 is one of these: the others wait for its checkpoint.
        announce: bool,
    },
}

/// Decides for the shards that are waited for (`taken`), when `all` is known of every shard. `now` in
/// microseconds since 1970; `attempts` so far.
pub(super) fn decide(
    taken: Vec<Stored>,
    all: &[Stored],
    fingerprint: u64,
    now: i64,
    attempts: u32,
) -> Takeover {
    let holds_first = taken.iter().any(|stored| stored.shard == 0);
    let anew = taken
        .iter()
        .filter(|stored| stored.matching(fingerprint).is_none())
        .count();
    let of_first = all
        .iter()
        .find(|stored| stored.shard == 0)
        .and_then(|stored| stored.matching(fingerprint));
    let begun = match of_first {
        None if anew > 0 && !holds_first && attempts < PATIENCE => return Takeover::Wait,
        None => all
            .iter()
            .filter_map(|stored| stored.matching(fingerprint))
            .max_by_key(|checkpoint| checkpoint.started),
        first => first,
    };
    let announce = of_first.is_none() && holds_first;
    let shards = taken
        .into_iter()
        .map(|stored| {
            let checkpoint = match stored.checkpoint {
                Some(checkpoint) if checkpoint.fingerprint == fingerprint => checkpoint,
                other => beginning(other.as_ref(), begun, fingerprint, now),
            };
            (stored.shard, checkpoint)
        })
        .collect();
    Takeover::From {
        shards,
        anew,
        announce,
    }
}

/// The first state of a shard in a run: the one that other shards have begun, unless this shard has done
/// something since. Then it may have left that very run, and must not count its records from 0 again.
fn beginning(
    last: Option<&Checkpoint>,
    begun: Option<&Checkpoint>,
    fingerprint: u64,
    now: i64,
) -> Checkpoint {
    let (run, started) = begun
        .filter(|begun| last.is_none_or(|last| last.started < begun.started))
        .map_or_else(
            || (now as u64, Timestamp::from_microsecond(now).unwrap_or_default()),
            |begun| (begun.run, begun.started),
        );
    Checkpoint {
        run,
        started,
        produced: 0,
        per_partition: Vec::new(),
        fingerprint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: u64 = 7;
    const NOW: i64 = 1_000;

    fn stored(shard: u16, checkpoint: Option<(u64, u64)>) -> Stored {
        let checkpoint = checkpoint.map(|(run, fingerprint)| Checkpoint {
            run,
            started: Timestamp::from_microsecond(run as i64).unwrap(),
            produced: 5,
            per_partition: vec![5],
            fingerprint,
        });
        Stored { shard, checkpoint }
    }

    /// `(shard, run, events produced)` and whether it is announced.
    type Decided = (Vec<(u16, u64, u64)>, bool);

    /// `None`: wait.
    fn decided(taken: &[Stored], all: &[Stored], attempts: u32) -> Option<Decided> {
        match decide(taken.to_vec(), all, OURS, NOW, attempts) {
            Takeover::Wait => None,
            Takeover::From { shards, announce, .. } => {
                let shards = shards
                    .into_iter()
                    .map(|(shard, checkpoint)| (shard, checkpoint.run, checkpoint.produced))
                    .collect();
                Some((shards, announce))
            }
        }
    }

    #[test]
    fn checkpoints_are_continued() {
        let taken = [stored(1, Some((10, OURS))), stored(2, Some((20, OURS)))];
        assert_eq!(
            decided(&taken, &taken, 0),
            Some((vec![(1, 10, 5), (2, 20, 5)], false))
        );
    }

    #[test]
    fn the_holder_of_the_first_shard_begins_the_run() {
        let first = [stored(0, None), stored(1, Some((10, 3)))];
        assert_eq!(
            decided(&first, &first, 0),
            Some((vec![(0, 1_000, 0), (1, 1_000, 0)], true))
        );
    }

    #[test]
    fn the_others_wait_for_it_and_follow() {
        let mut all = [stored(0, None), stored(1, None)];
        assert_eq!(decided(&all[1..], &all, 0), None);
        all[0] = stored(0, Some((900, OURS)));
        assert_eq!(decided(&all[1..], &all, 0), Some((vec![(1, 900, 0)], false)));
    }

    /// The holder of shard 0 may be one of older settings, about to end.
    #[test]
    fn they_do_not_wait_for_ever() {
        let all = [
            stored(0, Some((10, 3))),
            stored(1, None),
            stored(2, Some((20, OURS))),
        ];
        assert_eq!(
            decided(&all[1..2], &all, PATIENCE),
            Some((vec![(1, 20, 0)], false))
        );
        let all = [stored(0, Some((10, 3))), stored(1, None)];
        assert_eq!(
            decided(&all[1..2], &all, PATIENCE),
            Some((vec![(1, 1_000, 0)], false))
        );
    }

    /// Settings were changed and changed back: shard 1 has left run 10, whose numbers it has used.
    #[test]
    fn a_run_that_was_left_is_not_begun_again() {
        let all = [stored(0, Some((10, OURS))), stored(1, Some((20, 3)))];
        assert_eq!(decided(&all[1..], &all, 0), Some((vec![(1, 1_000, 0)], false)));
    }
}
