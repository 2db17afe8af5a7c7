//! Keeps one writing loop for each leader, one that asks where the topic is, and one that speaks to coordinators.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};

use super::shared::Shared;
use super::state::State;
use super::{cluster, coordinator, leader};
use crate::broker::Address;
use crate::loops::resume;

/// The work behind a [`Producer`](super::Producer).
#[must_use = "nothing is written before run()"]
pub struct Driver {
    shared: Arc<Shared>,
    loops: JoinSet<()>,
    writing: HashMap<i32, (Address, AbortHandle)>,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            loops: JoinSet::new(),
            writing: HashMap::new(),
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
        self.loops.spawn(cluster::follow(Arc::clone(&shared)));
        self.loops.spawn(coordinator::follow(Arc::clone(&shared)));
        loop {
            changed.mark_unchanged();
            self.reconcile();
            tokio::select! {
                () = shared.gone.cancelled() => break,
                // The sender lives as long as `shared`.
                _ = changed.changed() => {}
                Some(outcome) = self.loops.join_next() => resume(outcome),
            }
        }
        self.loops.shutdown().await;
    }

    /// Starts and ends loops so that there is one for each leader. One that leads nothing for a moment goes on: it
    /// may wait for an answer.
    fn reconcile(&mut self) {
        let leaders = self.shared.look(State::leaders);
        for (id, address) in leaders {
            let known = self.writing.get(&id);
            if known.is_some_and(|(known, _)| *known == address) {
                continue;
            }
            if let Some((_, moved)) = known {
                moved.abort();
            }
            let task = self
                .loops
                .spawn(leader::write(Arc::clone(&self.shared), id, address.clone()));
            self.writing.insert(id, (address, task));
        }
    }
}
