//! Reading from one broker: one request after the other, for all that it leads.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use runtime::backoff::Backoff;
use tokio::sync::OwnedSemaphorePermit;

use super::assignment::{Asked, Plan};
use super::chunk::{Chunk, Fetched, Held, PartitionErrorKind};
use super::complete::complete_batches;
use super::shared::{Shared, Sizes};
use super::transactions::Aborted;
use crate::broker::{Address, ConnectionError, LeaderConnection, LeaderLoop, Unanswered, ask_leader};
use crate::error_code::ErrorCode;
use crate::issue::{Issue, IssueKind};

/// How long a broker waits for the first record.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// The same while partitions are left out, which may be ready for more at any moment, and after something was set:
/// others are often set soon after, and have to wait for this answer.
const SHORT_WAIT: Duration = Duration::from_millis(20);

/// How long an answer may be late. A broker that is silent for so long has lost its partitions to others by now.
const PATIENCE: Duration = Duration::from_secs(10);

const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(100),
    max: Duration::from_secs(1),
};

/// The first version that names topics by their ids.
const WITH_TOPIC_IDS: i16 = 13;

const READ_COMMITTED: i8 = 1;

/// Reads what broker `id` leads, until it is dropped.
pub(super) async fn read(shared: Arc<Shared>, id: i32, address: Address) {
    let reading = Reading {
        shared,
        id,
        connection: LeaderConnection::new(address),
        wait: SHORT_WAIT,
        sets: 0,
        turn: 0,
    };
    ask_leader(reading, BACKOFF).await;
}

struct Reading {
    shared: Arc<Shared>,
    id: i32,
    connection: LeaderConnection,
    /// How long the broker may wait for the first record of the next answer.
    wait: Duration,
    /// As of the last plan.
    sets: u64,
    /// Requests so far.
    turn: usize,
}

impl LeaderLoop for Reading {
    async fn once(&mut self) -> Result<(), ConnectionError> {
        let sizes = self.wait_for_work().await;
        self.connection.connect(self.shared.cluster.access()).await?;
        // Closed never: then there would be nobody to read for.
        let Ok(permit) = Arc::clone(&self.shared.budget)
            .acquire_many_owned(sizes.answer as u32)
            .await
        else {
            return Ok(());
        };
        self.turn = self.turn.wrapping_add(1);
        let plan = self.plan(sizes.ahead);
        if plan.asked.is_empty() {
            return Ok(());
        }
        self.wait = if plan.sets != self.sets || plan.holds_back {
            SHORT_WAIT
        } else {
            (self.wait * 2).min(MAX_WAIT)
        };
        self.sets = plan.sets;
        let has_ids = plan.asked.iter().all(|asked| !asked.topic_id.is_nil());
        let newest = if has_ids { i16::MAX } else { WITH_TOPIC_IDS - 1 };
        let request = request(&plan, self.wait, sizes);
        let connection = self.connection.connect(self.shared.cluster.access()).await?;
        let answer = connection.ask(&request, newest, self.wait + PATIENCE).await?;
        if let Some(error) = ErrorCode::from_number(answer.error_code) {
            tracing::debug!(broker = self.id, %error, "fetching");
            self.shared.assignment().doubt(self.id);
            self.shared.notify();
            return Ok(());
        }
        self.take(&plan, answer, permit);
        self.shared.works();
        Ok(())
    }

    fn give_up(&mut self, source: ConnectionError) {
        self.connection.close();
        let address = self.connection.address.clone();
        let error = Unanswered { address, source };
        self.shared.cluster.report(&error, &self.shared.reporter);
        self.shared.assignment().doubt(self.id);
        self.shared.notify();
    }
}

impl Reading {
    /// Returns when there is something to ask for, and how much of it.
    async fn wait_for_work(&self) -> Sizes {
        let (mut changed, mut room) = (self.shared.changed.subscribe(), self.shared.room.subscribe());
        loop {
            let sizes = self.shared.sizes();
            if !self.plan(sizes.ahead).asked.is_empty() {
                return sizes;
            }
            // The senders live as long as `shared`.
            let _ = tokio::select! {
                change = changed.changed() => change,
                change = room.changed() => change,
            };
        }
    }

    fn plan(&self, ahead: usize) -> Plan {
        self.shared.assignment().plan(self.id, ahead, self.turn)
    }

    fn take(&self, plan: &Plan, answer: FetchResponse, mut permit: OwnedSemaphorePermit) {
        let mut assignment_changed = false;
        for topic in answer.responses {
            let is_of_topic = |asked: &&Asked| {
                *asked.partition.topic == *topic.topic.0
                    || (!topic.topic_id.is_nil() && asked.topic_id == topic.topic_id)
            };
            let asked_of_topic: Vec<&Asked> = plan.asked.iter().filter(is_of_topic).collect();
            for data in topic.partitions {
                let number = data.partition_index;
                let Some(asked) = asked_of_topic
                    .iter()
                    .find(|asked| asked.partition.number == number)
                else {
                    continue;
                };
                match ErrorCode::from_number(data.error_code) {
                    None => {
                        self.shared.assignment().allow(asked);
                        self.take_records(asked, data, &mut permit);
                    }
                    Some(error) => {
                        self.take_error(asked, error);
                        assignment_changed = true;
                    }
                }
            }
        }
        if assignment_changed {
            self.shared.notify();
        }
    }

    fn take_records(&self, asked: &Asked, data: PartitionData, permit: &mut OwnedSemaphorePermit) {
        let Some(records) = data.records.filter(|records| !records.is_empty()) else {
            return;
        };
        let complete = match complete_batches(&records, asked.offset) {
            Ok(Some(complete)) => complete,
            // Cut off within the first batch: another partition was first this time.
            Ok(None) => return,
            Err(error) => return self.rest(asked, PartitionErrorKind::Unreadable(error)),
        };
        let mut assignment = self.shared.assignment();
        let Some(ahead) = assignment.advance(asked, complete.next) else {
            return;
        };
        // A copy of its own, so that the memory of the answer is not held by the slowest of its partitions.
        let records = Bytes::copy_from_slice(records.get(..complete.length).unwrap_or(&records));
        let permit = permit.split(records.len().min(permit.num_permits()));
        let held = Held::new(permit, records.len(), ahead, &self.shared.room);
        drop(assignment);
        let mut aborted: Vec<Aborted> = data
            .aborted_transactions
            .into_iter()
            .flatten()
            .map(|aborted| Aborted {
                producer_id: aborted.producer_id.0,
                first_offset: aborted.first_offset,
            })
            .collect();
        aborted.sort_unstable_by_key(|aborted| aborted.first_offset);
        self.shared.hand_over(Fetched::Chunk(Chunk {
            partition: asked.partition.clone(),
            generation: asked.generation,
            topic_id: (!asked.topic_id.is_nil()).then(|| asked.topic_id.into_bytes()),
            start: asked.offset,
            next: complete.next,
            high_watermark: data.high_watermark,
            last_stable_offset: data.last_stable_offset,
            records,
            aborted,
            _held: held,
        }));
    }

    fn take_error(&self, asked: &Asked, error: ErrorCode) {
        match error {
            ErrorCode::OffsetOutOfRange => self.rest(asked, PartitionErrorKind::OutOfRange),
            ErrorCode::TopicAuthorizationFailed => {
                let text = format!("reading the topic {} is not allowed", asked.partition.topic);
                self.shared
                    .reporter
                    .issue(Issue::of_cluster(IssueKind::NotAuthorised, text));
                self.shared.assignment().refuse(asked);
            }
            // The leader has moved or does not know yet that it leads, the topic is gone or another: the cluster says
            // which.
            error => {
                tracing::debug!(partition = %asked.partition, broker = self.id, %error, "fetching");
                self.shared.assignment().unsettle(asked);
            }
        }
    }

    fn rest(&self, asked: &Asked, kind: PartitionErrorKind) {
        let error = self.shared.assignment().rest(asked, kind);
        if let Some(error) = error {
            self.shared.hand_over(Fetched::Error(error));
        }
    }
}

fn request(plan: &Plan, wait: Duration, sizes: Sizes) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for asked in &plan.asked {
        let partition = FetchPartition::default()
            .with_partition(asked.partition.number)
            .with_current_leader_epoch(asked.leader_epoch)
            .with_fetch_offset(asked.offset)
            .with_partition_max_bytes(sizes.partition as i32);
        match topics
            .last_mut()
            .filter(|topic| *topic.topic.0 == *asked.partition.topic)
        {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(
                FetchTopic::default()
                    .with_topic(TopicName(StrBytes::from_string(
                        asked.partition.topic.to_string(),
                    )))
                    .with_topic_id(asked.topic_id)
                    .with_partitions(vec![partition]),
            ),
        }
    }
    FetchRequest::default()
        .with_max_wait_ms(wait.as_millis() as i32)
        .with_min_bytes(1)
        .with_max_bytes(sizes.answer as i32)
        .with_isolation_level(READ_COMMITTED)
        // No session: each request says everything.
        .with_session_epoch(-1)
        .with_topics(topics)
}
