//! What a row of readings says: rate, and lag in time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::reading::KafkaReading;

/// How many readings are kept: at one in 10 s, ten minutes.
const KEPT: usize = 60;
/// The rate is that of the last readings within so much time.
const RATE_WINDOW: Duration = Duration::from_secs(30);

/// The readings of the last ten minutes, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct LagHistory {
    readings: VecDeque<KafkaReading>,
    /// When something was stored last, as far as was seen.
    progress: Option<Instant>,
}

impl LagHistory {
    pub(crate) fn push(&mut self, reading: KafkaReading) {
        if self
            .readings
            .back()
            .is_some_and(|last| reading.stored() != last.stored())
        {
            self.progress = Some(reading.at);
        }
        // A topic that was made again begins from zero: what was before says nothing about it.
        let begun_again = |last: &KafkaReading| {
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
            last.workers = BTreeMap::new();
        }
        if self.readings.len() == KEPT {
            self.readings.pop_front();
        }
        self.readings.push_back(reading);
    }

    #[must_use]
    pub(crate) fn last(&self) -> Option<&KafkaReading> {
        self.readings.back()
    }

    /// When something was stored last; `None` if that was not seen yet.
    #[must_use]
    pub(crate) fn progress(&self) -> Option<Instant> {
        self.progress
    }

    /// How far back the readings go.
    #[must_use]
    pub(crate) fn covers(&self, now: Instant) -> Duration {
        self.readings
            .front()
            .map_or(Duration::ZERO, |first| now.saturating_duration_since(first.at))
    }

    /// Records a second that were stored lately.
    #[must_use]
    pub(crate) fn rate(&self) -> Option<f64> {
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
    pub(crate) fn lag_seconds(&self, topic: usize) -> Option<f64> {
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
        // Ends grow: the first reading that shows more than is stored, and the one before it, bracket the instant.
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
    use super::super::reading::tests::partition;
    use super::*;

    fn history(readings: &[(u64, i64, i64)]) -> LagHistory {
        let begin = Instant::now();
        let mut history = LagHistory::default();
        for (second, end, stored) in readings {
            let topic = ("t".to_owned(), vec![partition(0, 0, *end, *stored, "")]);
            history.push(KafkaReading::new(begin + Duration::from_secs(*second), &[topic]));
        }
        history
    }

    #[test]
    fn the_rate_is_that_of_the_last_half_minute() {
        assert_eq!(history(&[(0, 100, 0)]).rate(), None);
        assert_eq!(history(&[(0, 100, 0), (10, 200, 50)]).rate(), Some(5.0));
        assert_eq!(
            history(&[(0, 0, 0), (60, 9000, 6000), (90, 9000, 6300)]).rate(),
            Some(10.0)
        );
        assert_eq!(
            history(&[(0, 0, 0), (60, 600, 600)]).rate(),
            Some(10.0),
            "a reading was late"
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
            assert_eq!(history(row).lag_seconds(0), expected, "{row:?}");
        }
    }

    #[test]
    fn a_topic_that_was_made_again_begins_anew() {
        let history = history(&[(0, 1000, 900), (10, 5, 0)]);
        assert_eq!(history.rate(), None);
        assert_eq!(history.lag_seconds(0), None);
    }

    #[test]
    fn progress_is_seen_between_two_history() {
        assert_eq!(history(&[(0, 10, 5)]).progress(), None);
        assert_eq!(history(&[(0, 10, 5), (10, 20, 5)]).progress(), None);
        assert!(
            history(&[(0, 10, 5), (10, 20, 6), (20, 20, 6)])
                .progress()
                .is_some()
        );
    }
}
