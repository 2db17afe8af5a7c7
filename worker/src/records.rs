//! Raw records of one partition, as Kafka gave them: kept until their batch is committed, so that a record
//! that fails at any stage can become a dead letter with its bytes.

use api::Partition;
use kafka::formats::sequence::RecordSequence;
use sinks::TopicId;

/// The length that stands for an absent key or value.
const ABSENT: u32 = u32::MAX;

/// Stands for an absent timestamp: 292 million years ago.
const NO_TIMESTAMP: i64 = i64::MIN;

/// A contiguous range of offsets of one partition. Keys and values lie one after the other in one buffer:
/// a batch costs a few allocations, not one a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    /// Where the records come from.
    pub partition: Partition,
    /// The offset that was expected next when the batch was begun; the first record may come later, where the
    /// log was compacted or holds transaction markers.
    pub start: i64,
    /// The topic's id, where brokers tell it.
    pub topic_id: Option<TopicId>,
    /// The epoch of the leader that took the first record.
    leader_epoch: Option<i32>,
    /// Where later records are of another leader: the index of the first of them, rising. Few logs have any.
    later_epochs: Vec<(u32, Option<i32>)>,
    entries: Vec<Entry>,
    bytes: Vec<u8>,
}

/// What is known of one record. There are hundreds of thousands in memory, and how many decides how large batches are:
/// 48 bytes instead of the 72 that optional members take.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Entry {
    offset: i64,
    timestamp: i64,
    /// With `shard` and `number`, if `is_numbered`.
    run: u64,
    number: u64,
    /// Where its key and then its value are. A buffer holds `batch.maxBytes` and one record, less than 4 GiB.
    begin: u32,
    key: u32,
    value: u32,
    shard: u16,
    is_numbered: bool,
}

const _: () = assert!(size_of::<Entry>() == 48);

/// One record, borrowed from its batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record<'a> {
    /// Rises from record to record, with gaps.
    pub offset: i64,
    /// Kafka's timestamp, milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// `None` where the producer gave none, unlike an empty one.
    pub key: Option<&'a [u8]>,
    /// `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// The generator's number of it, for records of this product's generator.
    pub sequence: Option<RecordSequence>,
}

impl Records {
    /// No records yet; the next one is expected at `start` or later.
    #[must_use]
    pub fn new(partition: Partition, start: i64) -> Self {
        Self {
            partition,
            start,
            topic_id: None,
            leader_epoch: None,
            later_epochs: Vec::new(),
            entries: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// No records yet; the next one follows the last of these.
    #[must_use]
    pub fn following(&self) -> Self {
        Self {
            topic_id: self.topic_id,
            leader_epoch: self.leader_epoch(self.len()),
            ..Self::new(self.partition.clone(), self.end())
        }
    }

    /// The records that come next are of a batch that this leader took. Said once a batch of Kafka's, not once a record.
    pub fn set_source(&mut self, topic_id: Option<TopicId>, leader_epoch: Option<i32>) {
        self.topic_id = topic_id;
        if self.is_empty() {
            self.leader_epoch = leader_epoch;
        } else if self.leader_epoch(self.len()) != leader_epoch {
            let next = self.len() as u32;
            self.later_epochs.retain(|(index, _)| *index < next);
            self.later_epochs.push((next, leader_epoch));
        }
    }

    /// The epoch of the leader that took the record at `index`.
    #[must_use]
    pub fn leader_epoch(&self, index: usize) -> Option<i32> {
        let later = self
            .later_epochs
            .partition_point(|(first, _)| *first as usize <= index);
        match later.checked_sub(1).and_then(|last| self.later_epochs.get(last)) {
            Some((_, epoch)) => *epoch,
            None => self.leader_epoch,
        }
    }

    /// Makes room for as much as `other` holds.
    pub fn reserve_like(&mut self, other: &Self) {
        self.entries.reserve(other.entries.len());
        self.bytes.reserve(other.bytes.len());
    }

    /// Adds a record. Offsets must rise.
    pub fn push(&mut self, record: Record<'_>) {
        debug_assert!(self.entries.last().is_none_or(|last| last.offset < record.offset));
        let begin = self.bytes.len() as u32;
        let mut add = |part: Option<&[u8]>| {
            part.map_or(ABSENT, |part| {
                self.bytes.extend_from_slice(part);
                // Kafka's own limit of a record is below 2 GiB.
                part.len() as u32
            })
        };
        let (key, value) = (add(record.key), add(record.value));
        let (run, shard, number) = record
            .sequence
            .map_or((0, 0, 0), |it| (it.run, it.shard, it.number));
        self.entries.push(Entry {
            offset: record.offset,
            timestamp: record.timestamp.unwrap_or(NO_TIMESTAMP),
            run,
            number,
            begin,
            key,
            value,
            shard,
            is_numbered: record.sequence.is_some(),
        });
    }

    /// The offset after the last record.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.entries.last().map_or(self.start, |last| last.offset + 1)
    }

    /// Records that were pushed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The record at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Record<'_>> {
        self.entries.get(index).map(|entry| self.record(entry))
    }

    /// All records in the order of their offsets.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.entries.iter().map(|entry| self.record(entry))
    }

    fn record(&self, entry: &Entry) -> Record<'_> {
        let take = |begin: usize, length: u32| {
            if length == ABSENT {
                None
            } else {
                self.bytes.get(begin..begin + length as usize)
            }
        };
        let begin = entry.begin as usize;
        let key_length = if entry.key == ABSENT {
            0
        } else {
            entry.key as usize
        };
        Record {
            offset: entry.offset,
            timestamp: (entry.timestamp != NO_TIMESTAMP).then_some(entry.timestamp),
            key: take(begin, entry.key),
            value: take(begin + key_length, entry.value),
            sequence: entry.is_numbered.then_some(RecordSequence {
                run: entry.run,
                shard: entry.shard,
                number: entry.number,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were_put_in() {
        let partition = Partition {
            topic: "t".into(),
            number: 3,
        };
        let mut records = Records::new(partition, 5);
        assert_eq!(records.end(), 5, "an empty batch ends where it begins");
        let given = [
            Record {
                offset: 7,
                timestamp: Some(1),
                key: Some(b"k"),
                value: Some(b"v1"),
                sequence: None,
            },
            Record {
                offset: 8,
                timestamp: None,
                key: None,
                value: Some(b""),
                sequence: None,
            },
            Record {
                offset: 11,
                timestamp: None,
                key: Some(b""),
                value: None,
                sequence: None,
            },
        ];
        for record in given {
            records.push(record);
        }
        assert_eq!(records.iter().collect::<Vec<_>>(), given);
        assert_eq!(records.get(1), Some(given[1]));
        assert_eq!(
            (records.start, records.end(), records.len(), records.byte_len()),
            (5, 12, 3, 3)
        );
    }

    #[test]
    fn a_record_s_leader_is_the_one_of_its_batch() {
        let partition = Partition {
            topic: "t".into(),
            number: 3,
        };
        let mut records = Records::new(partition, 0);
        let push = |records: &mut Records, offset| {
            records.push(Record {
                offset,
                timestamp: None,
                key: None,
                value: None,
                sequence: None,
            });
        };
        let epochs =
            |records: &Records| -> Vec<_> { (0..records.len()).map(|at| records.leader_epoch(at)).collect() };
        let id = Some(TopicId([7; 16]));
        // A batch of which nothing is taken, since all of it is stored already.
        records.set_source(id, Some(1));
        records.set_source(id, Some(2));
        push(&mut records, 0);
        push(&mut records, 1);
        records.set_source(id, Some(2));
        push(&mut records, 2);
        records.set_source(id, Some(4));
        records.set_source(id, Some(5));
        push(&mut records, 3);
        assert_eq!(epochs(&records), [Some(2), Some(2), Some(2), Some(5)]);
        let mut next = records.following();
        push(&mut next, 4);
        assert_eq!((next.start, next.topic_id, epochs(&next)), (4, id, vec![Some(5)]));
    }
}
