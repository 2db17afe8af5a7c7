//! Asking the cluster where its topics are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::chunk::Fetched;
use super::shared::Shared;
use crate::broker::{Address, Connection, ConnectionError};

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connection that questions go through: to any broker, for all know the same.
#[derive(Default)]
pub(super) struct Questions {
    connection: Option<(Address, Connection)>,
    /// Brokers tried so far, so that each gets its turn.
    tried: usize,
}

/// Asks one broker about `topics`, takes the answer in, and tells of what it means. `anew` asks another broker than
/// the last time. A failure is reported.
pub(super) async fn ask(
    shared: &Shared,
    topics: &[Arc<str>],
    anew: bool,
) -> Result<MetadataResponse, ConnectionError> {
    let answer = {
        let mut questions = shared.questions.lock().await;
        if anew {
            questions.connection = None;
        }
        questions.ask(shared, topics).await
    };
    match answer {
        Ok(answer) => {
            learn(shared, &answer);
            Ok(answer)
        }
        Err((address, error)) => {
            shared.report_connection(&address, &error);
            Err(error)
        }
    }
}

fn learn(shared: &Shared, answer: &MetadataResponse) {
    let learned = shared.assignment().learn(answer);
    shared.works();
    for (code, text) in &learned.problems {
        shared.report(*code, text);
    }
    for trouble in learned.troubles {
        shared.hand_over(Fetched::Trouble(trouble));
    }
    shared.notify();
}

impl Questions {
    async fn ask(
        &mut self,
        shared: &Shared,
        topics: &[Arc<str>],
    ) -> Result<MetadataResponse, (Address, ConnectionError)> {
        let standing = self.connection.take();
        let standing = standing.filter(|(_, connection)| !connection.is_expired(Instant::now()));
        let (address, mut connection) = if let Some(standing) = standing {
            standing
        } else {
            let address = self.next_broker(shared);
            match Connection::open(&shared.access, &address).await {
                Ok(connection) => (address, connection),
                Err(error) => return Err((address, error)),
            }
        };
        match connection.ask(&request(topics), PATIENCE).await {
            Ok(answer) => {
                self.connection = Some((address, connection));
                Ok(answer)
            }
            Err(error) => Err((address, error)),
        }
    }

    /// The brokers that were learned, and those that the manifest names, in turn.
    fn next_broker(&mut self, shared: &Shared) -> Address {
        let mut brokers: Vec<Address> = shared.assignment().brokers().cloned().collect();
        brokers.extend_from_slice(&shared.access.bootstrap);
        self.tried += 1;
        brokers.swap_remove(self.tried % brokers.len())
    }
}

/// Asks about `topics`, and creates none of them.
fn request(topics: &[Arc<str>]) -> MetadataRequest {
    let topic = |name: &Arc<str>| {
        let name = TopicName(StrBytes::from_string(name.to_string()));
        MetadataRequestTopic::default().with_name(Some(name))
    };
    MetadataRequest::default()
        .with_topics(Some(topics.iter().map(topic).collect()))
        .with_allow_auto_topic_creation(false)
}
