//! What the user wants: bounds, targets in time, and when other bounds hold.

use std::time::Duration;

use cron::Schedule;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::useful;

/// Longest schedule window.
pub const LONGEST_WINDOW: Duration = Duration::from_hours(7 * 24);

/// How many workers there may be, and what they are to achieve.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Fewest workers; 0 lets an idle pipeline go to sleep until there is lag.
    pub min: u32,
    pub max: u32,
    /// A backlog is to be gone within this time.
    pub drain_within: Duration,
    /// If set, the oldest unprocessed event is to be at most so old.
    pub freshness: Option<Duration>,
    /// What becomes of the decisions.
    pub mode: Mode,
    /// Exactly so many workers, whatever the policy thinks.
    pub pinned: Option<u32>,
    /// How long fewer workers must have been enough before there are fewer.
    pub patience: Duration,
    /// Times with other bounds; the first open one counts.
    pub windows: Vec<Window>,
    /// A group that has committed nothing begins at the log's end instead of its start.
    pub from_latest: bool,
}

/// What becomes of decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    Auto,
    /// They are only shown; there are `min` workers.
    Recommend,
    /// None are made; there are `min` workers.
    Off,
}

/// A time in which other bounds hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// When it begins, in UTC.
    pub start: Schedule,
    /// How long it lasts, at most [`LONGEST_WINDOW`].
    pub duration: Duration,
    /// Fewest workers within; the policy's if `None`.
    pub min: Option<u32>,
    /// Most workers within; the policy's if `None`.
    pub max: Option<u32>,
}

/// The bounds that hold at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub min: u32,
    pub max: u32,
    /// They are a window's.
    pub scheduled: bool,
    /// When a window opens or closes next, if within a week.
    pub next_change: Option<Timestamp>,
}

/// What is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Bounds that exclude everything.
    #[error("min {min} is above max {max}{within}: raise max or lower min")]
    MinAboveMax {
        min: u32,
        max: u32,
        /// Where: nothing, or the window.
        within: String,
    },
    /// No workers at all.
    #[error("max is 0, so nothing would ever be processed: set it to 1 or more")]
    MaxZero,
    /// A pin outside the bounds.
    #[error("replicas {pinned} is outside of min {min} and max {max}")]
    PinnedOutside { pinned: u32, min: u32, max: u32 },
    /// A time that must not be nothing.
    #[error("{0} is zero: give a positive time such as 60s")]
    ZeroDuration(&'static str),
    /// A window that lasts too long.
    #[error("window {0} is longer than 7 days: change min and max instead")]
    WindowTooLong(usize),
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min: 1,
            max: u32::MAX,
            drain_within: Duration::from_mins(1),
            freshness: None,
            mode: Mode::Auto,
            pinned: None,
            patience: Duration::from_mins(3),
            windows: Vec::new(),
            from_latest: false,
        }
    }
}

impl Policy {
    /// Everything that is wrong.
    #[must_use]
    pub fn problems(&self) -> Vec<PolicyError> {
        let mut problems = Vec::new();
        if self.max == 0 {
            problems.push(PolicyError::MaxZero);
        } else if self.min > self.max {
            problems.push(PolicyError::MinAboveMax {
                min: self.min,
                max: self.max,
                within: String::new(),
            });
        } else if let Some(pinned) = self
            .pinned
            .filter(|pinned| !(self.min..=self.max).contains(pinned))
        {
            problems.push(PolicyError::PinnedOutside {
                pinned,
                min: self.min,
                max: self.max,
            });
        }
        if self.drain_within.is_zero() {
            problems.push(PolicyError::ZeroDuration("drainWithin"));
        }
        if self.freshness.is_some_and(|freshness| freshness.is_zero()) {
            problems.push(PolicyError::ZeroDuration("freshness"));
        }
        for (index, window) in self.windows.iter().enumerate() {
            let (min, max) = (window.min.unwrap_or(self.min), window.max.unwrap_or(self.max));
            if min > max {
                problems.push(PolicyError::MinAboveMax {
                    min,
                    max,
                    within: format!(" in window {index}"),
                });
            }
            if window.duration.is_zero() {
                problems.push(PolicyError::ZeroDuration("a window's duration"));
            }
            if window.duration > LONGEST_WINDOW {
                problems.push(PolicyError::WindowTooLong(index));
            }
        }
        problems
    }

    /// What is allowed but of no use: workers beyond what `partitions` can keep busy.
    #[must_use]
    pub fn warning(&self, partitions: u32) -> Option<String> {
        let useful = useful::at_most(partitions, self.max);
        (partitions > 0 && useful < self.max).then(|| {
            format!(
                "max {} is above {useful}, the most workers that {partitions} partitions can use",
                self.max
            )
        })
    }

    /// The bounds at `now`.
    #[must_use]
    pub fn bounds(&self, now: Timestamp) -> Bounds {
        let open_until = |window: &Window| -> Option<Timestamp> {
            let end = window
                .start
                .latest_start(now)?
                .checked_add(SignedDuration::try_from(window.duration).ok()?)
                .ok()?;
            (now < end).then_some(end)
        };
        let open = self
            .windows
            .iter()
            .find_map(|window| open_until(window).map(|end| (window, end)));
        let next_start = self
            .windows
            .iter()
            .filter_map(|window| window.start.next_start(now))
            .min();
        let next_change = match (open, next_start) {
            (Some((_, end)), Some(start)) => Some(end.min(start)),
            (Some((_, end)), None) => Some(end),
            (None, start) => start,
        };
        let (min, max) = open.map_or((self.min, self.max), |(window, _)| {
            (window.min.unwrap_or(self.min), window.max.unwrap_or(self.max))
        });
        Bounds {
            min: min.min(max),
            max,
            scheduled: open.is_some(),
            next_change,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(policy: &Policy) -> Vec<String> {
        policy.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_wrong_policy_says_what_would_do() {
        let wrong = Policy {
            min: 4,
            max: 2,
            drain_within: Duration::ZERO,
            ..Policy::default()
        };
        assert_eq!(
            texts(&wrong),
            [
                "min 4 is above max 2: raise max or lower min",
                "drainWithin is zero: give a positive time such as 60s"
            ]
        );
        let pinned = Policy {
            max: 2,
            pinned: Some(3),
            ..Policy::default()
        };
        assert_eq!(texts(&pinned), ["replicas 3 is outside of min 1 and max 2"]);
        assert_eq!(
            texts(&Policy {
                max: 0,
                ..Policy::default()
            }),
            ["max is 0, so nothing would ever be processed: set it to 1 or more"]
        );
        assert!(Policy::default().problems().is_empty());
    }

    #[test]
    fn workers_without_work_are_worth_a_warning() {
        let policy = |max| Policy {
            max,
            ..Policy::default()
        };
        assert_eq!(policy(12).warning(24), None);
        assert_eq!(
            policy(100).warning(24).unwrap(),
            "max 100 is above 24, the most workers that 24 partitions can use"
        );
        assert_eq!(
            policy(23).warning(24).unwrap(),
            "max 23 is above 12, the most workers that 24 partitions can use"
        );
    }

    #[test]
    fn a_window_changes_the_bounds_while_it_is_open() {
        let policy = Policy {
            max: 8,
            windows: vec![Window {
                start: Schedule::parse("0 18 * * fri").unwrap(),
                duration: Duration::from_hours(6),
                min: Some(4),
                max: None,
            }],
            ..Policy::default()
        };
        let at = |now: &str| {
            let bounds = policy.bounds(now.parse().unwrap());
            (
                bounds.min,
                bounds.max,
                bounds.scheduled,
                bounds.next_change.map(|t| t.to_string()),
            )
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            at("2026-11-20T17:59:59Z"),
            (1, 8, false, some("2026-11-20T18:00:00Z"))
        );
        assert_eq!(
            at("2026-11-20T18:00:00Z"),
            (4, 8, true, some("2026-11-21T00:00:00Z"))
        );
        assert_eq!(
            at("2026-11-20T23:59:59Z"),
            (4, 8, true, some("2026-11-21T00:00:00Z"))
        );
        assert_eq!(
            at("2026-11-21T00:00:00Z"),
            (1, 8, false, some("2026-11-27T18:00:00Z"))
        );
    }
}
