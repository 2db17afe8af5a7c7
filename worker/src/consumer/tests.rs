//! When batches are closed.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{Batch as BatchLimits, Partition};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::assigned::{Assigned, Input, Phase};
use super::assignment::Assignment;
use crate::records::Record;

const LIMITS: BatchLimits = BatchLimits {
    max_records: 100,
    max_bytes: 1_000_000,
    max_wait: Duration::from_secs(1),
};

/// A partition that is being read, and what its task gets.
fn assigned(number: i32) -> (Assigned, mpsc::Receiver<Input>) {
    let partition = Partition {
        topic: "plays".into(),
        number,
    };
    let (sender, input) = mpsc::channel(1);
    let task = tokio::spawn(async {});
    let mut assigned = Assigned::new(partition, sender, CancellationToken::new(), task, Arc::default());
    assigned.begin((1, 1), 0, None, None);
    assigned.note_stored(0, String::new());
    (assigned, input)
}

fn read(assigned: &mut Assigned, offsets: Range<i64>, end: i64, now: Instant) {
    for offset in offsets.clone() {
        let record = Record {
            offset,
            timestamp: None,
            key: None,
            value: Some(b"{}"),
            sequence: None,
        };
        assigned.push(record, now, &LIMITS);
    }
    assigned.read_to(offsets.end, end);
}

fn batch(input: &mut mpsc::Receiver<Input>) -> Option<usize> {
    match input.try_recv() {
        Ok(Input::Batch(batch)) => Some(batch.records.len()),
        _ => None,
    }
}

#[tokio::test]
async fn records_wait_for_company_unless_they_are_late_already() {
    let now = Instant::now();
    let due = |assigned: &Assigned| assigned.due(&LIMITS).map(|due| due - now);
    let (mut assigned, mut input) = assigned(0);
    // As they are produced: the log has no more than this.
    read(&mut assigned, 0..3, 3, now);
    assert_eq!(due(&assigned), Some(LIMITS.max_wait));
    assigned.dispatch(now + LIMITS.max_wait, &LIMITS, false);
    assert_eq!(batch(&mut input), Some(3));
    // A backlog: while there is more, the batch is filled.
    read(&mut assigned, 3..53, 1_000, now);
    assert_eq!(due(&assigned), Some(LIMITS.max_wait));
    read(&mut assigned, 53..113, 1_000, now);
    assigned.dispatch(now, &LIMITS, false);
    assert_eq!(batch(&mut input), Some(100));
    // Its end: what is left of it waits no longer.
    read(&mut assigned, 113..133, 133, now);
    assert_eq!(due(&assigned), Some(Duration::ZERO));
    assigned.dispatch(now, &LIMITS, false);
    assert_eq!(batch(&mut input), Some(30));
    // Then all is as it was.
    read(&mut assigned, 133..134, 134, now);
    assert_eq!(due(&assigned), Some(LIMITS.max_wait));
}

#[tokio::test]
async fn short_memory_hands_on_the_largest_batches_that_can_be_stored_at_once() {
    let now = Instant::now();
    let (mut all, mut inputs) = (Assignment::default(), Vec::new());
    for (number, records) in [10, 40, 30, 20].into_iter().enumerate() {
        let (mut one, input) = assigned(number as i32);
        read(&mut one, 0..records, 1_000, now);
        all.insert(one);
        inputs.push(input);
    }
    let mut flushed = |all: &mut Assignment| -> Vec<Option<usize>> {
        all.flush_early(now, &LIMITS, 2);
        inputs.iter_mut().map(batch).collect()
    };
    assert_eq!(flushed(&mut all), [None, Some(40), Some(30), None]);
    // Both are under way: nothing more until one is stored.
    assert_eq!(flushed(&mut all), [None; 4]);
    all.get_mut("plays", 1).unwrap().in_flight = 0;
    assert_eq!(flushed(&mut all), [None, None, None, Some(20)]);
    // One whose task waits for its records to be fixed does not count.
    all.get_mut("plays", 2).unwrap().phase = Phase::Waiting;
    assert_eq!(flushed(&mut all), [Some(10), None, None, None]);
}

/// What a sink waits for is one batch, whatever the limits are by now, and nothing behind it.
#[tokio::test]
async fn a_batch_with_a_given_end_is_read_whole_and_ends_there() {
    let now = Instant::now();
    let (mut assigned, mut input) = assigned(0);
    assigned.begin((2, 2), 0, Some(150), None);
    read(&mut assigned, 0..120, 1_000, now);
    assert_eq!(assigned.due(&LIMITS), None);
    assigned.dispatch(now + 10 * LIMITS.max_wait, &LIMITS, true);
    assert_eq!(batch(&mut input), None, "neither too many records nor too late");
    read(&mut assigned, 120..180, 1_000, now);
    assert!(assigned.has_ended(), "the task says what comes next");
    assigned.dispatch(now, &LIMITS, false);
    assert_eq!(batch(&mut input), Some(150));
    // Nothing is left of the range: the task is told that too.
    assigned.begin((3, 3), 150, Some(160), None);
    read(&mut assigned, 160..170, 1_000, now);
    assigned.dispatch(now, &LIMITS, false);
    assert_eq!(batch(&mut input), Some(0));
}
