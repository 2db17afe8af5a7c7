//! How far a run is, at one moment. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use api::Partition;
use worker::audit::Totals;
use worker::progress::Progress;

use super::ends::Ends;

/// Rates are means over so long.
const WINDOW: Duration = Duration::from_secs(3);

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// Everything is at work.
    #[default]
    Running,
    /// The generator has ended; the workers store what is left.
    Draining,
}

/// A run at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Snapshot {
    /// The pipeline's name.
    pub(super) name: String,
    /// What it is doing.
    pub(super) phase: Phase,
    /// Since the run began.
    pub(super) elapsed: Duration,
    /// How long it is to take, if it was said.
    pub(super) planned: Option<Duration>,
    /// Events produced by this run; `None` without a generator.
    pub(super) produced: Option<u64>,
    /// Records stored or dead-lettered by this run.
    pub(super) stored: u64,
    /// Events a second.
    pub(super) rate_in: f64,
    /// Records a second.
    pub(super) rate_out: f64,
    /// How late the generator's next event is.
    pub(super) behind: Duration,
    /// The generator is held back.
    pub(super) held: bool,
    /// Records that are not stored yet, by partition (an upper bound where transactions leave markers).
    pub(super) unread: Vec<(Partition, u64)>,
    /// Workers.
    pub(super) workers: u32,
    /// What the scaler says about their number; empty where nobody decides.
    pub(super) decision: String,
    /// Rows by table, ever.
    pub(super) rows: BTreeMap<String, u64>,
    /// Dead letters, ever.
    pub(super) dead_letters: u64,
    /// The audit's sums, ever.
    pub(super) audit: Totals,
}

impl Snapshot {
    /// Records that are not stored yet.
    pub(super) fn unread(&self) -> u64 {
        self.unread.iter().map(|(_, unread)| unread).sum()
    }

    /// The unread records of the fullest partition.
    pub(super) fn most_unread(&self) -> u64 {
        self.unread.iter().map(|(_, unread)| *unread).max().unwrap_or(0)
    }
}

/// Records behind each partition's stored position. A partition that nobody has taken over yet is unread from its
/// beginning.
pub(super) fn unread(ends: &Ends, progress: &Progress) -> Vec<(Partition, u64)> {
    let of = |(partition, range): (&Partition, &kafka::lag::Range)| {
        let next = progress.partitions.get(partition).map(|progress| progress.next);
        (partition.clone(), kafka::lag::lag(*range, next))
    };
    ends.ranges.iter().map(of).collect()
}

/// Rates over the last few seconds.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// When, and how much until then.
    marks: VecDeque<(Duration, u64)>,
}

impl Meter {
    /// Notes a total, and gives the rate a second.
    pub(super) fn rate(&mut self, now: Duration, total: u64) -> f64 {
        self.marks.push_back((now, total));
        while self.marks.len() > 2
            && self
                .marks
                .get(1)
                .is_some_and(|(at, _)| now.saturating_sub(*at) >= WINDOW)
        {
            self.marks.pop_front();
        }
        let Some((since, before)) = self.marks.front() else {
            return 0.0;
        };
        let seconds = now.saturating_sub(*since).as_secs_f64();
        if seconds > 0.0 {
            total.saturating_sub(*before) as f64 / seconds
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka::lag::Range;
    use worker::progress::PartitionProgress;

    use super::*;

    #[test]
    fn a_rate_is_the_mean_of_the_last_seconds() {
        let mut meter = Meter::default();
        assert!(meter.rate(Duration::ZERO, 0).abs() < 1e-9);
        for tenth in 1..=100_u64 {
            meter.rate(Duration::from_millis(tenth * 100), tenth * 50);
        }
        let rate = meter.rate(Duration::from_millis(10_100), 5_050);
        assert!((rate - 500.0).abs() < 1e-6, "{rate}");
        // Nothing came any more: after the window the rate is nothing.
        for tenth in 102..=140_u64 {
            meter.rate(Duration::from_millis(tenth * 100), 5_050);
        }
        assert!(meter.rate(Duration::from_millis(14_100), 5_050).abs() < 1e-9);
    }

    #[test]
    fn a_partition_that_nobody_reads_is_unread_as_a_whole() {
        let partition = |number| Partition {
            topic: "plays".into(),
            number,
        };
        let ranges = [
            (partition(0), Range { start: 0, end: 10 }),
            (partition(1), Range { start: 5, end: 9 }),
        ];
        let ends = Ends {
            look: 1,
            ranges: ranges.into(),
            ..Ends::default()
        };
        let mut progress = Progress::default();
        progress.partitions.insert(
            partition(0),
            PartitionProgress {
                next: 7,
                ..PartitionProgress::default()
            },
        );
        assert_eq!(unread(&ends, &progress), [(partition(0), 3), (partition(1), 4)]);
    }
}
