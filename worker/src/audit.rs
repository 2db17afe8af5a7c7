//! The audit: which numbers of the generator's records were seen in a partition, and which were not.
//!
//! Each generated record carries (run, shard, number); the numbers of one run and shard count up from 0 in
//! each partition. What was seen is stored with the rows, in one transaction, so that the audit is as exact as
//! the rows are. Uber's Chaperone counts windows; here every lost or doubled record is known by its number.

use std::collections::BTreeMap;
use std::fmt;

use kafka::formats::sequence::RecordSequence;
use serde::{Deserialize, Serialize};

/// Ranges that are kept exactly, of each kind and shard; what comes after is only counted.
const MAX_RANGES: usize = 1_000;

/// What was seen of every run and shard in one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// By run and shard.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub runs: BTreeMap<RunId, BTreeMap<u16, ShardAudit>>,
}

/// A generator's run. It is written as 16 hexadecimal digits everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// What was seen of one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardAudit {
    /// The number that comes next.
    pub next: u64,
    /// Numbers that were skipped.
    #[serde(default, skip_serializing_if = "Ranges::is_empty")]
    pub missing: Ranges,
    /// Numbers that came again.
    #[serde(default, skip_serializing_if = "Ranges::is_empty")]
    pub doubled: Ranges,
    /// Records that came after a later one; they are neither missing nor doubled.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reordered: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Half-open ranges of numbers, sorted, apart from each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranges {
    /// `[from, to)`.
    pub ranges: Vec<(u64, u64)>,
    /// Numbers beyond the ranges that are kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

impl Ranges {
    /// Whether there is no number in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.more == 0
    }

    /// How many numbers there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|(from, to)| to - from).sum::<u64>() + self.more
    }

    fn add(&mut self, from: u64, to: u64) {
        let room = self.ranges.len() < MAX_RANGES;
        let at = self.ranges.partition_point(|range| range.1 < from);
        match self.ranges.get_mut(at) {
            // A number that is there already is one more of it: doubled twice.
            Some(range) if range.0 <= from && to <= range.1 => self.more += to - from,
            Some(range) if range.1 == from => range.1 = to,
            Some(range) if range.0 == to => range.0 = from,
            _ if room => self.ranges.insert(at, (from, to)),
            _ => self.more += to - from,
        }
        let joined = self
            .ranges
            .get(at)
            .zip(self.ranges.get(at + 1))
            .is_some_and(|(left, right)| left.1 == right.0);
        if joined {
            let right = self.ranges.remove(at + 1);
            if let Some(left) = self.ranges.get_mut(at) {
                left.1 = right.1;
            }
        }
    }

    /// Takes a number out; `false` if it was not there.
    fn take(&mut self, number: u64) -> bool {
        let at = self.ranges.partition_point(|range| range.1 <= number);
        let Some(&(from, to)) = self.ranges.get(at).filter(|range| range.0 <= number) else {
            return false;
        };
        let parts = [(from, number), (number + 1, to)]
            .into_iter()
            .filter(|(from, to)| from < to);
        self.ranges.splice(at..=at, parts.collect::<Vec<_>>());
        true
    }
}

/// The audit's sum over everything that was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Records seen for the first time.
    pub seen: u64,
    /// Numbers that were skipped.
    pub missing: u64,
    /// Records that came again.
    pub doubled: u64,
    /// Records that came after a later one.
    pub reordered: u64,
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.seen += other.seen;
        self.missing += other.missing;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
    }
}

impl Audit {
    /// Notes a record. `whole` says that the partition is read from its beginning; otherwise the first
    /// number of a shard is taken as it comes.
    pub fn observe(&mut self, sequence: RecordSequence, whole: bool) {
        let shards = self.runs.entry(RunId(sequence.run)).or_default();
        let shard = shards.entry(sequence.shard).or_insert_with(|| ShardAudit {
            next: if whole { 0 } else { sequence.number },
            ..ShardAudit::default()
        });
        shard.observe(sequence.number);
    }

    /// Notes records in their order, as [`observe`](Self::observe) does with each. A shard is looked up once, for as long
    /// as its numbers count up.
    pub fn observe_all(&mut self, sequences: impl IntoIterator<Item = RecordSequence>, whole: bool) {
        let mut ahead = Ahead::default();
        for sequence in sequences {
            if ahead.run != sequence.run {
                ahead.put_back(self);
                ahead.run = sequence.run;
            }
            if !ahead.takes(sequence) {
                ahead.settle(self, sequence.shard);
                self.observe(sequence, whole);
                ahead.look_up(self, sequence.shard);
            }
        }
        ahead.put_back(self);
    }

    fn shard_mut(&mut self, run: u64, shard: u16) -> Option<&mut ShardAudit> {
        self.runs.get_mut(&RunId(run))?.get_mut(&shard)
    }

    /// The sum over all runs and shards.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in self.runs.values().flat_map(BTreeMap::values) {
            totals += shard.totals();
        }
        totals
    }
}

/// The numbers that come next in the shards of one run; not yet known to the audit.
#[derive(Default)]
struct Ahead {
    run: u64,
    /// By shard; `None` where it was not looked up.
    next: Vec<Option<u64>>,
}

impl Ahead {
    /// Takes a number that is the next one of a shard that was looked up.
    fn takes(&mut self, sequence: RecordSequence) -> bool {
        match self.next.get_mut(usize::from(sequence.shard)) {
            Some(Some(next)) if *next == sequence.number => {
                *next += 1;
                true
            }
            _ => false,
        }
    }

    fn look_up(&mut self, audit: &mut Audit, shard: u16) {
        let place = usize::from(shard);
        if self.next.len() <= place {
            self.next.resize(place + 1, None);
        }
        if let Some(next) = self.next.get_mut(place) {
            *next = audit.shard_mut(self.run, shard).map(|shard| shard.next);
        }
    }

    /// Tells the audit of one shard.
    fn settle(&self, audit: &mut Audit, shard: u16) {
        if let Some(Some(next)) = self.next.get(usize::from(shard))
            && let Some(audit) = audit.shard_mut(self.run, shard)
        {
            audit.next = *next;
        }
    }

    /// Tells the audit of all shards, and forgets them.
    fn put_back(&mut self, audit: &mut Audit) {
        for shard in (0..).take(self.next.len()) {
            self.settle(audit, shard);
        }
        self.next.clear();
    }
}

impl ShardAudit {
    fn observe(&mut self, number: u64) {
        match number.cmp(&self.next) {
            std::cmp::Ordering::Equal => self.next += 1,
            std::cmp::Ordering::Greater => {
                self.missing.add(self.next, number);
                self.next = number + 1;
            }
            std::cmp::Ordering::Less if self.missing.take(number) => self.reordered += 1,
            std::cmp::Ordering::Less => self.doubled.add(number, number + 1),
        }
    }

    /// What the shard adds to the sum.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let missing = self.missing.count();
        Totals {
            seen: self.next.saturating_sub(missing),
            missing,
            doubled: self.doubled.count(),
            reordered: self.reordered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn audit(numbers: &[u64]) -> ShardAudit {
        let mut audit = Audit::default();
        for number in numbers {
            audit.observe(
                RecordSequence {
                    run: 0xabc,
                    shard: 7,
                    number: *number,
                },
                true,
            );
        }
        audit.runs[&RunId(0xabc)][&7].clone()
    }

    #[test]
    fn every_irregularity_is_named_by_its_numbers() {
        let clean = audit(&[0, 1, 2]);
        assert_eq!(
            (clean.next, clean.totals().missing, clean.totals().doubled),
            (3, 0, 0)
        );
        let lost = audit(&[0, 3, 4, 9]);
        assert_eq!(lost.missing.ranges, [(1, 3), (5, 9)]);
        let doubled = audit(&[0, 1, 2, 1, 2, 1]);
        assert_eq!(
            (doubled.doubled.ranges.as_slice(), doubled.doubled.count()),
            ([(1, 3)].as_slice(), 3)
        );
        let late = audit(&[0, 3, 1, 4]);
        assert_eq!(
            (late.missing.ranges.as_slice(), late.reordered),
            ([(2, 3)].as_slice(), 1)
        );
    }

    #[test]
    fn a_partition_that_is_joined_late_misses_nothing_before() {
        let mut audit = Audit::default();
        audit.observe(
            RecordSequence {
                run: 1,
                shard: 0,
                number: 500,
            },
            false,
        );
        audit.observe(
            RecordSequence {
                run: 1,
                shard: 0,
                number: 502,
            },
            false,
        );
        assert_eq!(audit.totals().missing, 1);
    }

    #[test]
    fn the_stored_form_is_short_and_reads_back() {
        let audit = {
            let mut audit = Audit::default();
            for number in [0, 1, 5] {
                audit.observe(
                    RecordSequence {
                        run: 1,
                        shard: 2,
                        number,
                    },
                    true,
                );
            }
            audit
        };
        let json = serde_json::to_string(&audit).unwrap();
        assert_eq!(
            json,
            r#"{"runs":{"0000000000000001":{"2":{"next":6,"missing":{"ranges":[[2,5]]}}}}}"#
        );
        assert_eq!(serde_json::from_str::<Audit>(&json).unwrap(), audit);
    }

    proptest! {
        #[test]
        fn a_batch_is_noted_as_its_records_are_one_by_one(
            records in prop::collection::vec((0_u64..3, 0_u16..4, 0_u64..12), 0..200),
            whole: bool,
        ) {
            let sequences = || records.iter().map(|&(run, shard, number)| RecordSequence { run, shard, number });
            let (mut together, mut alone) = (Audit::default(), Audit::default());
            together.observe_all(sequences(), whole);
            sequences().for_each(|sequence| alone.observe(sequence, whole));
            prop_assert_eq!(together, alone);
        }

        /// Whatever is lost, repeated and shuffled: each number is seen, missing or (as often as it came too
        /// often) doubled.
        #[test]
        fn nothing_is_miscounted(numbers in prop::collection::vec(0_u64..60, 1..200)) {
            let shard = audit(&numbers);
            let end = numbers.iter().max().unwrap() + 1;
            let distinct: std::collections::BTreeSet<u64> = numbers.iter().copied().collect();
            let totals = shard.totals();
            prop_assert_eq!(shard.next, end);
            prop_assert_eq!(totals.seen, distinct.len() as u64);
            prop_assert_eq!(totals.missing, end - distinct.len() as u64);
            prop_assert_eq!(totals.doubled, (numbers.len() - distinct.len()) as u64);
            for range in shard.missing.ranges.windows(2) {
                prop_assert!(range[0].1 < range[1].0);
            }
        }
    }
}
