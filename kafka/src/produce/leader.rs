//! Writing to one broker: one request after the other, for all partitions that it leads. While one is under way, what
//! the next will carry is compressed.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use runtime::backoff::Backoff;
use tokio::sync::watch;

use super::error::{self, Verdict};
use super::seal::Sealer;
use super::shared::Shared;
use super::state::Asked;
use super::{Settings, Transactions};
use crate::broker::{Address, Connection, ConnectionError};

/// The last version before transactions take partitions in by themselves, which the coordinator has to be told else.
const NEWEST: i16 = 11;

/// How long a broker may wait for its followers.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How long an answer may take. The same is sent again then, which does no harm: batches are numbered.
const PATIENCE: Duration = Duration::from_secs(5);

const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(50),
    max: Duration::from_secs(1),
};

/// All replicas that are in sync.
const ACKS: i16 = -1;

/// Writes what broker `id` leads, until it is dropped.
pub(super) async fn write(shared: Arc<Shared>, id: i32, address: Address) {
    let mut writing = Writing {
        shared,
        id,
        address,
        connection: None,
        sealer: Sealer::default(),
    };
    let mut failures = 0;
    loop {
        match writing.once().await {
            Ok(()) => failures = 0,
            Err(error) => {
                writing.give_up(&error);
                tokio::time::sleep(BACKOFF.delay(failures, rand::random())).await;
                failures += 1;
            }
        }
    }
}

struct Writing {
    shared: Arc<Shared>,
    id: i32,
    address: Address,
    connection: Option<Connection>,
    sealer: Sealer,
}

impl Writing {
    async fn once(&mut self) -> Result<(), ConnectionError> {
        let mut changed = self.shared.changed.subscribe();
        self.wait_for_work(&mut changed).await;
        self.connect().await?;
        let plan = self.shared.look(|state| state.plan(self.id));
        let Some(connection) = self.connection.as_mut().filter(|_| !plan.is_empty()) else {
            return Ok(());
        };
        let request = request(&self.shared.settings, &plan);
        let mut exchange = pin!(connection.ask_at_most(&request, NEWEST, PATIENCE));
        let answer = loop {
            changed.mark_unchanged();
            let ahead = seal_ahead(&self.shared, self.id, &mut self.sealer, &mut changed);
            tokio::select! {
                biased;
                answer = &mut exchange => break answer?,
                () = ahead => {}
            }
        };
        take(&self.shared, &plan, &answer);
        Ok(())
    }

    /// Returns when there is something to send.
    async fn wait_for_work(&mut self, changed: &mut watch::Receiver<()>) {
        loop {
            changed.mark_unchanged();
            while seal(&self.shared, self.id, false, &mut self.sealer) {}
            if self.shared.look(|state| state.has_plan(self.id)) {
                return;
            }
            seal_ahead(&self.shared, self.id, &mut self.sealer, changed).await;
        }
    }

    async fn connect(&mut self) -> Result<(), ConnectionError> {
        let now = Instant::now();
        if self
            .connection
            .as_ref()
            .is_none_or(|connection| connection.is_expired(now))
        {
            self.connection = Some(Connection::open(&self.shared.access, &self.address).await?);
        }
        Ok(())
    }

    /// The connection is of no use any more, and the broker may not lead what it led.
    fn give_up(&mut self, error: &ConnectionError) {
        self.connection = None;
        let trouble = self.shared.report_connection(&self.address, error);
        self.shared.change(|state| {
            state.note(trouble);
            state.doubt(self.id);
        });
    }
}

/// Seals one batch, if there is one to seal.
fn seal(shared: &Shared, broker: i32, ahead: bool, sealer: &mut Sealer) -> bool {
    let Some(task) = shared.adjust(|state| state.take(broker, ahead)) else {
        return false;
    };
    let batch = sealer.seal(&task.filling, task.stamp);
    let leader = shared.adjust(|state| state.put(task, batch));
    if leader != Some(broker) {
        // Another one has waited for it meanwhile.
        shared.change(|_| ());
    }
    true
}

/// Seals one batch of those that cannot be sent yet; without one, waits for something to happen that was not when
/// `changed` was marked last.
async fn seal_ahead(shared: &Shared, broker: i32, sealer: &mut Sealer, changed: &mut watch::Receiver<()>) {
    if seal(shared, broker, true, sealer) {
        tokio::task::yield_now().await;
    } else {
        // The sender lives as long as `shared`.
        let _ = changed.changed().await;
    }
}

fn request(settings: &Settings, plan: &[Asked]) -> ProduceRequest {
    let data = |asked: &Asked| {
        PartitionProduceData::default()
            .with_index(asked.partition as i32)
            .with_records(Some(asked.batch.clone()))
    };
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_string(settings.topic.clone())))
        .with_partition_data(plan.iter().map(data).collect());
    ProduceRequest::default()
        .with_transactional_id(settings.transactions.as_ref().map(Transactions::id))
        .with_acks(ACKS)
        .with_timeout_ms(TIMEOUT.as_millis() as i32)
        .with_topic_data(vec![topic])
}

fn take(shared: &Shared, plan: &[Asked], answer: &ProduceResponse) {
    let answers: HashMap<i32, i16> = answer
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .map(|partition| (partition.index, partition.error_code))
        .collect();
    let mut refused = None;
    shared.change(|state| {
        for asked in plan {
            let number = answers.get(&(asked.partition as i32)).copied();
            match number.map(Verdict::of) {
                Some(Verdict::Done) => state.arrived(asked),
                Some(Verdict::Final) => {
                    let number = number.unwrap_or_default();
                    refused = refused.or(Some(number));
                    state.refuse(asked, number);
                }
                // Not answered at all is as good as not asked.
                Some(Verdict::Again | Verdict::Wait) | None => {
                    let code = error::code(number.unwrap_or_default());
                    state.unsettle(asked, format!("Produce: {code}"));
                }
            }
        }
    });
    match refused {
        None => shared.works(),
        Some(number) => shared.refused("Produce", number),
    }
}
