//! The records that are in a topic and not stored yet, counted by reading them. Offsets alone would count the
//! markers of transactions too.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka::formats::sequence::RecordSequence;
use kafka::lag::Range;
use kafka::librdkafka::{ClientConfig, read_ranges};
use worker::audit::RunId;

use super::evaluate::Tail;
use crate::error::CliError;

/// After that, what was not read is only counted by its offsets.
const PATIENCE: Duration = Duration::from_secs(15);

/// Offsets of a partition from the stored position to the log's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The first one that is not stored.
    pub(super) from: i64,
    /// Behind the last one.
    pub(super) to: i64,
}

/// Reads the stretches of one topic's partitions. Blocks.
pub(super) fn read(
    config: &ClientConfig,
    topic: &str,
    stretches: &BTreeMap<i32, Stretch>,
) -> Result<BTreeMap<i32, Tail>, CliError> {
    let mut tails: BTreeMap<i32, Tail> = stretches
        .keys()
        .map(|number| {
            (
                *number,
                Tail {
                    read: true,
                    ..Tail::default()
                },
            )
        })
        .collect();
    let ranges: BTreeMap<i32, Range> = stretches
        .iter()
        .map(|(number, stretch)| {
            let (start, end) = (stretch.from, stretch.to);
            (*number, Range { start, end })
        })
        .collect();
    let unread = read_ranges(config, topic, &ranges, PATIENCE, |number, sequence| {
        if let Some(tail) = tails.get_mut(&number) {
            count(tail, sequence);
        }
    });
    let unread = unread.map_err(CliError::kafka(format!(
        "cannot read the records of topic {topic} that are not stored yet"
    )))?;
    for number in unread {
        if let (Some(tail), Some(stretch)) = (tails.get_mut(&number), stretches.get(&number)) {
            *tail = Tail {
                records: stretch.to.abs_diff(stretch.from),
                ..Tail::default()
            };
        }
    }
    Ok(tails)
}

fn count(tail: &mut Tail, sequence: Option<RecordSequence>) {
    tail.records += 1;
    if let Some(RecordSequence { run, shard, number }) = sequence {
        let (first, end) = tail
            .numbers
            .entry((RunId(run), shard))
            .or_insert((number, number));
        *first = (*first).min(number);
        *end = (*end).max(number + 1);
    }
}
