//! Connections to the brokers of one cluster that are kept between questions, for many who ask at the same time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::access::{Access, Address};
use super::connection::{Connection, ConnectionError};
use super::wire::Api;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// As many connections to a broker as questions were asked of it at the same time.
pub(crate) struct Pool {
    access: Access,
    idle: Mutex<HashMap<Address, Vec<Connection>>>,
    brokers: Mutex<Brokers>,
}

#[derive(Default)]
struct Brokers {
    /// Those that the cluster has told of.
    learned: Vec<Address>,
    /// Failures so far, so that each broker gets its turn.
    turn: usize,
}

impl Pool {
    pub(crate) fn new(access: Access) -> Self {
        Self {
            access,
            idle: Mutex::default(),
            brokers: Mutex::default(),
        }
    }

    /// Asks the broker at `address`, through a connection that is kept or a new one.
    pub(crate) async fn ask<A: Api>(
        &self,
        address: &Address,
        request: &A,
        newest: i16,
    ) -> Result<A::Answer, ConnectionError> {
        if let Some(connection) = self.standing(address) {
            match self.ask_through(connection, address, request, newest).await {
                // The broker has gone since it was asked last, and may be back.
                Err(ConnectionError::Lost { .. }) => {}
                outcome => return outcome,
            }
        }
        let connection = Connection::open(&self.access, address).await?;
        self.ask_through(connection, address, request, newest).await
    }

    /// Asks the broker that answered last, or else the next one of those that the manifest names and those that were
    /// learned. After a failure the next question goes to another.
    pub(crate) async fn ask_anyone<A: Api>(
        &self,
        request: &A,
        newest: i16,
    ) -> Result<A::Answer, (Address, ConnectionError)> {
        let (turn, address) = self.anyone();
        let answer = self.ask(&address, request, newest).await;
        answer.map_err(|error| {
            let mut brokers = lock(&self.brokers);
            // Of many who asked the same broker one goes on.
            if brokers.turn == turn {
                brokers.turn += 1;
            }
            (address, error)
        })
    }

    /// Takes in which brokers there are.
    pub(crate) fn learn(&self, brokers: Vec<Address>) {
        lock(&self.brokers).learned = brokers;
    }

    async fn ask_through<A: Api>(
        &self,
        mut connection: Connection,
        address: &Address,
        request: &A,
        newest: i16,
    ) -> Result<A::Answer, ConnectionError> {
        let outcome = connection.ask_at_most(request, newest, PATIENCE).await;
        let mut idle = lock(&self.idle);
        if outcome.is_ok() {
            idle.entry(address.clone()).or_default().push(connection);
        } else {
            // The others are no better.
            idle.remove(address);
        }
        outcome
    }

    fn standing(&self, address: &Address) -> Option<Connection> {
        let now = Instant::now();
        let mut idle = lock(&self.idle);
        let standing = idle.get_mut(address)?;
        standing.retain(|connection| !connection.is_expired(now));
        standing.pop()
    }

    fn anyone(&self) -> (usize, Address) {
        let brokers = lock(&self.brokers);
        let mut known: Vec<&Address> = self.access.bootstrap.iter().chain(&brokers.learned).collect();
        let address = known.swap_remove(brokers.turn % known.len());
        (brokers.turn, address.clone())
    }
}

/// No panic leaves anything half changed, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
