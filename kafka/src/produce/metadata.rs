//! Asking the cluster where the topic is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::backoff::Backoff;

use super::shared::Shared;

/// How often the cluster is asked although nothing seems wrong: partitions may have been added.
const REFRESH: Duration = Duration::from_secs(5);

/// After so long without a question the next one need not wait.
const CALM: Duration = Duration::from_secs(10);

/// Between questions while something is wrong.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(50),
    max: Duration::from_secs(1),
};

/// Keeps up with where the topic is.
pub(super) async fn follow(shared: Arc<Shared>) {
    let mut changed = shared.changed.subscribe();
    let mut asked: Option<Instant> = None;
    let mut attempts = 0_u32;
    loop {
        changed.mark_unchanged();
        let (is_idle, is_unsettled) = shared.look(|state| (state.is_idle(), state.is_unsettled()));
        let due = asked.map(|asked| {
            let wait = if is_unsettled {
                BACKOFF.delay(attempts, rand::random())
            } else {
                REFRESH
            };
            asked + wait
        });
        let now = Instant::now();
        if is_idle || due.is_some_and(|due| now < due) {
            let due = due.unwrap_or(now + REFRESH);
            // The sender lives as long as `shared`.
            let _ = tokio::time::timeout_at(due.into(), changed.changed()).await;
            continue;
        }
        let is_repeated = is_unsettled && asked.is_some_and(|asked| now < asked + CALM);
        attempts = if is_repeated {
            attempts.saturating_add(1)
        } else {
            0
        };
        asked = Some(now);
        if attempts % 4 == 3 {
            shared.cluster.skip_broker();
        }
        let topic = shared.settings.topic.as_str();
        match shared.cluster.describe([topic]).await {
            Ok(answer) => match shared.change(|state| state.learn(topic, &answer)) {
                None => shared.works(),
                Some(issue) => shared.reporter.issue(issue),
            },
            Err(error) => drop(shared.report(&error)),
        }
    }
}
