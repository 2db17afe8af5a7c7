//! Keeps one reading loop for each leader, and asks the cluster who leads.

use std::sync::Arc;
use std::time::Duration;

use runtime::backoff::Backoff;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use super::{leader, metadata};
use crate::broker::LeaderLoops;

/// How often the cluster is asked although nothing seems wrong: a topic may have been made again.
const REFRESH: Duration = Duration::from_secs(30);

/// After so long without a question the next one need not wait.
const CALM: Duration = Duration::from_secs(10);

/// Between questions while something is wrong.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(100),
    max: Duration::from_secs(1),
};

/// The work behind a [`Fetcher`](super::Fetcher).
#[must_use = "nothing is read before run()"]
pub struct Driver {
    shared: Arc<Shared>,
    loops: LeaderLoops,
    /// Questions in a row that left something unsettled.
    attempts: u32,
    asked: Option<Instant>,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            loops: LeaderLoops::default(),
            attempts: 0,
            asked: None,
        }
    }

    /// Reads until `shutdown`, or until nobody takes what is read. Dropping the future ends all that it does.
    ///
    /// # Panics
    /// If one of its tasks did.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let shared = Arc::clone(&self.shared);
        let mut changed = shared.changed.subscribe();
        loop {
            changed.mark_unchanged();
            self.reconcile();
            let due = self.due();
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = shared.fetched.closed() => break,
                // The sender lives as long as `shared`.
                _ = changed.changed() => {}
                () = at(due) => drop(shutdown.run_until_cancelled(self.refresh()).await),
                () = self.loops.ended() => {}
            }
        }
        self.loops.shutdown().await;
    }

    /// Starts and ends loops so that there is one for each broker with something to read.
    fn reconcile(&mut self) {
        let leaders = self.shared.assignment().leaders();
        self.loops.retain(&leaders);
        self.loops.start(leaders, |id, address| {
            leader::read(Arc::clone(&self.shared), id, address)
        });
    }

    /// When the cluster is to be asked next; `None` while nothing is to be read.
    fn due(&self) -> Option<Instant> {
        let assignment = self.shared.assignment();
        let Some(asked) = self.asked else {
            return (!assignment.topics().is_empty()).then(Instant::now);
        };
        let wait = if assignment.is_unsettled() {
            BACKOFF.delay(self.attempts, rand::random())
        } else {
            REFRESH
        };
        Some(asked + wait)
    }

    async fn refresh(&mut self) {
        let topics = self.shared.assignment().topics();
        let now = Instant::now();
        let lately = self.asked.is_some_and(|asked| now < asked + CALM);
        self.attempts = if lately {
            self.attempts.saturating_add(1)
        } else {
            0
        };
        self.asked = Some(now);
        let anew = self.attempts % 4 == 3;
        // A failure is reported where it happens, and the cluster is asked again.
        drop(metadata::ask(&self.shared, &topics, anew).await);
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
