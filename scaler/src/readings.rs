//! From an observation to numbers: what can be decided on, or what is missing.

use crate::observation::{Committed, Handover, Observation, PartitionId, PartitionReading};

/// A reading older than this, in seconds, says nothing about now.
const STALE: f64 = 60.0;
/// Time constant of the damping of a partition's share of the load, in seconds.
const SHARE_DAMPING: f64 = 120.0;
/// Handovers so close together, in milliseconds, are one rebalance's.
const ONE_REBALANCE: i64 = 60_000;

/// What is kept of a partition between two readings. It is not saved: after a restart two readings give it anew.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Memory {
    id: PartitionId,
    end: i64,
    position: i64,
    /// Its share of what arrives; 0..=1, or `None` before anything has.
    share: Option<f64>,
    /// How long its position has not moved although there was lag, in seconds.
    still: f64,
}

/// Why nothing can be decided.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Gap {
    NoPartitions,
    Unknown { count: usize, first: PartitionId },
    Stale { count: usize, first: PartitionId },
    Invalid,
}

/// What an observation says, in the order of its partitions.
pub(crate) struct Readings {
    pub(crate) partitions: Vec<Partition>,
    /// Records that came since the last reading; `None` if there was none.
    pub(crate) arrived: Option<f64>,
    /// Records that were read since the last reading.
    pub(crate) consumed: Option<f64>,
    pub(crate) per_worker: Option<f64>,
    pub(crate) sink_wait: Option<f64>,
    /// Age of the oldest newest event of the partitions with lag, in seconds.
    pub(crate) oldest_event: Option<f64>,
    /// The latest rebalance: its last handover, and the longest pause of all of them.
    pub(crate) rebalance: Option<Handover>,
    pub(crate) memory: Vec<Memory>,
}

pub(crate) struct Partition {
    pub(crate) lag: f64,
    pub(crate) share: f64,
    pub(crate) still: f64,
}

impl Readings {
    pub(crate) fn lag(&self) -> f64 {
        self.partitions.iter().map(|partition| partition.lag).sum()
    }
}

/// Reads `observation`, `seconds` after that of `before` (`None` if the two cannot be compared).
pub(crate) fn read(
    observation: &Observation,
    from_latest: bool,
    before: &[Memory],
    seconds: Option<f64>,
    now_ms: i64,
) -> Result<Readings, Gap> {
    let readings = &observation.partitions;
    if readings.is_empty() {
        return Err(Gap::NoPartitions);
    }
    let missing = |reading: &&PartitionReading| {
        reading.log.is_none() || matches!(reading.committed, Committed::Unknown)
    };
    if let Some(first) = readings.iter().find(missing) {
        return Err(Gap::Unknown {
            count: readings.iter().filter(missing).count(),
            first: first.id.clone(),
        });
    }
    // An age that is not a number is no age.
    let stale = |reading: &&PartitionReading| reading.age_seconds.is_nan() || reading.age_seconds > STALE;
    if let Some(first) = readings.iter().find(stale) {
        return Err(Gap::Stale {
            count: readings.iter().filter(stale).count(),
            first: first.id.clone(),
        });
    }
    let per_worker = valid(readings.iter().map(|r| r.records_per_busy_second), f64::MAX)?;
    let sink_wait = valid(readings.iter().map(|r| r.sink_wait_share), 1.0)?;
    let sink_wait = (!sink_wait.is_empty()).then(|| sink_wait.iter().sum::<f64>() / sink_wait.len() as f64);

    let (memory, arrived, consumed) = remember(readings, from_latest, before, seconds);
    let mut oldest_event: Option<f64> = None;
    let mut partitions = Vec::with_capacity(readings.len());
    for (reading, memory) in readings.iter().zip(&memory) {
        let lag = reading.lag(from_latest).unwrap_or(0) as f64;
        if let Some(newest) = reading.newest_event_ms.filter(|_| lag > 0.0) {
            let age = now_ms.saturating_sub(newest).max(0) as f64 / 1_000.0;
            oldest_event = Some(oldest_event.map_or(age, |oldest| oldest.max(age)));
        }
        partitions.push(Partition {
            lag,
            share: memory.share.unwrap_or(1.0 / readings.len() as f64),
            still: memory.still,
        });
    }
    Ok(Readings {
        partitions,
        arrived,
        consumed,
        per_worker: median(per_worker),
        sink_wait,
        oldest_event,
        rebalance: rebalance(readings),
        memory,
    })
}

fn rebalance(readings: &[PartitionReading]) -> Option<Handover> {
    let handovers = || readings.iter().filter_map(|reading| reading.handover);
    let at_ms = handovers().map(|handover| handover.at_ms).max()?;
    let pause_seconds = handovers()
        .filter(|handover| handover.at_ms > at_ms.saturating_sub(ONE_REBALANCE))
        .map(|handover| handover.pause_seconds)
        .fold(0.0, f64::max);
    Some(Handover { at_ms, pause_seconds })
}

fn remember(
    readings: &[PartitionReading],
    from_latest: bool,
    before: &[Memory],
    seconds: Option<f64>,
) -> (Vec<Memory>, Option<f64>, Option<f64>) {
    let mut arrivals = Vec::with_capacity(readings.len());
    let mut consumed = 0.0;
    let mut memory: Vec<Memory> = Vec::with_capacity(readings.len());
    for (index, reading) in readings.iter().enumerate() {
        let end = reading.log.map_or(0, |log| log.end);
        let lag = reading.lag(from_latest).unwrap_or(0);
        let position = end.saturating_sub(i64::try_from(lag).unwrap_or(i64::MAX));
        // Observations list partitions in the same order, as a rule.
        let known = before
            .get(index)
            .filter(|known| known.id == reading.id)
            .or_else(|| before.iter().find(|known| known.id == reading.id));
        // Offsets that went back are another topic's of the same name: nothing is known of what arrived.
        let moved = |from: i64, to: i64| to.saturating_sub(from).max(0) as f64;
        let (arrival, read) = known.map_or((0.0, 0.0), |known| {
            (moved(known.end, end), moved(known.position, position))
        });
        arrivals.push(arrival);
        consumed += read;
        let still = match (known, seconds) {
            (Some(known), Some(seconds)) if read <= 0.0 && lag > 0 => known.still + seconds,
            _ => 0.0,
        };
        memory.push(Memory {
            id: reading.id.clone(),
            end,
            position,
            share: known.and_then(|known| known.share),
            still,
        });
    }
    let Some(seconds) = seconds.filter(|_| !before.is_empty()) else {
        return (memory, None, None);
    };
    let arrived: f64 = arrivals.iter().sum();
    if arrived > 0.0 {
        let weight = 1.0 - (-seconds / SHARE_DAMPING).exp();
        for (memory, arrival) in memory.iter_mut().zip(&arrivals) {
            let seen = arrival / arrived;
            memory.share = Some(memory.share.map_or(seen, |share| share + weight * (seen - share)));
        }
        // They sum up to 1 even if partitions were added.
        let sum: f64 = memory.iter().filter_map(|memory| memory.share).sum();
        for share in memory.iter_mut().filter_map(|memory| memory.share.as_mut()) {
            *share /= sum;
        }
    }
    (memory, Some(arrived), Some(consumed))
}

/// The values that can be: finite, from 0 to `most`. It is an error if there are values and none can be.
fn valid(values: impl Iterator<Item = Option<f64>>, most: f64) -> Result<Vec<f64>, Gap> {
    let mut any = false;
    let valid: Vec<f64> = values
        .flatten()
        .inspect(|_| any = true)
        .filter(|value| (0.0..=most).contains(value))
        .collect();
    if any && valid.is_empty() {
        Err(Gap::Invalid)
    } else {
        Ok(valid)
    }
}

/// The middle one: a single worker that reports nonsense, or reported it long ago, moves nothing.
fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let (_, median, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    (*median > 0.0).then_some(*median)
}
