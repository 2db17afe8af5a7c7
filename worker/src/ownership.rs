//! For how long a partition stood still when it went from one worker to another.

use std::time::Duration;

use jiff::Timestamp;
use kafka::formats::commit_metadata::Handover;
use tokio::time::Instant;

use sinks::Claim;

/// How a partition came to this worker.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) enum Ownership {
    /// It is yet to be claimed.
    #[default]
    Assigned,
    /// Claimed from another worker, and nothing is stored since.
    Taking {
        claimed: Instant,
        /// Time since the other's last batch, at that moment.
        idle: Duration,
    },
    /// At work: the handover that began it; `None` if nobody had stored anything before.
    Owned(Option<Handover>),
}

impl Ownership {
    /// The partition was claimed `now`. One that is claimed again, because the sink was away, say, has not changed hands.
    pub(crate) fn claimed(&mut self, claim: &Claim, now: Instant) {
        if *self == Self::Assigned {
            *self = match claim.next_offset {
                Some(_) => Self::Taking {
                    claimed: now,
                    idle: claim.idle,
                },
                None => Self::Owned(None),
            };
        }
    }

    /// A batch is stored, whose `oldest` record Kafka has had since then (milliseconds since 1970); gives the handover that
    /// ends with it. A partition without records does not stand still, so at most that record's age counts.
    pub(crate) fn stored(&mut self, oldest: Option<i64>, now: Instant, time: Timestamp) -> Option<Handover> {
        let Self::Taking { claimed, idle } = *self else {
            return None;
        };
        let at_ms = time.as_millisecond();
        let unowned = idle + now.saturating_duration_since(claimed);
        let unowned = u64::try_from(unowned.as_millis()).unwrap_or(u64::MAX);
        let waited = oldest.map_or(u64::MAX, |oldest| {
            u64::try_from(at_ms.saturating_sub(oldest)).unwrap_or(0)
        });
        let handover = Handover {
            at_ms,
            pause_ms: unowned.min(waited),
        };
        *self = Self::Owned(Some(handover));
        Some(handover)
    }

    /// The handover that began the work, once it has.
    pub(crate) fn handover(&self) -> Option<Handover> {
        match self {
            Self::Owned(handover) => *handover,
            Self::Assigned | Self::Taking { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use api::Partition;

    use super::*;
    use sinks::Lease;

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
            unfinished: None,
            idle: Duration::from_millis(idle),
        };
        let now = Instant::now();
        let time: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let later = now + Duration::from_millis(300);
        let pause = |idle, record_age: Option<i64>| {
            let mut ownership = Ownership::default();
            ownership.claimed(&claim(Some(7), idle), now);
            // The sink was away: claimed again.
            ownership.claimed(&claim(Some(7), 0), later);
            assert_eq!(ownership.handover(), None);
            let oldest = record_age.map(|age| time.as_millisecond() - age);
            let handover = ownership.stored(oldest, later, time).unwrap();
            assert_eq!(ownership.stored(oldest, later, time), None, "it ends once");
            assert_eq!(ownership.handover(), Some(handover));
            handover.pause_ms
        };
        assert_eq!(pause(500, Some(60_000)), 800, "a backlog");
        assert_eq!(pause(60_000, Some(40)), 40, "no records came for a minute");
        assert_eq!(pause(500, None), 800);
        assert_eq!(pause(500, Some(-40)), 0, "clocks of machines differ");
        let mut first = Ownership::default();
        first.claimed(&claim(None, 0), now);
        assert_eq!(first.stored(Some(0), later, time), None, "nobody had it before");
    }
}
