//! Keeps one writing loop for each leader, one that asks where the topic is, and one that speaks to coordinators.

use std::sync::Arc;

use super::shared::Shared;
use super::state::State;
use super::{coordinator, leader, metadata};
use crate::broker::LeaderLoops;

/// The work behind a [`Producer`](super::Producer).
#[must_use = "nothing is written before run()"]
pub struct Driver {
    shared: Arc<Shared>,
    loops: LeaderLoops,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            loops: LeaderLoops::default(),
        }
    }

    /// Writes until the producer is dropped; what has not arrived by then may or may not arrive. Dropping the future
    /// ends all that it does.
    ///
    /// # Panics
    /// If one of its tasks did.
    pub async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut changed = shared.changed.subscribe();
        self.loops.spawn(metadata::follow(Arc::clone(&shared)));
        self.loops.spawn(coordinator::follow(Arc::clone(&shared)));
        loop {
            changed.mark_unchanged();
            self.reconcile();
            tokio::select! {
                () = shared.gone.cancelled() => break,
                // The sender lives as long as `shared`.
                _ = changed.changed() => {}
                () = self.loops.ended() => {}
            }
        }
        self.loops.shutdown().await;
    }

    /// Starts and ends loops so that there is one for each leader. One that leads nothing for a moment goes on: it
    /// may wait for an answer.
    fn reconcile(&mut self) {
        let leaders = self.shared.look(State::leaders);
        self.loops.start(leaders, |id, address| {
            leader::write(Arc::clone(&self.shared), id, address)
        });
    }
}
