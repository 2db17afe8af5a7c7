//! What the coordinator's answers mean to a member.

use std::time::Duration;

use kafka_protocol::protocol::StrBytes;

use super::driver::Driver;
use super::error::Meaning;
use super::protocol::ASSIGNOR;
use super::{GroupError, Settings};
use crate::broker::{Api, ConnectionError, CoordinatorError};
use crate::error_code::ErrorCode;

/// A cluster that is new or has lost a broker takes a moment to have a coordinator, and nobody need know.
const SILENT_ATTEMPTS: u32 = 5;

/// Why a step was not taken.
pub(super) enum StepError {
    /// To be taken again at once.
    Again,
    /// To be taken again after a while.
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
    ) -> Result<A::Answer, StepError> {
        let asked = self
            .coordinator
            .ask(&self.cluster, request, newest, patience)
            .await;
        asked.map_err(|error| match error {
            CoordinatorError::NotFound(code) => self.evaluate(code),
            CoordinatorError::Unreachable(error) | CoordinatorError::Lost(error) => {
                if matches!(error.source, ConnectionError::Version { .. }) {
                    return self.refused(error.source.to_string());
                }
                self.cluster.report(&error, &self.reporter);
                StepError::Later
            }
        })
    }

    /// Takes in whether the coordinator has done what it was asked for.
    pub(super) fn check(&mut self, number: i16) -> Result<(), StepError> {
        if let Some(code) = ErrorCode::from_number(number) {
            return Err(self.evaluate(code));
        }
        self.failures = 0;
        self.reporter.works();
        Ok(())
    }

    fn evaluate(&mut self, code: ErrorCode) -> StepError {
        match Meaning::of(code) {
            Meaning::Rebalance => return StepError::Again,
            Meaning::Missed => return StepError::Lost,
            Meaning::Unknown => {
                self.identity.member_id = StrBytes::default();
                return StepError::Lost;
            }
            Meaning::Lasting => return StepError::Failed(self.lasting(code)),
            Meaning::Moved => self.coordinator.forget(),
            Meaning::Passing => {}
        }
        self.failures += 1;
        if self.failures > SILENT_ATTEMPTS {
            let group = &self.identity.settings.group;
            let text = format!("no coordinator for the group {group}: {code}");
            self.reporter.passing("CoordinatorNotAvailable", &text);
        }
        StepError::Later
    }

    pub(super) fn lasting(&self, code: ErrorCode) -> GroupError {
        let Settings {
            group,
            topic,
            instance_id,
            ..
        } = self.identity.settings.clone();
        match code {
            ErrorCode::GroupAuthorizationFailed => GroupError::GroupNotAuthorised { group },
            ErrorCode::TopicAuthorizationFailed => GroupError::TopicNotAuthorised { topic },
            ErrorCode::FencedInstanceId => GroupError::Fenced {
                group,
                instance: instance_id.unwrap_or_default(),
            },
            ErrorCode::InconsistentGroupProtocol => GroupError::OtherMembers {
                group,
                assignor: ASSIGNOR,
            },
            code => GroupError::Refused {
                group,
                reason: code.to_string(),
            },
        }
    }

    pub(super) fn refused(&self, reason: String) -> StepError {
        let group = self.identity.settings.group.clone();
        StepError::Failed(GroupError::Refused { group, reason })
    }
}
