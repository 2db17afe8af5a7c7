//! Writing to one broker: one request after the other, for all partitions that it leads. While one is under way, what
//! the next will carry is compressed.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use runtime::backoff::Backoff;
use tokio::sync::watch;

use super::encoder::BatchEncoder;
use super::error::check;
use super::shared::Shared;
use super::state::InFlight;
use super::{Settings, Transactions};
use crate::broker::{Address, ConnectionError, LeaderConnection, LeaderLoop, Unanswered, ask_leader};
use crate::error_code::{Consequence, ErrorCode};

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
    let writing = Writing {
        shared,
        id,
        connection: LeaderConnection::new(address),
        encoder: BatchEncoder::default(),
    };
    ask_leader(writing, BACKOFF).await;
}

struct Writing {
    shared: Arc<Shared>,
    id: i32,
    connection: LeaderConnection,
    encoder: BatchEncoder,
}

impl LeaderLoop for Writing {
    async fn once(&mut self) -> Result<(), ConnectionError> {
        let mut changed = self.shared.changed.subscribe();
        self.wait_for_work(&mut changed).await;
        let connection = self.connection.connect(self.shared.cluster.access()).await?;
        let plan = self.shared.look(|state| state.plan(self.id));
        if plan.is_empty() {
            return Ok(());
        }
        let request = request(&self.shared.settings, &plan);
        let mut exchange = pin!(connection.ask(&request, NEWEST, PATIENCE));
        let answer = loop {
            changed.mark_unchanged();
            let ahead = encode_ahead(&self.shared, self.id, &mut self.encoder, &mut changed);
            tokio::select! {
                biased;
                answer = &mut exchange => break answer?,
                () = ahead => {}
            }
        };
        take(&self.shared, &plan, &answer);
        Ok(())
    }

    fn give_up(&mut self, source: ConnectionError) {
        self.connection.close();
        let address = self.connection.address.clone();
        let text = self.shared.report(&Unanswered { address, source });
        self.shared.change(|state| {
            state.note(text);
            state.doubt(self.id);
        });
    }
}

impl Writing {
    /// Returns when there is something to send.
    async fn wait_for_work(&mut self, changed: &mut watch::Receiver<()>) {
        loop {
            changed.mark_unchanged();
            while encode(&self.shared, self.id, false, &mut self.encoder) {}
            if self.shared.look(|state| state.has_plan(self.id)) {
                return;
            }
            encode_ahead(&self.shared, self.id, &mut self.encoder, changed).await;
        }
    }
}

/// Encodes one batch, if there is one to encode.
fn encode(shared: &Shared, broker: i32, ahead: bool, encoder: &mut BatchEncoder) -> bool {
    let Some(task) = shared.adjust(|state| state.take(broker, ahead)) else {
        return false;
    };
    let batch = encoder.encode(&task.builder, task.identity);
    let leader = shared.adjust(|state| state.put(task, batch));
    if leader != Some(broker) {
        // Another one has waited for it meanwhile.
        shared.change(|_| ());
    }
    true
}

/// Encodes one batch of those that cannot be sent yet; without one, waits for something to happen that was not when
/// `changed` was marked last.
async fn encode_ahead(
    shared: &Shared,
    broker: i32,
    encoder: &mut BatchEncoder,
    changed: &mut watch::Receiver<()>,
) {
    if encode(shared, broker, true, encoder) {
        tokio::task::yield_now().await;
    } else {
        // The sender lives as long as `shared`.
        let _ = changed.changed().await;
    }
}

fn request(settings: &Settings, plan: &[InFlight]) -> ProduceRequest {
    let data = |asked: &InFlight| {
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

fn take(shared: &Shared, plan: &[InFlight], answer: &ProduceResponse) {
    let answers: HashMap<i32, i16> = answer
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .map(|partition| (partition.index, partition.error_code))
        .collect();
    let mut refused = None;
    shared.change(|state| {
        for asked in plan {
            // Not answered at all is as good as not asked.
            let number = answers.get(&(asked.partition as i32));
            let outcome = number.map_or(Err(ErrorCode::UnknownServerError), |number| check(*number));
            match outcome.map_err(|code| (code, code.consequence())) {
                Ok(()) => state.arrived(asked),
                Err((code, Consequence::Restart | Consequence::Fix)) if number.is_some() => {
                    refused = refused.or(Some(code));
                    state.refuse(asked, code);
                }
                Err((code, _)) => state.unsettle(asked, format!("Produce: {code}")),
            }
        }
    });
    match refused {
        None => shared.works(),
        Some(code) => shared.refused("Produce", code),
    }
}
