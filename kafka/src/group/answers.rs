//! What the coordinator's answers mean to a member.

use std::time::Duration;

use kafka_protocol::error::{ParseResponseErrorCode, ResponseError};
use kafka_protocol::protocol::StrBytes;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::coordinator::AskError;
use super::driver::Driver;
use super::error::Setback;
use super::protocol::ASSIGNOR;
use super::{GroupError, Settings};
use crate::broker::{Api, ConnectionError};

/// A cluster that is new or has lost a broker takes a moment to have a coordinator, and nobody need know.
const SILENT_ATTEMPTS: u32 = 5;

/// Why something did not come to its end.
pub(super) enum Hitch {
    /// To be done again at once.
    Again,
    /// To be done again after a while.
    Later,
    /// The group has gone on without this member.
    Lost,
    /// Somebody has to do something.
    Failed(GroupError),
}

impl Driver {
    /// Asks the coordinator. What is wrong with the connection is reported.
    pub(super) async fn ask<A: Api>(
        &mut self,
        request: &A,
        newest: i16,
        patience: Duration,
    ) -> Result<A::Answer, Hitch> {
        match self.coordinator.ask(request, newest, patience).await {
            Ok(answer) => Ok(answer),
            Err(AskError::NotFound(error)) => Err(self.hitch(error)),
            Err(AskError::Connection {
                source: source @ ConnectionError::Version { .. },
                ..
            }) => Err(self.refused(source.line())),
            Err(AskError::Connection { address, source }) => {
                self.report(source.code(), &format!("{address}: {}", source.line()));
                if self.coordinator.is_alone() {
                    self.report(RDKafkaErrorCode::AllBrokersDown, "");
                }
                Err(Hitch::Later)
            }
        }
    }

    /// Takes the coordinator's verdict in.
    pub(super) fn check(&mut self, code: i16) -> Result<(), Hitch> {
        if let Some(error) = code.err() {
            return Err(self.hitch(error));
        }
        self.failures = 0;
        self.reporter.works();
        Ok(())
    }

    fn hitch(&mut self, error: ResponseError) -> Hitch {
        match Setback::of(error) {
            Setback::Rebalance => return Hitch::Again,
            Setback::Missed => return Hitch::Lost,
            Setback::Unknown => {
                self.identity.member_id = StrBytes::default();
                return Hitch::Lost;
            }
            Setback::Lasting(error) => return Hitch::Failed(self.lasting(error)),
            Setback::Moved => self.coordinator.forget(),
            Setback::Passing(_) => {}
        }
        self.failures += 1;
        if self.failures > SILENT_ATTEMPTS {
            let text = format!(
                "no coordinator for the group {}: {error}",
                self.identity.settings.group
            );
            self.report(RDKafkaErrorCode::CoordinatorNotAvailable, &text);
        }
        Hitch::Later
    }

    pub(super) fn lasting(&self, error: ResponseError) -> GroupError {
        let Settings {
            group,
            topic,
            instance_id,
            ..
        } = self.identity.settings.clone();
        match error {
            ResponseError::GroupAuthorizationFailed => GroupError::GroupNotAuthorised { group },
            ResponseError::TopicAuthorizationFailed => GroupError::TopicNotAuthorised { topic },
            ResponseError::FencedInstanceId => GroupError::Fenced {
                group,
                instance: instance_id.unwrap_or_default(),
            },
            ResponseError::InconsistentGroupProtocol => GroupError::OtherMembers {
                group,
                assignor: ASSIGNOR,
            },
            error => GroupError::Refused {
                group,
                reason: error.to_string(),
            },
        }
    }

    pub(super) fn refused(&self, reason: String) -> Hitch {
        let group = self.identity.settings.group.clone();
        Hitch::Failed(GroupError::Refused { group, reason })
    }

    fn report(&self, code: RDKafkaErrorCode, text: &str) {
        self.reporter.error(&KafkaError::Global(code), text);
    }
}
