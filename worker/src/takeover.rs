//! For how long a partition stood still when it went from one worker to another.

use std::time::Duration;

use jiff::Timestamp;
use kafka::commit_metadata::Handover;
use tokio::time::Instant;

use crate::sink::Claim;

/// A partition that another worker has stored before, and this one has not yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Takeover {
    claimed: Instant,
    /// Time since the last batch of the other, at that moment.
    idle: Duration,
}

impl Takeover {
    /// What a claim that was made `now` begins; `None` for a partition that was never stored.
    pub(crate) fn begin(claim: &Claim, now: Instant) -> Option<Self> {
        claim.next_offset.map(|_| Self {
            claimed: now,
            idle: claim.idle,
        })
    }

    /// The first batch is stored, whose `oldest` record Kafka has had since then (milliseconds since 1970). A partition
    /// without records does not stand still, so at most that record's age counts.
    pub(crate) fn end(self, oldest: Option<i64>, now: Instant, time: Timestamp) -> Handover {
        let at_ms = time.as_millisecond();
        let unowned = self.idle + now.saturating_duration_since(self.claimed);
        let unowned = u64::try_from(unowned.as_millis()).unwrap_or(u64::MAX);
        let waited = oldest.map_or(u64::MAX, |oldest| {
            u64::try_from(at_ms.saturating_sub(oldest)).unwrap_or(0)
        });
        Handover {
            at_ms,
            pause_ms: unowned.min(waited),
        }
    }
}

#[cfg(test)]
mod tests {
    use api::Partition;

    use super::*;
    use crate::sink::Lease;

    #[test]
    fn a_partition_stands_still_while_nobody_stores_what_it_has() {
        let claim = |next_offset, idle| Claim {
            lease: Lease {
                partition: Partition {
                    topic: "plays".into(),
                    number: 0,
                },
                epoch: 2,
            },
            next_offset,
            state: None,
            idle: Duration::from_millis(idle),
        };
        let now = Instant::now();
        let time: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let pause = |idle, record_age: Option<i64>| {
            let takeover = Takeover::begin(&claim(Some(7), idle), now).unwrap();
            let oldest = record_age.map(|age| time.as_millisecond() - age);
            takeover
                .end(oldest, now + Duration::from_millis(300), time)
                .pause_ms
        };
        assert_eq!(pause(500, Some(60_000)), 800, "a backlog");
        assert_eq!(pause(60_000, Some(40)), 40, "no records came for a minute");
        assert_eq!(pause(500, None), 800);
        assert_eq!(pause(500, Some(-40)), 0, "clocks of machines differ");
        assert_eq!(Takeover::begin(&claim(None, 0), now), None);
    }
}
