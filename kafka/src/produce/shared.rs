//! What the producer's handle, its driver and its loops have in common.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::state::State;
use crate::broker::{Access, Cluster, Unanswered};
use crate::error_code::ErrorCode;
use crate::health::{ErrorReporter, KafkaHealth};
use crate::issue::{Issue, IssueKind};

pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) settings: Settings,
    pub(super) reporter: ErrorReporter,
    state: Mutex<State>,
    /// Told of every change that the driver may wait for.
    pub(super) changed: watch::Sender<()>,
    /// The same for the thread.
    told: Condvar,
    /// As in the state, to be looked at for each record.
    held: AtomicUsize,
    /// The producer is gone.
    pub(super) gone: CancellationToken,
}

impl Shared {
    pub(super) fn new(access: Access, settings: Settings, reporter: ErrorReporter) -> Self {
        Self {
            state: Mutex::new(State::new(settings.transactions.is_some())),
            changed: watch::Sender::new(()),
            told: Condvar::new(),
            held: AtomicUsize::new(0),
            gone: CancellationToken::new(),
            cluster: Cluster::new(access),
            settings,
            reporter,
        }
    }

    /// No panic leaves the state half changed, so a poisoned lock is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state())
    }

    /// Changes what nobody waits for.
    pub(super) fn adjust<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state();
        let result = change(&mut state);
        self.held.store(state.held(), Ordering::Relaxed);
        result
    }

    /// Changes, and tells everybody.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = self.adjust(change);
        self.changed.send_replace(());
        self.told.notify_all();
        result
    }

    /// Changes what belongs to a session, unless another has begun since.
    pub(super) fn change_in(&self, session: u64, change: impl FnOnce(&mut State)) {
        self.change(|state| {
            if state.session() == session {
                change(state);
            }
        });
    }

    /// Blocks until `done` gives something, but no longer than `patience`.
    pub(super) fn wait<R>(&self, patience: Duration, done: impl Fn(&State) -> Option<R>) -> Option<R> {
        let deadline = Instant::now() + patience;
        let mut state = self.state();
        loop {
            if let Some(result) = done(&state) {
                return Some(result);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            state = self
                .told
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// A broker has not answered. Gives what was reported.
    pub(super) fn report(&self, error: &Unanswered) -> String {
        self.cluster.report(error, &self.reporter)
    }

    /// A broker has answered with a refusal.
    pub(super) fn refused(&self, request: &'static str, code: ErrorCode) {
        let text = format!("{request} is refused: {code}");
        match code {
            ErrorCode::TopicAuthorizationFailed
            | ErrorCode::GroupAuthorizationFailed
            | ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::TransactionalIdAuthorizationFailed => {
                self.reporter
                    .issue(Issue::of_cluster(IssueKind::NotAuthorised, text));
            }
            ErrorCode::UnknownTopicOrPartition => {
                self.reporter
                    .issue(Issue::of_cluster(IssueKind::TopicMissing, text));
            }
            code => self.reporter.passing(&format!("{code:?}"), &text),
        }
    }

    /// A broker has answered. As long as the topic is refused, that says no more than that connections stand.
    pub(super) fn works(&self) {
        let is_connected = match self.reporter.health() {
            KafkaHealth::Working => return,
            KafkaHealth::Connecting => false,
            KafkaHealth::Failing(issue) => !issue.kind.is_about_connections(),
        };
        if !is_connected || self.look(State::topic_error).is_none() {
            self.reporter.works();
        }
    }
}
