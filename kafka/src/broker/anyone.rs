//! Questions that any broker can answer.

use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::access::{Access, Address};
use super::connection::{Connection, ConnectionError};
use super::wire::Api;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connection that such questions go through.
#[derive(Default)]
pub(crate) struct Anyone {
    connection: Option<(Address, Connection)>,
    /// Brokers tried so far, so that each gets its turn.
    tried: usize,
}

impl Anyone {
    /// Asks the broker that was asked last, or else the next one of those that were `learned` and those that the
    /// manifest names. After a failure, of which no connection is left, the next question goes to another.
    pub(crate) async fn ask<A: Api>(
        &mut self,
        access: &Access,
        learned: impl FnOnce() -> Vec<Address>,
        request: &A,
        newest: i16,
    ) -> Result<A::Answer, (Address, ConnectionError)> {
        let standing = self.connection.take();
        let standing = standing.filter(|(_, connection)| !connection.is_expired(Instant::now()));
        let (address, mut connection) = if let Some(standing) = standing {
            standing
        } else {
            let address = self.next_broker(access, learned());
            match Connection::open(access, &address).await {
                Ok(connection) => (address, connection),
                Err(error) => return Err((address, error)),
            }
        };
        match connection.ask_at_most(request, newest, PATIENCE).await {
            Ok(answer) => {
                self.connection = Some((address, connection));
                Ok(answer)
            }
            Err(error) => Err((address, error)),
        }
    }

    /// The next question goes to another broker.
    pub(crate) fn forget(&mut self) {
        self.connection = None;
    }

    fn next_broker(&mut self, access: &Access, mut brokers: Vec<Address>) -> Address {
        brokers.extend_from_slice(&access.bootstrap);
        self.tried += 1;
        brokers.swap_remove(self.tried % brokers.len())
    }
}

/// Asks about `topics`, and creates none of them.
pub(crate) fn about_topics<'a>(topics: impl IntoIterator<Item = &'a str>) -> MetadataRequest {
    let topic = |name: &str| {
        let name = TopicName(StrBytes::from_string(name.to_owned()));
        MetadataRequestTopic::default().with_name(Some(name))
    };
    MetadataRequest::default()
        .with_topics(Some(topics.into_iter().map(topic).collect()))
        .with_allow_auto_topic_creation(false)
}
