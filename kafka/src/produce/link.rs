//! The way to a coordinator: it is looked for by name, and again whenever it may be another.

use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::protocol::StrBytes;

use super::cluster;
use super::error::{self, Verdict};
use super::shared::Shared;
use crate::broker::{Address, Anyone, Api, Connection, ConnectionError};

/// How long a coordinator may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The newest version in which one coordinator is looked for at a time.
const FIND: i16 = 3;

/// What [`FindCoordinatorRequest`] calls the two.
pub(super) const GROUP: i8 = 0;
pub(super) const TRANSACTION: i8 = 1;

/// Why a step is not done.
pub(super) enum Refusal {
    /// Not yet.
    Soon(String),
    /// By nobody at the moment.
    Later(String),
    /// Asked, and nobody knows whether it was heard: it may still be, at any time.
    Lost(&'static str, String),
    /// With this answer.
    Final(&'static str, i16),
}

/// The way to a coordinator.
pub(super) struct Link {
    kind: i8,
    /// What it was looked for by.
    key: String,
    connection: Option<(Address, Connection)>,
}

impl Link {
    pub(super) fn new(kind: i8) -> Self {
        Self {
            kind,
            key: String::new(),
            connection: None,
        }
    }

    /// Looks for the coordinator the next time.
    pub(super) fn forget(&mut self) {
        self.connection = None;
    }

    /// Asks the coordinator of `key`. After a failure it is looked for again the next time.
    pub(super) async fn ask<A: Api>(
        &mut self,
        anyone: &mut Anyone,
        shared: &Shared,
        key: &str,
        request: &A,
        newest: i16,
    ) -> Result<A::Answer, Refusal> {
        let standing = self.connection.take();
        let is_same = self.key == key;
        let standing = standing.filter(|(_, connection)| is_same && !connection.is_expired(Instant::now()));
        let (address, mut connection) = match standing {
            Some(standing) => standing,
            None => self.connect(anyone, shared, key).await?,
        };
        match connection.ask_at_most(request, newest, PATIENCE).await {
            Ok(answer) => {
                self.connection = Some((address, connection));
                Ok(answer)
            }
            Err(ConnectionError::Version { .. }) => {
                self.connection = Some((address, connection));
                Err(Refusal::Final(A::NAME, ResponseError::UnsupportedVersion.code()))
            }
            Err(error) => {
                drop(connection);
                let line = shared.report_connection(&address, &error);
                Err(Refusal::Lost(A::NAME, line))
            }
        }
    }

    async fn connect(
        &mut self,
        anyone: &mut Anyone,
        shared: &Shared,
        key: &str,
    ) -> Result<(Address, Connection), Refusal> {
        key.clone_into(&mut self.key);
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(key.to_owned()))
            .with_key_type(self.kind);
        let found = cluster::ask(anyone, shared, &request, FIND)
            .await
            .map_err(Refusal::Later)?;
        match Verdict::of(found.error_code) {
            Verdict::Done => {}
            Verdict::Wait | Verdict::Again => {
                let code = error::code(found.error_code);
                return Err(Refusal::Later(format!("FindCoordinator: {code}")));
            }
            Verdict::Final => return Err(Refusal::Final(FindCoordinatorRequest::NAME, found.error_code)),
        }
        let address = Address {
            host: found.host.to_string(),
            port: found.port.try_into().unwrap_or_default(),
        };
        match Connection::open(&shared.access, &address).await {
            Ok(connection) => Ok((address, connection)),
            Err(error) => Err(Refusal::Later(shared.report_connection(&address, &error))),
        }
    }
}
