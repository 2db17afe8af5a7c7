//! One loop for each broker that leads something, with a connection of its own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Instant;

use runtime::backoff::Backoff;
use tokio::task::{AbortHandle, JoinSet};

use super::access::{Access, Address};
use super::connection::Connection;
use super::connection_error::ConnectionError;

/// The connection that a leader's loop has to itself.
pub(crate) struct LeaderConnection {
    pub(crate) address: Address,
    connection: Option<Connection>,
}

impl LeaderConnection {
    pub(crate) fn new(address: Address) -> Self {
        Self {
            address,
            connection: None,
        }
    }

    /// Connects, unless a connection stands.
    pub(crate) async fn connect(&mut self, access: &Access) -> Result<&mut Connection, ConnectionError> {
        let now = Instant::now();
        let standing = self.connection.take();
        let standing = standing.filter(|connection| !connection.is_expired(now));
        let connection = match standing {
            Some(standing) => standing,
            None => Connection::open(access, &self.address).await?,
        };
        Ok(self.connection.insert(connection))
    }

    /// The connection is of no use any more.
    pub(crate) fn close(&mut self) {
        self.connection = None;
    }
}

/// What a leader is asked again and again.
pub(crate) trait LeaderLoop {
    /// One question and its answer.
    async fn once(&mut self) -> Result<(), ConnectionError>;

    /// The question was not answered: the broker may not lead any more what it led.
    fn give_up(&mut self, error: ConnectionError);
}

/// Asks until it is dropped.
pub(crate) async fn ask_leader(mut work: impl LeaderLoop, backoff: Backoff) {
    let mut failures = 0;
    loop {
        match work.once().await {
            Ok(()) => failures = 0,
            Err(error) => {
                work.give_up(error);
                tokio::time::sleep(backoff.delay(failures, rand::random())).await;
                failures += 1;
            }
        }
    }
}

/// The loops of a driver.
#[derive(Default)]
pub(crate) struct LeaderLoops {
    tasks: JoinSet<()>,
    running: HashMap<i32, (Address, AbortHandle)>,
}

impl LeaderLoops {
    /// Runs something besides.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Ends the loops of brokers that lead nothing any more.
    pub(crate) fn retain(&mut self, leaders: &HashMap<i32, Address>) {
        self.running.retain(|id, (address, task)| {
            let is_kept = leaders.get(id) == Some(address);
            if !is_kept {
                task.abort();
            }
            is_kept
        });
    }

    /// Starts a loop for each leader that has none. One that has moved gets another.
    pub(crate) fn start<Loop: Future<Output = ()> + Send + 'static>(
        &mut self,
        leaders: HashMap<i32, Address>,
        start: impl Fn(i32, Address) -> Loop,
    ) {
        for (id, address) in leaders {
            let entry = self.running.entry(id);
            if let Entry::Occupied(running) = &entry {
                let (known, task) = running.get();
                if *known == address {
                    continue;
                }
                task.abort();
            }
            let task = self.tasks.spawn(start(id, address.clone()));
            entry.insert_entry((address, task));
        }
    }

    /// Waits until a task has ended; forever if there is none.
    ///
    /// # Panics
    /// If the task did: a driver ends in the same way.
    pub(crate) async fn ended(&mut self) {
        match self.tasks.join_next().await {
            Some(Err(error)) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
            Some(Ok(())) => {}
            None => std::future::pending().await,
        }
    }

    /// Ends all tasks.
    pub(crate) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }
}
