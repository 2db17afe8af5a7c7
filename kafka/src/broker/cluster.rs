//! The brokers of one cluster, for many who ask at the same time: connections that are kept between questions, and
//! questions that any broker can answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::access::{Access, Address};
use super::connection::Connection;
use super::connection_error::ConnectionError;
use super::wire::Api;
use crate::health::ErrorReporter;
use crate::issue::Issue;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The brokers, and as many connections to each as questions were asked of it at the same time.
pub(crate) struct Cluster {
    access: Access,
    idle: Mutex<HashMap<Address, Vec<Connection>>>,
    brokers: Mutex<Brokers>,
}

#[derive(Default)]
struct Brokers {
    /// Those that the cluster has told of, besides those that the manifest names.
    learned: Vec<Address>,
    /// Which of all is asked what any can answer.
    turn: usize,
}

/// A broker did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{address}")]
pub(crate) struct Unanswered {
    pub(crate) address: Address,
    #[source]
    pub(crate) source: ConnectionError,
}

impl Unanswered {
    /// It and what it came from, in one line.
    pub(crate) fn line(&self) -> String {
        runtime::report::line(self)
    }

    /// The same for whoever has to do something about it.
    pub(crate) fn issue(&self) -> Issue {
        Issue {
            kind: self.source.kind(),
            broker: self.address.to_string(),
            detail: runtime::report::line(&self.source),
        }
    }
}

/// A connection for one question. Unless it fails, it is kept for the next.
pub(crate) struct PooledConnection<'a> {
    cluster: &'a Cluster,
    address: Address,
    connection: Connection,
    /// It has answered before: the broker may have gone since.
    is_used: bool,
}

impl Cluster {
    pub(crate) fn new(access: Access) -> Self {
        Self {
            access,
            idle: Mutex::default(),
            brokers: Mutex::default(),
        }
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    /// A connection to the broker at `address`, one that is kept or a new one.
    pub(crate) async fn connect(&self, address: &Address) -> Result<PooledConnection<'_>, Unanswered> {
        let Some(connection) = self.take_idle(address) else {
            return self.open(address).await;
        };
        Ok(PooledConnection {
            cluster: self,
            address: address.clone(),
            connection,
            is_used: true,
        })
    }

    async fn open(&self, address: &Address) -> Result<PooledConnection<'_>, Unanswered> {
        let address = address.clone();
        match Connection::open(&self.access, &address).await {
            Ok(connection) => Ok(PooledConnection {
                cluster: self,
                address,
                connection,
                is_used: false,
            }),
            Err(source) => Err(Unanswered { address, source }),
        }
    }

    /// Asks the broker at `address` something that may be asked twice: when it has gone since it was asked last, it may be
    /// back.
    pub(crate) async fn ask<A: Api>(
        &self,
        address: &Address,
        request: &A,
        newest: i16,
    ) -> Result<A::Answer, Unanswered> {
        let connection = self.connect(address).await?;
        let is_used = connection.is_used;
        match connection.ask(request, newest, PATIENCE).await {
            Err(error) if is_used && matches!(error.source, ConnectionError::Lost { .. }) => {
                let connection = self.open(address).await?;
                connection.ask(request, newest, PATIENCE).await
            }
            outcome => outcome,
        }
    }

    /// Asks the broker that answered last, or else the next one of those that the manifest names and those that were
    /// learned. After a failure the next question goes to another.
    pub(crate) async fn ask_any<A: Api>(&self, request: &A, newest: i16) -> Result<A::Answer, Unanswered> {
        let (turn, address) = {
            let brokers = self.brokers();
            let mut known: Vec<&Address> = self.access.bootstrap.iter().chain(&brokers.learned).collect();
            let address = known.swap_remove(brokers.turn % known.len());
            (brokers.turn, address.clone())
        };
        let answer = self.ask(&address, request, newest).await;
        if answer.is_err() {
            let mut brokers = self.brokers();
            // Of many who asked the same broker one goes on.
            if brokers.turn == turn {
                brokers.turn = turn.wrapping_add(1);
            }
        }
        answer
    }

    /// The next question to any broker goes to another one: a broker that is cut off from the others always tells the same.
    pub(crate) fn skip_broker(&self) {
        let mut brokers = self.brokers();
        brokers.turn = brokers.turn.wrapping_add(1);
    }

    /// Asks about `topics`, and creates none of them. Takes in which brokers there are.
    pub(crate) async fn describe<'t>(
        &self,
        topics: impl IntoIterator<Item = &'t str>,
    ) -> Result<MetadataResponse, Unanswered> {
        let topic = |name: &str| {
            let name = TopicName(StrBytes::from_string(name.to_owned()));
            MetadataRequestTopic::default().with_name(Some(name))
        };
        let request = MetadataRequest::default()
            .with_topics(Some(topics.into_iter().map(topic).collect()))
            .with_allow_auto_topic_creation(false);
        let answer = self.ask_any(&request, i16::MAX).await?;
        self.brokers().learned = addresses(&answer).map(|(_, address)| address).collect();
        Ok(answer)
    }

    pub(super) fn knows_brokers(&self) -> bool {
        !self.brokers().learned.is_empty()
    }

    /// Tells `reporter` what has failed, and whether no broker is connected any more; gives it in one line.
    pub(crate) fn report(&self, error: &Unanswered, reporter: &ErrorReporter) -> String {
        reporter.issue(error.issue());
        if Arc::strong_count(&self.access.connections) == 1 {
            reporter.all_down();
        }
        error.line()
    }

    fn take_idle(&self, address: &Address) -> Option<Connection> {
        let now = Instant::now();
        let mut idle = self.idle();
        let kept = idle.get_mut(address)?;
        kept.retain(|connection| !connection.is_expired(now));
        kept.pop()
    }

    /// No panic leaves anything half changed, so a poisoned lock is as good as any.
    fn idle(&self) -> MutexGuard<'_, HashMap<Address, Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn brokers(&self) -> MutexGuard<'_, Brokers> {
        self.brokers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PooledConnection<'_> {
    /// Asks once. A future that is dropped before it is done leaves no connection behind.
    pub(crate) async fn ask<A: Api>(
        mut self,
        request: &A,
        newest: i16,
        patience: Duration,
    ) -> Result<A::Answer, Unanswered> {
        let outcome = self.connection.ask(request, newest, patience).await;
        let mut idle = self.cluster.idle();
        match outcome {
            Ok(_) | Err(ConnectionError::Version { .. }) => {
                idle.entry(self.address.clone())
                    .or_default()
                    .push(self.connection);
            }
            // The others are no better.
            Err(_) => drop(idle.remove(&self.address)),
        }
        drop(idle);
        let address = self.address;
        outcome.map_err(|source| Unanswered { address, source })
    }
}

/// The brokers of an answer by their ids.
pub(crate) fn addresses(answer: &MetadataResponse) -> impl Iterator<Item = (i32, Address)> {
    answer.brokers.iter().filter_map(|broker| {
        let address = Address::told(&broker.host, broker.port)?;
        Some((broker.node_id.0, address))
    })
}
