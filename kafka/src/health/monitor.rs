//! From a storm of errors to few state changes: decisions only.
//!
//! A dead broker makes librdkafka report tens of errors a second, and none when it is back. So errors only
//! say *why*; *whether* is read from the regular statistics, which say how many connections stand.

use std::time::{Duration, Instant};

use crate::issue::{Issue, IssueKind};

/// Connections may all be gone for so long before it is called a failure: a rolling restart is none.
pub(crate) const GRACE: Duration = Duration::from_secs(4);

/// The same failure is repeated in the log no more often than this.
pub(crate) const REMINDER: Duration = Duration::from_mins(1);

/// What a client's connection to Kafka is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaHealth {
    /// No connection stands yet, and none has failed for good.
    Connecting,
    /// At least one connection stands, and nothing is refused.
    Working,
    /// Nothing works until this is over.
    Failing(Issue),
}

/// Something that a client has noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// An error with a known meaning.
    Error(Issue),
    /// No connection stands.
    AllDown,
    /// From time to time, whether or not anything has changed.
    Connections {
        /// Connections that stand.
        standing: usize,
        /// Whether others are being tried.
        trying: bool,
    },
    /// Records went or came, or another request succeeded.
    Success,
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// It fails, or still fails, or fails for another reason.
    Failing(Issue),
    /// It works again after so long.
    Recovered(Duration),
    /// It works, but not with this broker.
    Partial(Issue),
}

/// The state between events.
#[derive(Debug)]
pub(crate) struct Monitor {
    /// Connections of the last statistics.
    connections: usize,
    /// Since when no connection stands; `None` while one does.
    down_since: Option<Instant>,
    /// Whether connections were tried at the last statistics. An idle client has none and tries none: it does
    /// not fail.
    trying: bool,
    /// Whether a connection ever stood.
    connected: bool,
    /// Why connections fail.
    cause: Option<Issue>,
    /// What is refused over connections that stand.
    refusal: Option<Issue>,
    /// The failure that was reported: since when, and when it was last repeated.
    failing: Option<Failure>,
    last_partial: Option<(IssueKind, Instant)>,
    /// `host:port,…`, for a failure that names no broker.
    bootstrap: String,
}

#[derive(Debug)]
struct Failure {
    issue: Issue,
    since: Instant,
    reported: Instant,
}

impl Monitor {
    pub(crate) fn new(bootstrap: String, now: Instant) -> Self {
        Self {
            connections: 0,
            down_since: Some(now),
            trying: false,
            connected: false,
            cause: None,
            refusal: None,
            failing: None,
            last_partial: None,
            bootstrap,
        }
    }

    pub(crate) fn health(&self) -> KafkaHealth {
        match &self.failing {
            Some(failure) => KafkaHealth::Failing(failure.issue.clone()),
            None if self.connected => KafkaHealth::Working,
            None => KafkaHealth::Connecting,
        }
    }

    /// Takes an event in; what comes back is worth a line in the log.
    pub(crate) fn step(&mut self, event: Event, now: Instant) -> Option<Line> {
        let mut partial = None;
        match event {
            Event::Error(issue) if !issue.kind.is_about_connections() => self.refusal = Some(issue),
            Event::Error(issue) => {
                if self.connections > 0 {
                    partial = self.partial(&issue, now);
                }
                // A broker that is away hides what the others refuse, and "disconnected" says less than either.
                if self.cause.as_ref().is_none_or(|cause| cause.kind.may_pass()) || !issue.kind.may_pass() {
                    self.cause = Some(issue);
                }
            }
            Event::AllDown => self.down(now),
            Event::Connections { standing: 0, trying } => {
                self.trying = trying;
                self.down(now);
            }
            Event::Connections { standing, .. } => {
                self.connections = standing;
                self.up();
            }
            Event::Success => {
                self.refusal = None;
                self.up();
            }
        }
        self.evaluate(now).or(partial)
    }

    fn down(&mut self, now: Instant) {
        self.connections = 0;
        self.down_since.get_or_insert(now);
    }

    fn up(&mut self) {
        self.connected = true;
        self.down_since = None;
        self.trying = false;
        self.cause = None;
    }

    /// What is wrong now, if it has been wrong for long enough.
    fn issue(&self, now: Instant) -> Option<Issue> {
        let Some(since) = self.down_since else {
            return self.refusal.clone();
        };
        let waited = now.saturating_duration_since(since) >= GRACE;
        match &self.cause {
            // At the start there is nothing to wait for: a wrong address stays wrong.
            Some(cause) if waited || !self.connected || !cause.kind.may_pass() => Some(cause.clone()),
            None if waited && self.trying => Some(Issue {
                kind: IssueKind::WrongProtocol,
                broker: self.bootstrap.clone(),
                detail: "connections are closed without a reason".to_owned(),
            }),
            _ => None,
        }
    }

    fn evaluate(&mut self, now: Instant) -> Option<Line> {
        match (self.issue(now), &mut self.failing) {
            (Some(issue), Some(failure)) => {
                let changed = failure.issue.kind != issue.kind;
                failure.issue = issue;
                if !changed && now.saturating_duration_since(failure.reported) < REMINDER {
                    return None;
                }
                failure.reported = now;
                Some(Line::Failing(failure.issue.clone()))
            }
            (Some(issue), None) => {
                let since = self.down_since.unwrap_or(now);
                self.failing = Some(Failure {
                    issue: issue.clone(),
                    since,
                    reported: now,
                });
                Some(Line::Failing(issue))
            }
            // Down, but not for long enough: what was reported before still holds.
            (None, _) if self.down_since.is_some() => None,
            (None, _) => {
                let failure = self.failing.take()?;
                Some(Line::Recovered(now.saturating_duration_since(failure.since)))
            }
        }
    }

    fn partial(&mut self, issue: &Issue, now: Instant) -> Option<Line> {
        let repeated = self
            .last_partial
            .is_some_and(|(kind, at)| kind == issue.kind && now.saturating_duration_since(at) < REMINDER);
        if repeated {
            return None;
        }
        self.last_partial = Some((issue.kind, now));
        Some(Line::Partial(issue.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRYING: Event = Event::Connections {
        standing: 0,
        trying: true,
    };

    fn issue(kind: IssueKind) -> Issue {
        Issue {
            kind,
            broker: "kafka:9092".to_owned(),
            detail: "detail".to_owned(),
        }
    }

    fn error(kind: IssueKind) -> Event {
        Event::Error(issue(kind))
    }

    fn standing(standing: usize) -> Event {
        Event::Connections {
            standing,
            trying: false,
        }
    }

    /// Feeds events at the given seconds and gives the lines, with the second that each came at.
    fn lines(events: impl IntoIterator<Item = (u64, Event)>) -> (Vec<(u64, String)>, KafkaHealth) {
        let start = Instant::now();
        let mut monitor = Monitor::new("kafka:9092".to_owned(), start);
        let mut lines = Vec::new();
        for (second, event) in events {
            if let Some(line) = monitor.step(event, start + Duration::from_secs(second)) {
                let text = match line {
                    Line::Failing(issue) => format!("failing: {}", issue.kind.as_str()),
                    Line::Recovered(after) => format!("recovered after {after:?}"),
                    Line::Partial(issue) => format!("partial: {}", issue.kind.as_str()),
                };
                lines.push((second, text));
            }
        }
        (lines, monitor.health())
    }

    fn line(second: u64, text: &str) -> (u64, String) {
        (second, text.to_owned())
    }

    #[test]
    fn a_broker_that_is_not_there_at_the_start_is_one_line_a_minute() {
        let storm = (0..180).flat_map(|s| [(s, error(IssueKind::Unreachable)), (s, Event::AllDown)]);
        let (lines, health) = lines(storm.chain([(180, standing(1))]));
        assert_eq!(
            lines,
            [
                line(0, "failing: unreachable"),
                line(60, "failing: unreachable"),
                line(120, "failing: unreachable"),
                line(180, "recovered after 180s"),
            ]
        );
        assert_eq!(health, KafkaHealth::Working);
    }

    #[test]
    fn a_restart_within_the_grace_is_no_failure() {
        let (lines, health) = lines([
            (0, standing(1)),
            (10, Event::AllDown),
            (11, error(IssueKind::Unreachable)),
            (13, standing(1)),
        ]);
        assert_eq!((lines, health), (vec![], KafkaHealth::Working));
    }

    #[test]
    fn all_brokers_gone_for_longer_is_a_failure_with_its_cause() {
        let (lines, health) = lines([
            (0, standing(3)),
            (10, Event::AllDown),
            (11, error(IssueKind::Unreachable)),
            (13, standing(0)),
            (16, standing(0)),
            (30, Event::Success),
        ]);
        assert_eq!(
            lines,
            [line(16, "failing: unreachable"), line(30, "recovered after 20s")]
        );
        assert_eq!(health, KafkaHealth::Working);
    }

    /// Wrong settings do not wait, and are not hidden by the disconnects that they cause.
    #[test]
    fn refused_credentials_are_told_at_once_and_stay_the_reason() {
        let (lines, health) = lines([
            (0, error(IssueKind::Authentication)),
            (0, Event::AllDown),
            (1, error(IssueKind::Unreachable)),
            (9, standing(0)),
        ]);
        assert_eq!(lines, [line(0, "failing: authentication")]);
        assert_eq!(health, KafkaHealth::Failing(issue(IssueKind::Authentication)));
    }

    #[test]
    fn a_changed_reason_is_a_line_of_its_own() {
        let (lines, _) = lines([
            (0, error(IssueKind::UnknownHost)),
            (1, error(IssueKind::Unreachable)),
            (2, error(IssueKind::Tls)),
        ]);
        assert_eq!(
            lines,
            [
                line(0, "failing: unknown_host"),
                line(1, "failing: unreachable"),
                line(2, "failing: tls")
            ]
        );
    }

    /// A listener drops a client that does not speak TLS or SASL, and librdkafka gives no error for it.
    #[test]
    fn silence_is_told_as_a_wrong_protocol() {
        let (lines, health) = lines([(0, Event::AllDown), (2, TRYING), (4, TRYING), (6, TRYING)]);
        assert_eq!(lines, [line(4, "failing: wrong_protocol")]);
        assert!(matches!(health, KafkaHealth::Failing(issue) if issue.broker == "kafka:9092"));
    }

    #[test]
    fn a_client_that_has_nothing_to_do_may_lose_its_connection() {
        let (lines, health) = lines([(0, standing(1)), (600, Event::AllDown), (700, standing(0))]);
        assert_eq!((lines, health), (vec![], KafkaHealth::Working));
    }

    #[test]
    fn one_broker_of_several_is_a_remark() {
        let (lines, health) = lines([
            (0, standing(3)),
            (1, error(IssueKind::Unreachable)),
            (2, error(IssueKind::Unreachable)),
            (5, standing(2)),
            (70, error(IssueKind::Unreachable)),
        ]);
        assert_eq!(
            lines,
            [line(1, "partial: unreachable"), line(70, "partial: unreachable")]
        );
        assert_eq!(health, KafkaHealth::Working);
    }

    /// Connections stand all the while, so only success shows that the topic is there now.
    #[test]
    fn a_missing_topic_is_over_when_records_come() {
        let (lines, health) = lines([
            (0, standing(1)),
            (1, error(IssueKind::TopicMissing)),
            (4, standing(1)),
            (9, Event::Success),
        ]);
        assert_eq!(
            lines,
            [line(1, "failing: topic_missing"), line(9, "recovered after 8s")]
        );
        assert_eq!(health, KafkaHealth::Working);
    }
}
