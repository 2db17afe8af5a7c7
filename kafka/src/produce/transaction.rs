//! What the coordinators are asked of a transaction, and what their answers mean.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, GroupId, ProducerId, TopicName,
    TransactionalId, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::error::check;
use super::offsets::Offsets;
use super::shared::Shared;
use super::state::ProducerIdentity;
use super::{Settings, Transactions};
use crate::broker::{Api, ConnectionError, Coordinator, CoordinatorError};
use crate::error_code::{Consequence, ErrorCode};

/// How long a coordinator may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The newest versions in which this side says what belongs to a transaction: the older protocol of KIP-890.
const ADD: i16 = 3;
const ADD_OFFSETS: i16 = 3;
const COMMIT_OFFSETS: i16 = 3;
const END: i16 = 3;

/// The ways to both coordinators.
pub(super) struct Coordinators {
    pub(super) shared: Arc<Shared>,
    pub(super) transaction: Coordinator,
    pub(super) group: Coordinator,
    /// What the coordinator had decided last at the start, until that is carried out once more.
    pub(super) decision: Option<Decision>,
}

/// Why a step is not done.
pub(super) enum StepError {
    /// Not yet.
    Soon(String),
    /// By nobody at the moment.
    Later(String),
    /// Asked, and nobody knows whether it was heard: it may still be, at any time.
    Lost(&'static str, String),
    /// With this answer.
    Refused(&'static str, ErrorCode),
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Commit,
    Abort,
}

impl Coordinators {
    pub(super) async fn add(
        &mut self,
        identity: ProducerIdentity,
        partitions: &[usize],
    ) -> Result<(), StepError> {
        let shared = &self.shared;
        let id = transactional_id(&shared.settings);
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(topic_name(&shared.settings.topic))
            .with_partitions(partitions.iter().map(|partition| *partition as i32).collect());
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id)
            .with_v3_and_below_producer_id(ProducerId(identity.id))
            .with_v3_and_below_producer_epoch(identity.epoch)
            .with_v3_and_below_topics(vec![topic]);
        let answer = ask(&mut self.transaction, shared, &request, ADD).await?;
        let numbers = answer
            .results_by_topic_v3_and_below
            .iter()
            .flat_map(|topic| &topic.results_by_partition)
            .map(|partition| partition.partition_error_code);
        self.check_all::<AddPartitionsToTxnRequest>(numbers)
    }

    pub(super) async fn add_offsets(
        &mut self,
        identity: ProducerIdentity,
        group: &str,
    ) -> Result<(), StepError> {
        let shared = &self.shared;
        let id = transactional_id(&shared.settings);
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(id)
            .with_producer_id(ProducerId(identity.id))
            .with_producer_epoch(identity.epoch)
            .with_group_id(group_id(group));
        let answer = ask(&mut self.transaction, shared, &request, ADD_OFFSETS).await?;
        self.check::<AddOffsetsToTxnRequest>(answer.error_code)
    }

    pub(super) async fn commit_offsets(
        &mut self,
        identity: ProducerIdentity,
        offsets: &Offsets,
    ) -> Result<(), StepError> {
        self.add_offsets(identity, &offsets.member.group).await?;
        let id = transactional_id(&self.shared.settings);
        let offset = |(partition, offset, metadata): &(i32, i64, String)| {
            TxnOffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(StrBytes::from_string(metadata.clone())))
        };
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(topic_name(&offsets.topic))
            .with_partitions(offsets.offsets.iter().map(offset).collect());
        let member = &offsets.member;
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(id)
            .with_group_id(group_id(&member.group))
            .with_producer_id(ProducerId(identity.id))
            .with_producer_epoch(identity.epoch)
            .with_generation_id(member.generation)
            .with_member_id(StrBytes::from_string(member.member_id.clone()))
            .with_group_instance_id(member.instance_id.clone().map(StrBytes::from_string))
            .with_topics(vec![topic]);
        let answer = ask(&mut self.group, &self.shared, &request, COMMIT_OFFSETS).await?;
        let numbers = answer
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| partition.error_code);
        self.check_all::<TxnOffsetCommitRequest>(numbers)
    }

    pub(super) async fn end(
        &mut self,
        identity: ProducerIdentity,
        decision: Decision,
    ) -> Result<(), StepError> {
        let shared = &self.shared;
        let id = transactional_id(&shared.settings);
        let request = EndTxnRequest::default()
            .with_transactional_id(id)
            .with_producer_id(ProducerId(identity.id))
            .with_producer_epoch(identity.epoch)
            .with_committed(decision == Decision::Commit);
        let answer = ask(&mut self.transaction, shared, &request, END).await?;
        self.check::<EndTxnRequest>(answer.error_code)
    }

    pub(super) fn check<A: Api>(&mut self, number: i16) -> Result<(), StepError> {
        self.check_all::<A>(std::iter::once(number))
    }

    /// Of several answers to one request the worst.
    fn check_all<A: Api>(&mut self, numbers: impl Iterator<Item = i16>) -> Result<(), StepError> {
        let errors = numbers.filter_map(|number| check(number).err());
        let Some(code) = errors.max_by_key(|code| code.consequence()) else {
            return Ok(());
        };
        let text = || format!("{}: {code}", A::NAME);
        match code.consequence() {
            Consequence::Wait => Err(StepError::Soon(text())),
            Consequence::Retry => {
                // Whoever was responsible may not be any more.
                self.transaction.forget();
                self.group.forget();
                Err(StepError::Later(text()))
            }
            Consequence::Restart | Consequence::Fix => Err(StepError::Refused(A::NAME, code)),
        }
    }
}

/// Asks a coordinator, once.
pub(super) async fn ask<A: Api>(
    coordinator: &mut Coordinator,
    shared: &Shared,
    request: &A,
    newest: i16,
) -> Result<A::Answer, StepError> {
    let asked = coordinator.ask(&shared.cluster, request, newest, PATIENCE).await;
    asked.map_err(|error| match error {
        CoordinatorError::NotFound(code) => match code.consequence() {
            Consequence::Wait | Consequence::Retry => StepError::Later(format!("FindCoordinator: {code}")),
            Consequence::Restart | Consequence::Fix => StepError::Refused("FindCoordinator", code),
        },
        CoordinatorError::Unreachable(error) => StepError::Later(shared.report(&error)),
        CoordinatorError::Lost(error) if matches!(error.source, ConnectionError::Version { .. }) => {
            StepError::Refused(A::NAME, ErrorCode::UnsupportedVersion)
        }
        CoordinatorError::Lost(error) => StepError::Lost(A::NAME, shared.report(&error)),
    })
}

/// Steps other than the first are taken in transactions only.
pub(super) fn transactional_id(settings: &Settings) -> TransactionalId {
    let transactions = settings.transactions.as_ref();
    transactions.map(Transactions::id).unwrap_or_default()
}

fn group_id(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}

fn topic_name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}
