//! What one look at Kafka gives, and what a row of looks says: rate, and lag in time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::scaling;
use ::kafka::formats::commit_metadata::AuditCounts;
use ::kafka::lag::PartitionLag;
use scaler::PartitionReading;
use tokio::time::Instant;

/// How far the workers were at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// When.
    pub at: Instant,
    /// In the order of the manifest.
    pub topics: Vec<TopicReading>,
    /// Rows stored since the beginning, by table; a table that some partition did not tell of is left out.
    pub rows: BTreeMap<String, u64>,
    /// Dead letters since the beginning.
    pub dead_letters: u64,
    /// The audit since the beginning.
    pub audit: AuditCounts,
    /// Partitions whose worker has reported.
    pub reports: usize,
    /// All partitions, for the scaler; only the newest look has them.
    pub partitions: Vec<PartitionReading>,
    /// What each worker has, by its name; only the newest look has it.
    pub held: BTreeMap<String, Held>,
}

/// What a worker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Partitions.
    pub partitions: u32,
    /// Records that wait in them, as far as is known.
    pub lag: u64,
}

/// How far the workers were in one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReading {
    /// Its name.
    pub name: String,
    /// Partitions that it has.
    pub partitions: i32,
    /// Records that wait; `None` while some partition has no leader.
    pub lag: Option<u64>,
    /// Sum of the offsets up to which is stored.
    pub stored: i64,
    /// Sum of the offsets after the newest records; `None` while some partition has no leader.
    pub end: Option<i64>,
}

impl Reading {
    /// Adds up partitions.
    #[must_use]
    pub fn new(at: Instant, topics: &[(String, Vec<PartitionLag>)]) -> Self {
        let mut reading = Self {
            at,
            topics: Vec::with_capacity(topics.len()),
            rows: BTreeMap::new(),
            dead_letters: 0,
            audit: AuditCounts::default(),
            reports: 0,
            partitions: Vec::new(),
            held: BTreeMap::new(),
        };
        let mut rows_known = true;
        for (name, partitions) in topics {
            reading.topics.push(TopicReading {
                name: name.clone(),
                partitions: partitions.len() as i32,
                lag: partitions.iter().map(PartitionLag::lag).sum(),
                stored: partitions
                    .iter()
                    .map(|partition| {
                        partition
                            .committed
                            .or(partition.range.map(|range| range.start))
                            .unwrap_or(0)
                    })
                    .sum(),
                end: partitions
                    .iter()
                    .map(|partition| partition.range.map(|range| range.end))
                    .sum(),
            });
            let topic = Arc::from(name.as_str());
            for partition in partitions {
                let report = partition.report();
                let seen = scaling::reading(&topic, partition, report.as_ref());
                reading.partitions.push(seen);
                let Some(report) = report else {
                    continue;
                };
                let held = reading.held.entry(report.worker).or_default();
                held.partitions += 1;
                held.lag += partition.lag().unwrap_or(0);
                reading.reports += 1;
                reading.dead_letters += report.dead_letters;
                reading.audit.missing += report.audit.missing;
                reading.audit.doubled += report.audit.doubled;
                reading.audit.reordered += report.audit.reordered;
                match report.rows {
                    Some(rows) => {
                        for (table, count) in rows {
                            *reading.rows.entry(table).or_default() += count;
                        }
                    }
                    None => rows_known = false,
                }
            }
        }
        if !rows_known {
            reading.rows.clear();
        }
        reading
    }

    /// Records that wait in all topics.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        self.topics.iter().map(|topic| topic.lag).sum()
    }

    fn stored(&self) -> i64 {
        self.topics.iter().map(|topic| topic.stored).sum()
    }
}

/// How many looks are kept: at one in 10 s, ten minutes.
const KEPT: usize = 60;
/// The rate is that of the last looks within so much time.
const RATE_WINDOW: Duration = Duration::from_secs(30);

/// A row of looks.
#[derive(Debug, Clone, Default)]
pub struct History {
    readings: VecDeque<Reading>,
    /// When something was stored last, as far as was seen.
    progress: Option<Instant>,
}

impl History {
    /// Adds a look.
    pub fn push(&mut self, reading: Reading) {
        if self
            .readings
            .back()
            .is_some_and(|last| reading.stored() != last.stored())
        {
            self.progress = Some(reading.at);
        }
        // A topic that was made again begins from zero: what was before says nothing about it.
        let begun_again = |last: &Reading| {
            last.topics.len() != reading.topics.len()
                || last
                    .topics
                    .iter()
                    .zip(&reading.topics)
                    .any(|(old, new)| new.end < old.end && new.end.is_some())
        };
        if self.readings.back().is_some_and(begun_again) {
            self.readings.clear();
        }
        if let Some(last) = self.readings.back_mut() {
            last.partitions = Vec::new();
            last.held = BTreeMap::new();
        }
        if self.readings.len() == KEPT {
            self.readings.pop_front();
        }
        self.readings.push_back(reading);
    }

    /// The newest look.
    #[must_use]
    pub fn last(&self) -> Option<&Reading> {
        self.readings.back()
    }

    /// When something was stored last; `None` if that was not seen yet.
    #[must_use]
    pub fn progress(&self) -> Option<Instant> {
        self.progress
    }

    /// How long has been looked.
    #[must_use]
    pub fn seen_for(&self, now: Instant) -> Duration {
        self.readings
            .front()
            .map_or(Duration::ZERO, |first| now.saturating_duration_since(first.at))
    }

    /// Records a second that were stored lately.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let last = self.last()?;
        let first = self
            .readings
            .iter()
            .find(|reading| last.at.saturating_duration_since(reading.at) <= RATE_WINDOW)
            .filter(|first| first.at < last.at)
            .or_else(|| self.readings.iter().rev().nth(1))?;
        let seconds = last.at.saturating_duration_since(first.at).as_secs_f64();
        (seconds > 0.0).then(|| (last.stored() - first.stored()).max(0) as f64 / seconds)
    }

    /// How long the record that is stored next in a topic has been there, in seconds: the time since the topic ended
    /// where the workers are now. `None` if that is longer ago than is remembered and no rate is known either.
    #[must_use]
    pub fn lag_seconds(&self, topic: usize) -> Option<f64> {
        let last = self.last()?;
        let newest = last.topics.get(topic)?;
        if newest.lag? == 0 {
            return Some(0.0);
        }
        let ends: Vec<(f64, i64)> = self
            .readings
            .iter()
            .filter_map(|reading| {
                let age = last.at.saturating_duration_since(reading.at).as_secs_f64();
                reading.topics.get(topic)?.end.map(|end| (age, end))
            })
            .collect();
        // Ends grow: the first look that shows more than is stored, and the one before it, bracket the instant.
        let after = ends.iter().position(|(_, end)| *end > newest.stored)?;
        let (age, end) = *ends.get(after)?;
        if let Some((older_age, older_end)) = after.checked_sub(1).and_then(|before| ends.get(before)) {
            let share = (newest.stored - older_end) as f64 / (end - older_end).max(1) as f64;
            return Some(older_age + (age - older_age) * share);
        }
        // Longer ago than is remembered: as if records had always come at the rate that is known.
        let (newest_age, newest_end) = *ends.last()?;
        let seconds = age - newest_age;
        let rate = (newest_end - end) as f64 / seconds;
        (seconds > 0.0 && rate > 0.0).then(|| age + (end - newest.stored) as f64 / rate)
    }
}

#[cfg(test)]
mod tests {
    use ::kafka::lag::Range;

    use super::*;

    fn partition(number: i32, start: i64, end: i64, committed: i64, metadata: &str) -> PartitionLag {
        PartitionLag {
            partition: number,
            range: Some(Range { start, end }),
            committed: Some(committed),
            metadata: (!metadata.is_empty()).then(|| metadata.to_owned()),
        }
    }

    fn looks(looks: &[(u64, i64, i64)]) -> History {
        let begin = Instant::now();
        let mut history = History::default();
        for (second, end, stored) in looks {
            let topic = ("t".to_owned(), vec![partition(0, 0, *end, *stored, "")]);
            history.push(Reading::new(begin + Duration::from_secs(*second), &[topic]));
        }
        history
    }

    #[test]
    fn partitions_add_up() {
        let report = r#"{"n":{"plays":7},"d":3,"a":{"m":1}}"#;
        let topics = [
            (
                "a".to_owned(),
                vec![partition(0, 0, 10, 4, report), partition(1, 5, 9, 7, report)],
            ),
            ("b".to_owned(), vec![partition(0, 0, 3, 3, "not a report")]),
        ];
        let reading = Reading::new(Instant::now(), &topics);
        assert_eq!(reading.lag(), Some(8));
        assert_eq!(reading.topics[0].stored, 11);
        assert_eq!(reading.rows, BTreeMap::from([("plays".to_owned(), 14)]));
        assert_eq!(
            (reading.dead_letters, reading.audit.missing, reading.reports),
            (6, 2, 2)
        );
    }

    #[test]
    fn unknown_is_not_zero() {
        let mut leaderless = partition(0, 0, 10, 4, r#"{"d":1}"#);
        leaderless.range = None;
        let topics = [(
            "a".to_owned(),
            vec![leaderless, partition(1, 0, 5, 5, r#"{"n":{"plays":7}}"#)],
        )];
        let reading = Reading::new(Instant::now(), &topics);
        assert_eq!(reading.lag(), None);
        assert!(reading.rows.is_empty(), "one partition did not tell its rows");
    }

    #[test]
    fn the_rate_is_that_of_the_last_half_minute() {
        assert_eq!(looks(&[(0, 100, 0)]).rate(), None);
        assert_eq!(looks(&[(0, 100, 0), (10, 200, 50)]).rate(), Some(5.0));
        assert_eq!(
            looks(&[(0, 0, 0), (60, 9000, 6000), (90, 9000, 6300)]).rate(),
            Some(10.0)
        );
        assert_eq!(
            looks(&[(0, 0, 0), (60, 600, 600)]).rate(),
            Some(10.0),
            "a look was late"
        );
    }

    #[test]
    fn lag_in_seconds_is_how_long_ago_the_topic_ended_where_the_workers_are() {
        for (row, expected) in [
            (&[(0, 100, 100)][..], Some(0.0)),
            (&[(0, 100, 0), (10, 200, 100), (20, 300, 150)], Some(15.0)),
            (&[(0, 100, 0), (10, 200, 100), (20, 300, 100)], Some(20.0)),
            // Older than what is remembered.
            (&[(0, 1000, 0), (10, 1100, 500)], Some(60.0)),
            (&[(0, 1000, 0)], None),
            (&[(0, 1000, 0), (10, 1000, 500)], None),
        ] {
            assert_eq!(looks(row).lag_seconds(0), expected, "{row:?}");
        }
    }

    #[test]
    fn a_topic_that_was_made_again_begins_anew() {
        let history = looks(&[(0, 1000, 900), (10, 5, 0)]);
        assert_eq!(history.rate(), None);
        assert_eq!(history.lag_seconds(0), None);
    }

    #[test]
    fn progress_is_seen_between_two_looks() {
        assert_eq!(looks(&[(0, 10, 5)]).progress(), None);
        assert_eq!(looks(&[(0, 10, 5), (10, 20, 5)]).progress(), None);
        assert!(
            looks(&[(0, 10, 5), (10, 20, 6), (20, 20, 6)])
                .progress()
                .is_some()
        );
    }
}
