//! Where to begin reading a partition: from what the sink has stored and what Kafka still has.

use api::StartFrom;

use crate::state::{Gap, GapReason, PartitionState};

/// The first offset that Kafka still has, and the one that the next record will get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset that is there; the log's end where it is empty.
    pub low: i64,
    /// The offset that comes next.
    pub high: i64,
}

/// The position to read from, and what is known by then.
#[derive(Debug, Clone, PartialEq)]
pub struct Beginning {
    /// The offset to read from.
    pub offset: i64,
    /// The state to go on with, gaps noted.
    pub state: PartitionState,
    /// Whether the record before `offset` is still there and must be the one that was stored last: the only way
    /// to see that a topic was made again and has grown past the stored offset since.
    pub verify: bool,
}

/// Decides where to begin.
///
/// - Never written: from the earliest or latest record, as the manifest says.
/// - Stored offset within the log: there.
/// - Retention has deleted beyond it: from the oldest record that is left; the deleted offsets are a gap.
/// - Beyond the log's end: the topic was deleted and made again (or lost records); its records are new ones, so
///   they are read from the first, and the old topic's unread records are a gap of unknown end.
#[must_use]
pub fn begin(
    next_offset: Option<i64>,
    state: Option<PartitionState>,
    watermarks: Watermarks,
    start_from: StartFrom,
) -> Beginning {
    let Watermarks { low, high } = watermarks;
    let mut state = state.unwrap_or_default();
    let Some(next) = next_offset else {
        let offset = match start_from {
            StartFrom::Earliest => low,
            StartFrom::Latest => high,
        };
        // A log that has lost its head already is not whole either: numbers before it were never ours to see.
        state.whole = offset == 0;
        return Beginning {
            offset,
            state,
            verify: false,
        };
    };
    if next > high {
        recreated(state, next, low)
    } else if next < low {
        state.add_gap(Gap {
            from: next,
            to: Some(low),
            reason: GapReason::Retention,
        });
        Beginning {
            offset: low,
            state,
            verify: false,
        }
    } else {
        let verify = state
            .last
            .as_ref()
            .is_some_and(|last| last.offset >= low && last.offset < next);
        Beginning {
            offset: next,
            state,
            verify,
        }
    }
}

/// The topic is another one of the same name: its records are read from the first.
#[must_use]
pub fn recreated(mut state: PartitionState, next: i64, low: i64) -> Beginning {
    state.incarnation += 1;
    state.whole = low == 0;
    state.last = None;
    state.add_gap(Gap {
        from: next,
        to: None,
        reason: GapReason::TopicRecreated,
    });
    Beginning {
        offset: low,
        state,
        verify: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Fingerprint;

    fn stored(last: i64) -> PartitionState {
        PartitionState {
            whole: true,
            last: Some(Fingerprint {
                offset: last,
                digest: String::new(),
            }),
            ..PartitionState::default()
        }
    }

    #[test]
    fn the_beginning_follows_the_sink_and_says_what_is_lost() {
        let marks = |low, high| Watermarks { low, high };
        let first = begin(None, None, marks(0, 90), StartFrom::Earliest);
        assert_eq!((first.offset, first.state.whole, first.verify), (0, true, false));
        let late = begin(None, None, marks(0, 90), StartFrom::Latest);
        assert_eq!((late.offset, late.state.whole), (90, false));
        let headless = begin(None, None, marks(40, 90), StartFrom::Earliest);
        assert_eq!((headless.offset, headless.state.whole), (40, false));

        let resumed = begin(Some(50), Some(stored(49)), marks(0, 90), StartFrom::Latest);
        assert_eq!(
            (resumed.offset, resumed.verify, resumed.state.gaps.len()),
            (50, true, 0)
        );
        let at_end = begin(Some(90), Some(stored(88)), marks(88, 90), StartFrom::Earliest);
        assert_eq!(
            (at_end.offset, at_end.verify),
            (90, true),
            "a transaction marker may stand last"
        );
        let unverifiable = begin(Some(50), Some(stored(49)), marks(50, 90), StartFrom::Earliest);
        assert_eq!((unverifiable.offset, unverifiable.verify), (50, false));
    }

    #[test]
    fn retention_and_recreation_are_told_apart_and_kept() {
        let lost = begin(
            Some(50),
            Some(stored(49)),
            Watermarks { low: 70, high: 90 },
            StartFrom::Earliest,
        );
        assert_eq!(lost.offset, 70);
        assert_eq!(
            lost.state.gaps,
            [Gap {
                from: 50,
                to: Some(70),
                reason: GapReason::Retention
            }]
        );

        let again = begin(
            Some(50),
            Some(stored(49)),
            Watermarks { low: 0, high: 10 },
            StartFrom::Earliest,
        );
        assert_eq!((again.offset, again.state.incarnation), (0, 1));
        assert_eq!(
            again.state.gaps,
            [Gap {
                from: 50,
                to: None,
                reason: GapReason::TopicRecreated
            }]
        );
        assert_eq!(again.state.last, None);
    }
}
