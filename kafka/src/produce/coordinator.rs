//! Speaking to the coordinators: of transactions, and of the group whose offsets are committed in them.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest, GroupId,
    InitProducerIdRequest, ProducerId, TopicName, TransactionalId, TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;
use runtime::backoff::Backoff;

use super::error::{ProduceError, check};
use super::offsets::Offsets;
use super::shared::Shared;
use super::state::{ProducerIdentity, State, Step};
use super::{Settings, Transactions};
use crate::broker::{Api, ConnectionError, Coordinator, CoordinatorError, CoordinatorKind};
use crate::error_code::{Consequence, ErrorCode};

/// A transaction is ended within milliseconds.
const SOON: Backoff = Backoff {
    initial: Duration::from_millis(1),
    max: Duration::from_millis(20),
};

/// A coordinator is elsewhere, not ready, or away.
const LATER: Backoff = Backoff {
    initial: Duration::from_millis(20),
    max: Duration::from_millis(500),
};

/// How long a coordinator may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The newest versions in which this side says what belongs to a transaction: the older protocol of KIP-890.
const DESCRIBE: i16 = 0;
const START: i16 = 4;
const ADD: i16 = 3;
const ADD_OFFSETS: i16 = 3;
const COMMIT_OFFSETS: i16 = 3;
const END: i16 = 3;

/// Takes one step after the other, as long as there are any.
pub(super) async fn follow(shared: Arc<Shared>) {
    let mut changed = shared.changed.subscribe();
    let (id, group) = match &shared.settings.transactions {
        Some(transactions) => (transactions.id.as_str(), transactions.group.as_str()),
        None => ("", ""),
    };
    let mut coordinators = Coordinators {
        transaction: Coordinator::new(CoordinatorKind::Transaction, id),
        group: Coordinator::new(CoordinatorKind::Group, group),
        decision: None,
        shared: Arc::clone(&shared),
    };
    loop {
        changed.mark_unchanged();
        let next = |state: &State| Some((state.session(), state.step()?));
        match shared.look(next) {
            Some((session, step)) => coordinators.take(session, &step).await,
            // The sender lives as long as `shared`.
            None => drop(changed.changed().await),
        }
    }
}

struct Coordinators {
    shared: Arc<Shared>,
    transaction: Coordinator,
    group: Coordinator,
    /// What the coordinator had decided last at the start, until that is carried out once more.
    decision: Option<Decision>,
}

/// Why a step is not done.
enum StepError {
    /// Not yet.
    Soon(String),
    /// By nobody at the moment.
    Later(String),
    /// Asked, and nobody knows whether it was heard: it may still be, at any time.
    Lost(&'static str, String),
    /// With this answer.
    Refused(&'static str, ErrorCode),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Commit,
    Abort,
}

impl Coordinators {
    /// Tries until it is done, refused, or another session has begun.
    async fn take(&mut self, session: u64, step: &Step) {
        let mut attempts = 0;
        loop {
            let (backoff, error) = match self.attempt(session, step).await {
                Ok(()) => return,
                Err(StepError::Refused(request, code)) => {
                    self.shared.refused(request, code);
                    self.shared.change_in(session, |state| {
                        state.fail(ProduceError::Refused { request, code });
                    });
                    return;
                }
                // Another beginning does no harm, and ends what this one may have begun.
                Err(StepError::Lost(_, error)) if *step == Step::Start => (LATER, error),
                // Heard late it would be taken for one of the next transaction, which has the same producer id.
                Err(StepError::Lost(request, reason)) => {
                    self.shared.change_in(session, |state| {
                        state.fail(ProduceError::Lost { request, reason });
                    });
                    return;
                }
                Err(StepError::Soon(error)) => (SOON, error),
                Err(StepError::Later(error)) => (LATER, error),
            };
            tracing::debug!(attempts, error, "a coordinator is asked again");
            self.shared.change_in(session, |state| state.note(error));
            if self.shared.look(State::session) != session {
                return;
            }
            tokio::time::sleep(backoff.delay(attempts, rand::random())).await;
            attempts += 1;
        }
    }

    async fn attempt(&mut self, session: u64, step: &Step) -> Result<(), StepError> {
        match step {
            Step::Start => {
                let identity = self.start().await?;
                self.shared.works();
                self.shared.change_in(session, |state| state.started(identity));
            }
            Step::Clear(identity, partitions) => {
                self.clear(*identity, partitions).await?;
                self.shared.change_in(session, |state| state.cleared(*identity));
            }
            Step::Add(identity, partitions) => {
                self.add(*identity, partitions).await?;
                self.shared.change_in(session, |state| state.added(partitions));
            }
            Step::Offsets(identity, offsets) => {
                self.commit_offsets(*identity, offsets).await?;
                self.shared.change_in(session, State::offsets_taken);
            }
            Step::End(identity) => {
                self.end(*identity, Decision::Commit).await?;
                self.shared.works();
                self.shared.change_in(session, State::committed);
            }
        }
        Ok(())
    }

    async fn start(&mut self) -> Result<ProducerIdentity, StepError> {
        if self.shared.settings.transactions.is_some() && self.decision.is_none() {
            self.decision = Some(self.last_decision().await?);
        }
        let shared = &self.shared;
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            // None yet, or one that is not used any more.
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        let answer = match &shared.settings.transactions {
            None => {
                let asked = shared.cluster.ask_any(&request, START).await;
                asked.map_err(|error| StepError::Later(shared.report(&error)))?
            }
            Some(transactions) => {
                let request = request
                    .with_transactional_id(Some(transactions.id()))
                    .with_transaction_timeout_ms(transactions.timeout.as_millis() as i32);
                ask(&mut self.transaction, shared, &request, START).await?
            }
        };
        self.check::<InitProducerIdRequest>(answer.error_code)?;
        Ok(ProducerIdentity {
            id: answer.producer_id.0,
            epoch: answer.producer_epoch,
        })
    }

    /// What the coordinator has decided about the last transaction of this name.
    async fn last_decision(&mut self) -> Result<Decision, StepError> {
        let shared = &self.shared;
        let id = transactional_id(&shared.settings);
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id]);
        let asked = ask(&mut self.transaction, shared, &request, DESCRIBE).await;
        let states = match asked {
            Ok(answer) => answer.transaction_states,
            // Brokers before Kafka 3.0 do not say.
            Err(StepError::Refused(..)) => return Ok(Decision::Abort),
            Err(error) => return Err(error),
        };
        let Some(state) = states.first() else {
            return Ok(Decision::Abort);
        };
        match self.check::<DescribeTransactionsRequest>(state.error_code) {
            // There was no transaction of this name; what is not allowed is said at the next step.
            Ok(()) | Err(StepError::Refused(..)) => {}
            Err(error) => return Err(error),
        }
        Ok(match &*state.transaction_state {
            "PrepareCommit" | "CompleteCommit" => Decision::Commit,
            _ => Decision::Abort,
        })
    }

    /// A coordinator that was killed between a decision and telling the partitions of it may take the decision as
    /// carried out when it is back, and has then nothing to end at a start (seen with one broker of Kafka 4.3, whose log
    /// has a completed transaction with no markers). The partitions stay open: readers wait forever, the group's
    /// offsets cannot be read, and the next transaction's end would be the end of these records as well. So the
    /// decision is carried out once more: an empty transaction that ends in the same way has markers written to all
    /// partitions, which end what is open and do nothing to the others.
    async fn clear(&mut self, identity: ProducerIdentity, partitions: &[usize]) -> Result<(), StepError> {
        self.add(identity, partitions).await?;
        let group = self.shared.settings.transactions.as_ref();
        let group = group.map_or_else(String::new, |known| known.group.clone());
        self.add_offsets(identity, &group).await?;
        self.end(identity, self.decision.unwrap_or(Decision::Abort))
            .await?;
        self.decision = None;
        Ok(())
    }

    async fn add(&mut self, identity: ProducerIdentity, partitions: &[usize]) -> Result<(), StepError> {
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

    async fn add_offsets(&mut self, identity: ProducerIdentity, group: &str) -> Result<(), StepError> {
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

    async fn commit_offsets(
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

    async fn end(&mut self, identity: ProducerIdentity, decision: Decision) -> Result<(), StepError> {
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

    fn check<A: Api>(&mut self, number: i16) -> Result<(), StepError> {
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
async fn ask<A: Api>(
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
fn transactional_id(settings: &Settings) -> TransactionalId {
    let transactions = settings.transactions.as_ref();
    transactions.map(Transactions::id).unwrap_or_default()
}

fn group_id(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}

fn topic_name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}
