//! What the evidence says. Pure.

use std::collections::BTreeMap;

use api::Partition;
use kafka::checkpoint::Checkpoint;
use worker::audit::{Ranges, RunId};
use worker::state::{Gap, PartitionState};

/// What is known of a pipeline. Of things that go on meanwhile, the sink must have been looked at first, then the
/// generator, then the topics: so nothing seems missing that is only on its way.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Evidence {
    /// Every partition that is stored or there.
    pub(crate) looks: Vec<Look>,
    /// What the generator says.
    pub(crate) produced: Produced,
    /// Why Kafka could not be asked, if it could not.
    pub(crate) kafka_problem: Option<String>,
}

/// What is known of a partition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    /// Which.
    pub(crate) partition: Partition,
    /// What is stored with its position; `None` if nothing was ever stored.
    pub(crate) state: Option<PartitionState>,
    /// The records behind the stored position; `None` if Kafka was not asked.
    pub(crate) tail: Option<Tail>,
}

/// The records of a partition that are not stored yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    /// How many; an upper bound if they were not all read.
    pub(crate) records: u64,
    /// They were all read.
    pub(crate) read: bool,
    /// The generator's numbers among them, from the first to behind the last.
    pub(crate) numbers: BTreeMap<(RunId, u16), (u64, u64)>,
}

/// What the generator says that it has produced.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Produced {
    /// There is none, or it cannot be asked.
    #[default]
    Unknown,
    /// Only a total: the generator of this process.
    Total(u64),
    /// The checkpoints of its shards, and the topic that it fills.
    Checkpoints {
        /// The topic.
        topic: String,
        /// By shard.
        shards: Vec<(u16, Checkpoint)>,
    },
}

/// The judgement on a whole pipeline.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Verdict {
    /// By partition.
    pub(crate) partitions: Vec<PartitionVerdict>,
    /// Records that the generator has produced; `None` where that is not known.
    pub(crate) produced: Option<u64>,
    /// Records that were produced, and are neither stored nor there, without their numbers being known.
    pub(crate) vanished: u64,
    /// Rows written by table, ever.
    pub(crate) rows: BTreeMap<String, u64>,
    /// Why Kafka could not be asked, if it could not.
    pub(crate) kafka_problem: Option<String>,
}

/// The judgement on a partition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PartitionVerdict {
    /// Which.
    pub(crate) partition: Partition,
    /// Records stored.
    pub(crate) stored: u64,
    /// Records kept as dead letters.
    pub(crate) dead_letters: u64,
    /// Records that are not stored yet; `None` if that is not known.
    pub(crate) unread: Option<u64>,
    /// `unread` is an upper bound.
    pub(crate) unread_at_most: bool,
    /// Records that came after a later one: neither missing nor doubled.
    pub(crate) reordered: u64,
    /// Exact ranges, by run and shard.
    pub(crate) findings: Vec<Finding>,
    /// Offsets that were gone before they could be read.
    pub(crate) gaps: Vec<Gap>,
    /// Gaps before those.
    pub(crate) older_gaps: u64,
}

/// Records of one run and shard that are not there exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The generator's run.
    pub(crate) run: RunId,
    /// Its shard.
    pub(crate) shard: u16,
    /// What is wrong.
    pub(crate) fault: Fault,
    /// Which numbers.
    pub(crate) ranges: Ranges,
}

/// What is wrong with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Neither stored nor in the topic.
    Missing,
    /// Stored more than once.
    Doubled,
}

impl Verdict {
    pub(crate) fn stored(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.stored).sum()
    }

    pub(crate) fn dead_letters(&self) -> u64 {
        self.partitions
            .iter()
            .map(|partition| partition.dead_letters)
            .sum()
    }

    /// `None` if it is not known of a partition.
    pub(crate) fn unread(&self) -> Option<u64> {
        self.partitions.iter().map(|partition| partition.unread).sum()
    }

    pub(crate) fn missing(&self) -> u64 {
        self.vanished
            + self
                .partitions
                .iter()
                .map(|partition| partition.count(Fault::Missing))
                .sum::<u64>()
    }

    pub(crate) fn doubled(&self) -> u64 {
        self.partitions
            .iter()
            .map(|partition| partition.count(Fault::Doubled))
            .sum()
    }

    pub(crate) fn gaps(&self) -> u64 {
        self.partitions
            .iter()
            .map(|partition| partition.gaps.len() as u64 + partition.older_gaps)
            .sum()
    }

    /// Nothing is missing, doubled or was unreadable. What is not read yet is no fault.
    pub(crate) fn is_clean(&self) -> bool {
        self.missing() == 0 && self.doubled() == 0 && self.gaps() == 0
    }
}

impl PartitionVerdict {
    pub(crate) fn count(&self, fault: Fault) -> u64 {
        self.findings
            .iter()
            .filter(|finding| finding.fault == fault)
            .map(|finding| finding.ranges.count())
            .sum()
    }
}

/// Judges the evidence.
pub(crate) fn judge(evidence: Evidence) -> Verdict {
    let Evidence {
        looks,
        produced,
        kafka_problem,
    } = evidence;
    let total = total(&looks, &produced);
    let vanished = match produced {
        Produced::Total(produced) => produced.saturating_sub(accounted(&looks)),
        _ => 0,
    };
    let mut rows = BTreeMap::new();
    for (table, written) in looks
        .iter()
        .filter_map(|look| look.state.as_ref())
        .flat_map(|state| &state.rows)
    {
        *rows.entry(table.clone()).or_default() += written;
    }
    let partitions = looks
        .into_iter()
        .map(|look| judge_partition(look, &produced))
        .collect();
    Verdict {
        partitions,
        produced: total,
        vanished,
        rows,
        kafka_problem,
    }
}

/// Numbered records that are stored or known to be missing, or are still in the topics.
fn accounted(looks: &[Look]) -> u64 {
    let of = |look: &Look| {
        let state = look.state.as_ref().map_or(0, |state| {
            let totals = state.audit.totals();
            totals.seen + totals.missing
        });
        state + look.tail.as_ref().map_or(0, |tail| tail.records)
    };
    looks.iter().map(of).sum()
}

/// The current run's checkpoints, and of earlier runs what was seen of them.
fn total(looks: &[Look], produced: &Produced) -> Option<u64> {
    let Produced::Checkpoints { topic, shards } = produced else {
        return match produced {
            Produced::Total(total) => Some(*total),
            _ => None,
        };
    };
    let current: u64 = shards.iter().map(|(_, checkpoint)| checkpoint.produced).sum();
    let is_current = |run: &RunId, shard: u16| {
        shards
            .iter()
            .any(|(known, checkpoint)| *known == shard && checkpoint.run == run.0)
    };
    let states = looks
        .iter()
        .filter(|look| *look.partition.topic == **topic)
        .filter_map(|look| look.state.as_ref());
    let earlier: u64 = states
        .flat_map(|state| &state.audit.runs)
        .flat_map(|(run, shards)| shards.iter().map(move |(shard, audit)| (run, *shard, audit)))
        .filter(|(run, shard, _)| !is_current(run, *shard))
        .map(|(_, _, audit)| audit.next)
        .sum();
    Some(current + earlier)
}

fn judge_partition(look: Look, produced: &Produced) -> PartitionVerdict {
    let Look {
        partition,
        state,
        tail,
    } = look;
    let stored = state.clone().unwrap_or_default();
    let mut findings = Vec::new();
    for (run, shards) in &stored.audit.runs {
        for (shard, audit) in shards {
            for (fault, ranges) in [(Fault::Missing, &audit.missing), (Fault::Doubled, &audit.doubled)] {
                if !ranges.is_empty() {
                    findings.push(Finding {
                        run: *run,
                        shard: *shard,
                        fault,
                        ranges: ranges.clone(),
                    });
                }
            }
        }
    }
    if let (Produced::Checkpoints { topic, shards }, Some(tail)) =
        (produced, tail.as_ref().filter(|tail| tail.read))
        && *partition.topic == **topic
    {
        // What was never stored is read from its beginning, unless the manifest says otherwise.
        let whole = state.as_ref().is_none_or(|state| state.whole);
        for (shard, checkpoint) in shards {
            let run = RunId(checkpoint.run);
            let seen = stored
                .audit
                .runs
                .get(&run)
                .and_then(|shards| shards.get(shard))
                .map(|audit| audit.next);
            let Some(next) = seen.or(whole.then_some(0)) else {
                continue;
            };
            let count = usize::try_from(partition.number)
                .ok()
                .and_then(|number| checkpoint.per_partition.get(number));
            let unread = tail.numbers.get(&(run, *shard)).copied();
            let lost = lost(next, count.copied().unwrap_or(0), unread);
            if !lost.is_empty() {
                add(&mut findings, run, *shard, lost);
            }
        }
    }
    PartitionVerdict {
        partition,
        stored: stored.records - stored.dead_letters.min(stored.records),
        dead_letters: stored.dead_letters,
        unread: tail.as_ref().map(|tail| tail.records),
        unread_at_most: tail.is_some_and(|tail| !tail.read),
        reordered: stored.audit.totals().reordered,
        findings,
        gaps: stored.gaps,
        older_gaps: stored.older_gaps,
    }
}

/// Numbers from `next` to `produced` that are not among the unread ones.
fn lost(next: u64, produced: u64, unread: Option<(u64, u64)>) -> Vec<(u64, u64)> {
    let ranges = match unread {
        None => [(next, produced), (produced, produced)],
        Some((first, end)) => [(next, first.min(produced)), (end.max(next), produced)],
    };
    ranges.into_iter().filter(|(from, to)| from < to).collect()
}

fn add(findings: &mut Vec<Finding>, run: RunId, shard: u16, lost: Vec<(u64, u64)>) {
    let known = |finding: &&mut Finding| {
        finding.run == run && finding.shard == shard && finding.fault == Fault::Missing
    };
    match findings.iter_mut().find(known) {
        Some(finding) => finding.ranges.ranges.extend(lost),
        None => findings.push(Finding {
            run,
            shard,
            fault: Fault::Missing,
            ranges: Ranges {
                ranges: lost,
                more: 0,
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use kafka::sequence::RecordSequence;
    use worker::state::GapReason;

    use super::*;

    const RUN: u64 = 0xabc;

    fn partition(number: i32) -> Partition {
        Partition {
            topic: "plays".into(),
            number,
        }
    }

    /// A partition of which these (shard, number) were stored.
    fn stored(numbers: &[(u16, u64)]) -> PartitionState {
        let mut state = PartitionState {
            whole: true,
            records: numbers.len() as u64,
            ..PartitionState::default()
        };
        for (shard, number) in numbers {
            state.audit.observe(
                RecordSequence {
                    run: RUN,
                    shard: *shard,
                    number: *number,
                },
                true,
            );
        }
        state
    }

    fn look(number: i32, state: PartitionState, tail: impl Into<Option<Tail>>) -> Look {
        Look {
            partition: partition(number),
            state: Some(state),
            tail: tail.into(),
        }
    }

    fn nothing_unread() -> Tail {
        Tail {
            read: true,
            ..Tail::default()
        }
    }

    fn unread(shard: u16, from: u64, to: u64) -> Tail {
        let numbers = BTreeMap::from([((RunId(RUN), shard), (from, to))]);
        Tail {
            records: to - from,
            read: true,
            numbers,
        }
    }

    /// Checkpoints of shards that have put so many records into partitions 0 and 1.
    fn checkpoints(shards: &[(u16, [u64; 2])]) -> Produced {
        let checkpoint = |(shard, counts): &(u16, [u64; 2])| {
            let checkpoint = Checkpoint {
                run: RUN,
                started: jiff::Timestamp::UNIX_EPOCH,
                produced: counts.iter().sum(),
                per_partition: counts.to_vec(),
                fingerprint: 1,
            };
            (*shard, checkpoint)
        };
        Produced::Checkpoints {
            topic: "plays".to_owned(),
            shards: shards.iter().map(checkpoint).collect(),
        }
    }

    fn verdict(looks: Vec<Look>, produced: Produced) -> Verdict {
        judge(Evidence {
            looks,
            produced,
            kafka_problem: None,
        })
    }

    /// Partition, shard, fault, ranges.
    type Found = (i32, u16, Fault, Vec<(u64, u64)>);

    /// Everything that is wrong.
    fn findings(verdict: &Verdict) -> Vec<Found> {
        let partitions = verdict.partitions.iter();
        partitions
            .flat_map(|judged| {
                let number = judged.partition.number;
                judged
                    .findings
                    .iter()
                    .map(move |found| (number, found.shard, found.fault, found.ranges.ranges.clone()))
            })
            .collect()
    }

    #[test]
    fn a_pipeline_that_has_read_everything_is_clean() {
        let verdict = verdict(
            vec![
                look(0, stored(&[(3, 0), (3, 1)]), nothing_unread()),
                look(1, stored(&[(3, 0)]), nothing_unread()),
            ],
            checkpoints(&[(3, [2, 1])]),
        );
        assert!(verdict.is_clean());
        assert_eq!(
            (verdict.produced, verdict.stored(), verdict.unread()),
            (Some(3), 3, Some(0))
        );
    }

    #[test]
    fn removed_and_repeated_records_are_named_by_run_shard_and_number() {
        let numbers: Vec<(u16, u64)> = (0..200)
            .filter(|number| !(120..125).contains(number))
            .chain([7, 7, 8])
            .map(|number| (5, number))
            .collect();
        let verdict = verdict(
            vec![look(1, stored(&numbers), nothing_unread())],
            checkpoints(&[(5, [0, 200])]),
        );
        assert_eq!(
            findings(&verdict),
            [
                (1, 5, Fault::Missing, vec![(120, 125)]),
                (1, 5, Fault::Doubled, vec![(7, 9)])
            ]
        );
        assert_eq!((verdict.missing(), verdict.doubled()), (5, 3));
        assert!(!verdict.is_clean());
    }

    /// The last records of a shard leave no gap behind when they vanish: only the checkpoint knows of them.
    #[test]
    fn a_tail_that_is_neither_stored_nor_in_the_topic_is_missing() {
        let state = || stored(&[(0, 0), (0, 1), (0, 2)]);
        for (tail, expected) in [
            (Some(nothing_unread()), vec![(3, 10)]),
            (Some(unread(0, 3, 10)), vec![]),
            (Some(unread(0, 3, 8)), vec![(8, 10)]),
            (Some(unread(0, 5, 10)), vec![(3, 5)]),
            (Some(unread(0, 5, 7)), vec![(3, 5), (7, 10)]),
            // The generator went on after its checkpoint was read.
            (Some(unread(0, 3, 12)), vec![]),
            // Unread records that were not all read prove nothing, nor does a broker that was not asked.
            (
                Some(Tail {
                    records: 7,
                    read: false,
                    ..Tail::default()
                }),
                vec![],
            ),
            (None, vec![]),
        ] {
            let verdict = verdict(vec![look(0, state(), tail.clone())], checkpoints(&[(0, [10, 0])]));
            let found: Vec<(u64, u64)> = findings(&verdict)
                .into_iter()
                .flat_map(|finding| finding.3)
                .collect();
            assert_eq!(found, expected, "{tail:?}");
        }
    }

    #[test]
    fn a_partition_that_was_never_stored_misses_what_is_not_in_the_topic() {
        let never = |tail| Look {
            partition: partition(1),
            state: None,
            tail: Some(tail),
        };
        let lost = verdict(vec![never(nothing_unread())], checkpoints(&[(0, [0, 4])]));
        assert_eq!(findings(&lost), [(1, 0, Fault::Missing, vec![(0, 4)])]);
        assert!(verdict(vec![never(unread(0, 0, 4))], checkpoints(&[(0, [0, 4])])).is_clean());
    }

    /// Numbers before the first that was seen were never this pipeline's to store.
    #[test]
    fn a_partition_that_is_joined_late_misses_nothing_before() {
        let joined = PartitionState {
            whole: false,
            ..PartitionState::default()
        };
        assert!(
            verdict(
                vec![look(0, joined, nothing_unread())],
                checkpoints(&[(0, [50, 0])])
            )
            .is_clean()
        );
    }

    #[test]
    fn a_total_tells_that_records_vanished() {
        let looks = || vec![look(0, stored(&[(0, 0), (0, 1)]), unread(0, 2, 5))];
        assert!(verdict(looks(), Produced::Total(5)).is_clean());
        let short = verdict(looks(), Produced::Total(9));
        assert_eq!((short.missing(), short.vanished, short.is_clean()), (4, 4, false));
    }

    #[test]
    fn gaps_are_faults_and_records_of_earlier_runs_count_as_produced() {
        let mut state = stored(&[(0, 0), (0, 1)]);
        state.audit.observe(
            RecordSequence {
                run: 7,
                shard: 0,
                number: 0,
            },
            true,
        );
        let clean = verdict(
            vec![look(0, state.clone(), nothing_unread())],
            checkpoints(&[(0, [2, 0])]),
        );
        assert_eq!((clean.produced, clean.is_clean()), (Some(3), true));
        state.add_gap(Gap {
            from: 50,
            to: Some(70),
            reason: GapReason::Retention,
        });
        assert!(!verdict(vec![look(0, state, nothing_unread())], Produced::Unknown).is_clean());
    }
}
