//! One Kafka transaction: events and checkpoints together, or neither.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::Producer;

use super::sender::Sender;

/// The coordinator aborts a transaction that is open for longer: its replica is dead or cut off. Others wait for
/// that before they take over its shards.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// One call to Kafka within a transaction; repeated until the transaction's own time is over.
const CALL: Duration = Duration::from_secs(5);

/// Why a transaction did not commit.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was aborted; the producer can go on.
    Aborted(KafkaError),
    /// The outcome is unknown, or the producer is fenced or broken: only a new producer can tell and go on.
    Broken(KafkaError),
}

impl Failure {
    pub(super) fn error(&self) -> &KafkaError {
        match self {
            Self::Aborted(error) | Self::Broken(error) => error,
        }
    }
}

/// Commits what was sent since the transaction began, with the checkpoints. On [`Failure::Aborted`] the
/// transaction is over.
pub(super) fn commit(
    sender: &Sender,
    checkpoints: &TopicPartitionList,
    member: Option<&ConsumerGroupMetadata>,
) -> Result<(), Failure> {
    let deadline = Instant::now() + TIMEOUT;
    let Some(member) = member else {
        return abort(sender, KafkaError::Canceled);
    };
    let producer = sender.producer();
    // Before the wait for the last records: they go out while the coordinator answers.
    let sent = repeat(deadline, || {
        producer.send_offsets_to_transaction(checkpoints, member, CALL)
    });
    if sent.is_ok() && !sender.flush(TIMEOUT) {
        return abort(sender, KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
    }
    let committed = sent.and_then(|()| repeat(deadline, || producer.commit_transaction(CALL)));
    match committed {
        Ok(()) => Ok(()),
        Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
            abort(sender, KafkaError::Transaction(error))
        }
        Err(error) => Err(Failure::Broken(error)),
    }
}

/// Aborts the open transaction because of `reason`.
pub(super) fn abort(sender: &Sender, reason: KafkaError) -> Result<(), Failure> {
    let deadline = Instant::now() + TIMEOUT;
    match repeat(deadline, || sender.producer().abort_transaction(CALL)) {
        Ok(()) => Err(Failure::Aborted(reason)),
        Err(error) => Err(Failure::Broken(error)),
    }
}

/// Calls again what librdkafka says may be called again, which then goes on where it was.
fn repeat(deadline: Instant, call: impl Fn() -> KafkaResult<()>) -> KafkaResult<()> {
    loop {
        match call() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
            result => return result,
        }
    }
}
