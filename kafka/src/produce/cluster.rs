//! Asking the cluster: where the topic is, and who coordinates.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use runtime::backoff::Backoff;

use super::shared::Shared;
use super::state::{Learned, State};
use crate::broker::{Address, Api, Connection};

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the cluster is asked although nothing seems wrong: partitions may have been added.
const REFRESH: Duration = Duration::from_secs(5);

/// After so long without a question the next one need not wait.
const CALM: Duration = Duration::from_secs(10);

/// Between questions while something is wrong.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(50),
    max: Duration::from_secs(1),
};

/// The connection that questions go through that any broker can answer.
#[derive(Default)]
pub(super) struct Anyone {
    connection: Option<(Address, Connection)>,
    /// Brokers tried so far, so that each gets its turn.
    tried: usize,
}

/// Keeps up with where the topic is.
pub(super) async fn follow(shared: Arc<Shared>) {
    let mut anyone = Anyone::default();
    let mut changed = shared.changed.subscribe();
    let mut asked: Option<Instant> = None;
    let mut attempts = 0_u32;
    loop {
        changed.mark_unchanged();
        let (is_idle, is_unsettled) = shared.look(|state| (state.is_idle(), state.is_unsettled()));
        let due = asked.map(|asked| {
            let wait = if is_unsettled {
                BACKOFF.delay(attempts, rand::random())
            } else {
                REFRESH
            };
            asked + wait
        });
        let now = Instant::now();
        if is_idle || due.is_some_and(|due| now < due) {
            let due = due.unwrap_or(now + REFRESH);
            // The sender lives as long as `shared`.
            let _ = tokio::time::timeout_at(due.into(), changed.changed()).await;
            continue;
        }
        let is_repeated = is_unsettled && asked.is_some_and(|asked| now < asked + CALM);
        attempts = if is_repeated {
            attempts.saturating_add(1)
        } else {
            0
        };
        asked = Some(now);
        // A broker that is cut off from the others tells the same for ever.
        if attempts % 4 == 3 {
            anyone.connection = None;
        }
        if let Ok(answer) = anyone
            .ask(&shared, &request(&shared.settings.topic), i16::MAX)
            .await
        {
            let learned = shared.change(|state| state.learn(&shared.settings.topic, &answer));
            match learned {
                Learned::Fine => shared.works(),
                Learned::Problem(code, text) => shared.report(code, &text),
            }
        }
    }
}

impl Anyone {
    /// Asks one broker. A failure is reported, and said in one line; the next question goes to another broker.
    pub(super) async fn ask<A: Api>(
        &mut self,
        shared: &Shared,
        request: &A,
        newest: i16,
    ) -> Result<A::Answer, String> {
        let standing = self.connection.take();
        let standing = standing.filter(|(_, connection)| !connection.is_expired(Instant::now()));
        let (address, mut connection) = if let Some(standing) = standing {
            standing
        } else {
            let address = self.next_broker(shared);
            match Connection::open(&shared.access, &address).await {
                Ok(connection) => (address, connection),
                Err(error) => return Err(shared.report_connection(&address, &error)),
            }
        };
        match connection.ask_at_most(request, newest, PATIENCE).await {
            Ok(answer) => {
                self.connection = Some((address, connection));
                Ok(answer)
            }
            Err(error) => {
                drop(connection);
                Err(shared.report_connection(&address, &error))
            }
        }
    }

    /// The brokers that were learned, and those that the manifest names, in turn.
    fn next_broker(&mut self, shared: &Shared) -> Address {
        let learned = |state: &State| state.brokers().cloned().collect::<Vec<Address>>();
        let mut brokers = shared.look(learned);
        brokers.extend_from_slice(&shared.access.bootstrap);
        self.tried += 1;
        brokers.swap_remove(self.tried % brokers.len())
    }
}

/// Asks about the topic, and does not create it.
fn request(topic: &str) -> MetadataRequest {
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    MetadataRequest::default()
        .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(name))]))
        .with_allow_auto_topic_creation(false)
}
