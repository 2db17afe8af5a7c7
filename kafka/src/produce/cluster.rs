//! Asking the cluster: where the topic is, and who coordinates.

use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::backoff::Backoff;

use super::shared::Shared;
use super::state::Learned;
use crate::broker::{Anyone, Api, about_topics};

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
    let mut anyone = Anyone::default();
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
        // A broker that is cut off from the others tells the same for ever.
        if attempts % 4 == 3 {
            anyone.forget();
        }
        let request = about_topics([shared.settings.topic.as_str()]);
        if let Ok(answer) = ask(&mut anyone, &shared, &request, i16::MAX).await {
            let learned = shared.change(|state| state.learn(&shared.settings.topic, &answer));
            match learned {
                Learned::Fine => shared.works(),
                Learned::Problem(code, text) => shared.report(code, &text),
            }
        }
    }
}

/// Asks one broker. A failure is reported, and said in one line.
pub(super) async fn ask<A: Api>(
    anyone: &mut Anyone,
    shared: &Shared,
    request: &A,
    newest: i16,
) -> Result<A::Answer, String> {
    let learned = || shared.look(|state| state.brokers().cloned().collect());
    let answer = anyone.ask(&shared.access, learned, request, newest).await;
    answer.map_err(|(address, error)| shared.report_connection(&address, &error))
}
