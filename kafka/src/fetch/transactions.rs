//! Which batches a reader of committed records sees.

use super::batch::{Batch, BatchError, Batches, Marker};
use super::compression::Scratch;

/// A transaction that was aborted, as brokers name it beside the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aborted {
    pub(super) producer_id: i64,
    /// The offset of its first record.
    pub(super) first_offset: i64,
}

/// The batches that hold committed records from an offset on: without markers, aborted transactions and what lies
/// before the offset. After an error there is nothing more.
#[derive(Debug)]
pub struct Committed<'a> {
    batches: Batches<'a>,
    /// By first offset; those that have begun are taken off.
    aborted: &'a [Aborted],
    /// Whose records belong to an aborted transaction at this point of the log.
    aborting: Vec<i64>,
    start: i64,
}

impl<'a> Committed<'a> {
    /// `aborted` is in the order of first offsets, and covers `bytes` whole.
    pub(super) fn new(bytes: &'a [u8], aborted: &'a [Aborted], start: i64) -> Self {
        Self {
            batches: Batches::new(bytes),
            aborted,
            aborting: Vec::new(),
            start,
        }
    }

    /// Whether the batch is one to see.
    fn sees(&mut self, batch: &Batch<'_>) -> Result<bool, BatchError> {
        while let Some((first, rest)) = self.aborted.split_first()
            && first.first_offset <= batch.last_offset
        {
            self.aborting.push(first.producer_id);
            self.aborted = rest;
        }
        if batch.is_control() {
            // A marker is never compressed, so the scratch stays empty.
            if !self.aborting.is_empty() && batch.marker(&mut Scratch::default())? == Marker::Abort {
                self.aborting.retain(|producer| *producer != batch.producer_id);
            }
            return Ok(false);
        }
        let aborted = batch.is_transactional() && self.aborting.contains(&batch.producer_id);
        Ok(!aborted && batch.last_offset >= self.start)
    }
}

impl<'a> Iterator for Committed<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let batch = match self.batches.next()? {
                Ok(batch) => batch,
                Err(error) => return Some(Err(error)),
            };
            match self.sees(&batch) {
                Ok(true) => return Some(Ok(batch.read_from(self.start))),
                Ok(false) => {}
                Err(error) => {
                    self.batches = Batches::new(&[]);
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::encode::{Plan, encode, marker};

    use proptest::prelude::*;

    /// What happens next in a log that several producers write to.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Write { producer: i64, records: usize },
        Outside { records: usize },
        End { producer: i64, commit: bool },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..3_i64, 1..4_usize).prop_map(|(producer, records)| Step::Write { producer, records }),
            1 => (1..3_usize).prop_map(|records| Step::Outside { records }),
            2 => (0..3_i64, any::<bool>()).prop_map(|(producer, commit)| Step::End { producer, commit }),
        ]
    }

    #[derive(Default)]
    struct Log {
        /// With the first offset of each.
        batches: Vec<(i64, Vec<u8>)>,
        /// With the offset of each one's marker.
        aborted: Vec<(i64, Aborted)>,
        /// The offsets that readers see.
        visible: Vec<i64>,
        next: i64,
        /// The offsets of each producer's open transaction.
        open: [Vec<i64>; 3],
    }

    impl Log {
        /// The log after `steps`. All transactions are ended: a broker sends nothing from the first open one on.
        fn of(steps: &[Step]) -> Self {
            let mut log = Self::default();
            let end = |producer| Step::End {
                producer,
                commit: true,
            };
            for step in steps.iter().copied().chain((0..3).map(end)) {
                log.take(step);
            }
            log.visible.sort_unstable();
            log.aborted.sort_by_key(|(_, aborted)| aborted.first_offset);
            log
        }

        fn take(&mut self, step: Step) {
            let next = self.next;
            match step {
                Step::Write { producer, records } => {
                    let plan = Plan {
                        producer_id: producer,
                        transactional: true,
                        ..Plan::at(next)
                    };
                    self.append(encode(&plan, &Plan::values(records)), records);
                    self.open[producer as usize].extend(next..self.next);
                }
                Step::Outside { records } => {
                    self.append(encode(&Plan::at(next), &Plan::values(records)), records);
                    self.visible.extend(next..self.next);
                }
                Step::End { producer, commit } => {
                    let written = std::mem::take(&mut self.open[producer as usize]);
                    let Some(&first_offset) = written.first() else {
                        return;
                    };
                    self.append(marker(next, producer, commit), 1);
                    if commit {
                        self.visible.extend(written);
                    } else {
                        let aborted = Aborted {
                            producer_id: producer,
                            first_offset,
                        };
                        self.aborted.push((next, aborted));
                    }
                }
            }
        }

        fn append(&mut self, batch: Vec<u8>, offsets: usize) {
            self.batches.push((self.next, batch));
            self.next += offsets as i64;
        }

        /// What a broker names beside the log from `start` on.
        fn aborted_from(&self, start: i64) -> Vec<Aborted> {
            let later = self.aborted.iter().filter(|(end, _)| *end >= start);
            later.map(|(_, aborted)| *aborted).collect()
        }
    }

    proptest! {
        #[test]
        fn exactly_the_committed_records_are_seen(steps in proptest::collection::vec(step(), 0..30), from: prop::sample::Index, skipped in 0..3_i64) {
            let log = Log::of(&steps);
            let begin = if log.batches.is_empty() { 0 } else { from.index(log.batches.len()) };
            let bytes: Vec<u8> = log.batches[begin..].iter().flat_map(|(_, bytes)| bytes.clone()).collect();
            let start = log.batches.get(begin).map_or(0, |(offset, _)| offset + skipped);
            let aborted = log.aborted_from(start);
            let mut scratch = Scratch::default();
            let mut seen = Vec::new();
            for batch in Committed::new(&bytes, &aborted, start) {
                for record in batch.unwrap().records(&mut scratch).unwrap() {
                    seen.push(record.unwrap().offset);
                }
            }
            let expected: Vec<i64> = log.visible.into_iter().filter(|offset| *offset >= start).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
