//! Coordinators: the broker that looks after a group or after the transactions of a producer.

use std::time::Duration;

use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::protocol::StrBytes;

use super::access::Address;
use super::cluster::{Cluster, Unanswered};
use super::wire::Api;
use crate::error_code::ErrorCode;

/// The newest version in which one coordinator is looked for at a time.
const FIND_ONE: i16 = 3;

/// What a coordinator looks after, by the number that requests have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CoordinatorKind {
    Group = 0,
    Transaction = 1,
}

/// Why a coordinator has not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CoordinatorError {
    /// The cluster does not say who it is.
    #[error("no coordinator: {0}")]
    NotFound(ErrorCode),
    /// It was not asked, for it, or who knows who it is, is away.
    #[error(transparent)]
    Unreachable(Unanswered),
    /// It was asked, and nobody knows whether it heard.
    #[error(transparent)]
    Lost(Unanswered),
}

/// The way to a coordinator, which is looked for by name, and again whenever it may be another.
pub(crate) struct Coordinator {
    kind: CoordinatorKind,
    key: String,
    address: Option<Address>,
    /// What was found last turned out to be wrong.
    is_doubted: bool,
}

impl Cluster {
    /// Asks any broker who the coordinator of `key` is.
    pub(crate) async fn find_coordinator(
        &self,
        kind: CoordinatorKind,
        key: &str,
    ) -> Result<Address, CoordinatorError> {
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(key.to_owned()))
            .with_key_type(kind as i8);
        let found = self.ask_any(&request, FIND_ONE).await;
        let found = found.map_err(CoordinatorError::Unreachable)?;
        match ErrorCode::from_number(found.error_code) {
            Some(code) => Err(CoordinatorError::NotFound(code)),
            None => Address::told(&found.host, found.port)
                .ok_or(CoordinatorError::NotFound(ErrorCode::CoordinatorNotAvailable)),
        }
    }
}

impl Coordinator {
    pub(crate) fn new(kind: CoordinatorKind, key: &str) -> Self {
        Self {
            kind,
            key: key.to_owned(),
            address: None,
            is_doubted: false,
        }
    }

    /// Asks the coordinator, once. After a failure it is looked for again.
    pub(crate) async fn ask<A: Api>(
        &mut self,
        cluster: &Cluster,
        request: &A,
        newest: i16,
        patience: Duration,
    ) -> Result<A::Answer, CoordinatorError> {
        let address = match &self.address {
            Some(address) => address.clone(),
            None => self.find(cluster).await?,
        };
        // Until it has answered, for whoever stops waiting.
        self.forget();
        let connection = cluster.connect(&address).await;
        let connection = connection.map_err(CoordinatorError::Unreachable)?;
        let answer = connection.ask(request, newest, patience).await;
        let answer = answer.map_err(CoordinatorError::Lost)?;
        (self.address, self.is_doubted) = (Some(address), false);
        Ok(answer)
    }

    /// The next question goes to whoever is the coordinator by then.
    pub(crate) fn forget(&mut self) {
        self.address = None;
        self.is_doubted = true;
    }

    async fn find(&self, cluster: &Cluster) -> Result<Address, CoordinatorError> {
        if self.is_doubted {
            // Another broker may know better.
            cluster.skip_broker();
        }
        if self.is_doubted || !cluster.knows_brokers() {
            let described = cluster.describe([]).await;
            described.map_err(CoordinatorError::Unreachable)?;
        }
        cluster.find_coordinator(self.kind, &self.key).await
    }
}
