//! The connection to the broker that looks after the group.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest};
use kafka_protocol::protocol::StrBytes;

use crate::broker::{Access, Address, Api, Connection, ConnectionError};

/// How long a broker may take to answer what it knows.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// The kind of coordinator that looks after groups.
const OF_GROUPS: i8 = 0;

/// The last version that asks for one coordinator only.
const FIND_ONE: i16 = 3;

/// The group's coordinator, looked for again whenever it is not known.
pub(super) struct Coordinator {
    access: Access,
    group: StrBytes,
    connection: Option<(Address, Connection)>,
    /// The brokers of the cluster, as far as they were learned.
    brokers: Vec<Address>,
    /// Brokers asked so far, so that each gets its turn.
    asked: usize,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("{address}")]
    Connection {
        address: Address,
        #[source]
        source: ConnectionError,
    },
    #[error("no coordinator: {0}")]
    NotFound(ResponseError),
}

impl Coordinator {
    pub(super) fn new(access: Access, group: &str) -> Self {
        Self {
            access,
            group: StrBytes::from_string(group.to_owned()),
            connection: None,
            brokers: Vec::new(),
            asked: 0,
        }
    }

    /// Asks the coordinator. What is dropped before it is done leaves no connection behind.
    pub(super) async fn ask<A: Api>(
        &mut self,
        request: &A,
        newest: i16,
        patience: Duration,
    ) -> Result<A::Answer, AskError> {
        let standing = self.connection.take();
        let standing = standing.filter(|(_, connection)| !connection.is_expired(Instant::now()));
        let (address, mut connection) = match standing {
            Some(standing) => standing,
            None => self.find().await?,
        };
        match connection.ask_at_most(request, newest, patience).await {
            Ok(answer) => {
                self.connection = Some((address, connection));
                Ok(answer)
            }
            Err(source) => Err(AskError::Connection { address, source }),
        }
    }

    /// The next question goes to whoever is the coordinator by then.
    pub(super) fn forget(&mut self) {
        self.connection = None;
    }

    /// Whether no broker is connected any more.
    pub(super) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.access.standing) == 1
    }

    async fn find(&mut self) -> Result<(Address, Connection), AskError> {
        let broker = self.next_broker();
        let found = self.find_through(&broker).await;
        let address = found
            .map_err(|source| AskError::Connection {
                address: broker,
                source,
            })?
            .map_err(AskError::NotFound)?;
        match Connection::open(&self.access, &address).await {
            Ok(connection) => Ok((address, connection)),
            Err(source) => Err(AskError::Connection { address, source }),
        }
    }

    /// Where `broker` says that the coordinator is.
    async fn find_through(
        &mut self,
        broker: &Address,
    ) -> Result<Result<Address, ResponseError>, ConnectionError> {
        let mut connection = Connection::open(&self.access, broker).await?;
        let nothing = MetadataRequest::default()
            .with_topics(Some(Vec::new()))
            .with_allow_auto_topic_creation(false);
        let cluster = connection.ask(&nothing, PATIENCE).await?;
        self.brokers = cluster
            .brokers
            .iter()
            .filter_map(|broker| Address::told(&broker.host, broker.port))
            .collect();
        let request = FindCoordinatorRequest::default()
            .with_key(self.group.clone())
            .with_key_type(OF_GROUPS);
        let found = connection.ask_at_most(&request, FIND_ONE, PATIENCE).await?;
        Ok(match found.error_code.err() {
            Some(error) => Err(error),
            None => Address::told(&found.host, found.port).ok_or(ResponseError::CoordinatorNotAvailable),
        })
    }

    /// The brokers that the manifest names, and those that were learned, in turn.
    fn next_broker(&mut self) -> Address {
        let known = self.access.bootstrap.iter().chain(&self.brokers);
        let mut known: Vec<Address> = known.cloned().collect();
        let turn = self.asked % known.len();
        self.asked += 1;
        known.swap_remove(turn)
    }
}
