//! What the evidence says. Pure.

use std::collections::BTreeMap;

use api::Partition;
use kafka::formats::checkpoint::Checkpoint;
use worker::audit::{Ranges, RunId};
use worker::state::{Gap, PartitionState};

/// What is known of a pipeline. Of things that go on meanwhile, the sink must have been looked at first, then the
/// generator, then the topics: so nothing seems missing that is only on its way.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Evidence {
    /// Every partition that is stored or there.
    pub(crate) partitions: Vec<ObservedPartition>,
    /// What the generator says.
    pub(crate) produced: Produced,
    /// Why Kafka could not be asked, if it could not.
    pub(crate) kafka_problem: Option<String>,
}

/// What is known of a partition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObservedPartition {
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

/// What an audit found of a whole pipeline.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct AuditResult {
    /// By partition.
    pub(crate) partitions: Vec<PartitionResult>,
    /// Records that the generator has produced; `None` where that is not known.
    pub(crate) produced: Option<u64>,
    /// Records that were produced, and are neither stored nor there, without their numbers being known.
    pub(crate) vanished: u64,
    /// Rows written by table, ever.
    pub(crate) rows: BTreeMap<String, u64>,
    /// Why Kafka could not be asked, if it could not.
    pub(crate) kafka_problem: Option<String>,
}

/// What it found of a partition.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PartitionResult {
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
    pub(crate) deviations: Vec<Deviation>,
    /// Offsets that were gone before they could be read.
    pub(crate) gaps: Vec<Gap>,
    /// Gaps before those.
    pub(crate) older_gaps: u64,
}

/// Records of one run and shard that are not there exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deviation {
    /// The generator's run.
    pub(crate) run: RunId,
    /// Its shard.
    pub(crate) shard: u16,
    /// What is wrong.
    pub(crate) kind: DeviationKind,
    /// Which numbers.
    pub(crate) ranges: Ranges,
}

/// What is wrong with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviationKind {
    /// Neither stored nor in the topic.
    Missing,
    /// Stored more than once.
    Doubled,
}

impl AuditResult {
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
                .map(|partition| partition.count(DeviationKind::Missing))
                .sum::<u64>()
    }

    pub(crate) fn doubled(&self) -> u64 {
        self.partitions
            .iter()
            .map(|partition| partition.count(DeviationKind::Doubled))
            .sum()
    }

    pub(crate) fn gaps(&self) -> u64 {
        self.partitions
            .iter()
            .map(|partition| partition.gaps.len() as u64 + partition.older_gaps)
            .sum()
    }

    /// Nothing is missing, doubled or was unreadable. What is not read yet is no kind.
    pub(crate) fn is_clean(&self) -> bool {
        self.missing() == 0 && self.doubled() == 0 && self.gaps() == 0
    }
}

impl PartitionResult {
    pub(crate) fn count(&self, kind: DeviationKind) -> u64 {
        self.deviations
            .iter()
            .filter(|deviation| deviation.kind == kind)
            .map(|deviation| deviation.ranges.count())
            .sum()
    }
}

/// Judges the evidence.
pub(crate) fn evaluate(evidence: Evidence) -> AuditResult {
    let Evidence {
        partitions,
        produced,
        kafka_problem,
    } = evidence;
    let total = total(&partitions, &produced);
    let vanished = match produced {
        Produced::Total(produced) => produced.saturating_sub(accounted(&partitions)),
        _ => 0,
    };
    let mut rows = BTreeMap::new();
    for (table, written) in partitions
        .iter()
        .filter_map(|look| look.state.as_ref())
        .flat_map(|state| &state.rows)
    {
        *rows.entry(table.clone()).or_default() += written;
    }
    let partitions = partitions
        .into_iter()
        .map(|look| evaluate_partition(look, &produced))
        .collect();
    AuditResult {
        partitions,
        produced: total,
        vanished,
        rows,
        kafka_problem,
    }
}

/// Numbered records that are stored or known to be missing, or are still in the topics.
fn accounted(partitions: &[ObservedPartition]) -> u64 {
    let of = |look: &ObservedPartition| {
        let state = look.state.as_ref().map_or(0, |state| {
            let totals = state.audit.totals();
            totals.seen + totals.missing
        });
        state + look.tail.as_ref().map_or(0, |tail| tail.records)
    };
    partitions.iter().map(of).sum()
}

/// The current run's checkpoints, and of earlier runs what was seen of them.
fn total(partitions: &[ObservedPartition], produced: &Produced) -> Option<u64> {
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
    let states = partitions
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

fn evaluate_partition(look: ObservedPartition, produced: &Produced) -> PartitionResult {
    let ObservedPartition {
        partition,
        state,
        tail,
    } = look;
    let stored = state.clone().unwrap_or_default();
    let mut deviations = Vec::new();
    for (run, shards) in &stored.audit.runs {
        for (shard, audit) in shards {
            for (kind, ranges) in [
                (DeviationKind::Missing, &audit.missing),
                (DeviationKind::Doubled, &audit.doubled),
            ] {
                if !ranges.is_empty() {
                    deviations.push(Deviation {
                        run: *run,
                        shard: *shard,
                        kind,
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
                add(&mut deviations, run, *shard, lost);
            }
        }
    }
    PartitionResult {
        partition,
        stored: stored.records - stored.dead_letters.min(stored.records),
        dead_letters: stored.dead_letters,
        unread: tail.as_ref().map(|tail| tail.records),
        unread_at_most: tail.is_some_and(|tail| !tail.read),
        reordered: stored.audit.totals().reordered,
        deviations,
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

fn add(deviations: &mut Vec<Deviation>, run: RunId, shard: u16, lost: Vec<(u64, u64)>) {
    let known = |deviation: &&mut Deviation| {
        deviation.run == run && deviation.shard == shard && deviation.kind == DeviationKind::Missing
    };
    match deviations.iter_mut().find(known) {
        Some(deviation) => deviation.ranges.ranges.extend(lost),
        None => deviations.push(Deviation {
            run,
            shard,
            kind: DeviationKind::Missing,
            ranges: Ranges {
                ranges: lost,
                more: 0,
            },
        }),
    }
}

#[cfg(test)]
mod tests;
