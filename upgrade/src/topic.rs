//! A topic's records as lines of JSON, and the same records at the same offsets again.

use std::collections::BTreeMap;
use std::path::Path;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use crate::PATIENCE;
pub use crate::bytes::Bytes;

/// A record where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Record {
    /// Partition of its topic.
    pub partition: i32,
    /// Place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970, as its producer wrote them.
    pub timestamp: i64,
    /// Absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Bytes>,
    /// Absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Bytes>,
    /// In their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Bytes)>,
}

impl Record {
    /// The value of the first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let header = self.headers.iter().find(|header| header.0 == name);
        header.map(|(_, value)| value.0.as_slice())
    }
}

/// A topic with what can be read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// The offset behind the last one of each partition.
    pub ends: Vec<i64>,
    /// By partition and offset.
    pub records: Vec<Record>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    topic: String,
    ends: Vec<i64>,
}

/// Records that nobody may lose, however old they are, or however far ahead the clock was that stamped them.
const CONFIG: [(&str, &str); 2] = [
    ("retention.ms", "-1"),
    ("message.timestamp.after.max.ms", "9223372036854775807"),
];

/// Bytes of a record that brokers refuse and clients do not.
const TOO_LARGE: usize = 1_500_000;

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// Makes an empty topic.
pub async fn create(bootstrap: &str, name: &str, partitions: usize) {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create().unwrap();
    let mut topic = NewTopic::new(
        name,
        i32::try_from(partitions).unwrap(),
        TopicReplication::Fixed(1),
    );
    for (key, value) in CONFIG {
        topic = topic.set(key, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    for made in admin.create_topics([&topic], &options).await.unwrap() {
        made.unwrap();
    }
}

/// Sends records as they are, outside of transactions; offsets are not looked at.
pub fn send(bootstrap: &str, topic: &str, records: &[Record]) {
    let producer: ThreadedProducer<DefaultProducerContext> = config(bootstrap).create().unwrap();
    for record in records {
        put(&producer, topic, record);
    }
    producer.flush(PATIENCE).unwrap();
}

fn transactional(bootstrap: &str, id: &str) -> ThreadedProducer<DefaultProducerContext> {
    let producer: ThreadedProducer<DefaultProducerContext> = config(bootstrap)
        .set("transactional.id", id)
        .set("message.max.bytes", (2 * TOO_LARGE).to_string())
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

fn put(producer: &ThreadedProducer<DefaultProducerContext>, topic: &str, record: &Record) {
    let mut headers = OwnedHeaders::new();
    for (key, Bytes(value)) in &record.headers {
        headers = headers.insert(Header {
            key,
            value: Some(value),
        });
    }
    let mut message = BaseRecord::<[u8], [u8]>::to(topic)
        .partition(record.partition)
        .timestamp(record.timestamp);
    if !record.headers.is_empty() {
        message = message.headers(headers);
    }
    message.key = record.key.as_ref().map(|Bytes(key)| key.as_slice());
    message.payload = record.value.as_ref().map(|Bytes(value)| value.as_slice());
    producer.send(message).map_err(|(error, _)| error).unwrap();
}

/// What follows on the other in a partition.
enum Step<'a> {
    /// Records of one transaction; its marker takes the offset behind them.
    Committed(&'a [Record]),
    /// So many offsets that hold nothing to read: an aborted transaction.
    Nothing(i64),
    /// Records at the end of the partition that belong to no transaction.
    Plain(&'a [Record]),
}

impl Topic {
    /// Reads all committed records.
    #[must_use]
    pub fn read(bootstrap: &str, name: &str) -> Self {
        let consumer: BaseConsumer = config(bootstrap)
            .set("group.id", "upgrade-reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .create()
            .unwrap();
        let metadata = consumer.fetch_metadata(Some(name), PATIENCE).unwrap();
        let partitions = i32::try_from(metadata.topics()[0].partitions().len()).unwrap();
        let mut assignment = TopicPartitionList::new();
        let mut ends = Vec::new();
        for partition in 0..partitions {
            let (_, end) = consumer.fetch_watermarks(name, partition, PATIENCE).unwrap();
            ends.push(end);
            assignment
                .add_partition_offset(name, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&assignment).unwrap();
        let mut records = Vec::new();
        let mut ended = 0;
        while ended < partitions {
            match consumer.poll(PATIENCE).expect("a record or an end") {
                Ok(message) => records.push(record(&message)),
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("{name}: {error}"),
            }
        }
        records.sort_unstable();
        Self {
            name: name.to_owned(),
            ends,
            records,
        }
    }

    /// The records of one partition.
    #[must_use]
    pub fn partition(&self, partition: i32) -> &[Record] {
        let from = self
            .records
            .partition_point(|record| record.partition < partition);
        let to = self
            .records
            .partition_point(|record| record.partition <= partition);
        &self.records[from..to]
    }

    /// Makes the topic anew, with every record at its offset.
    pub async fn restore(&self, bootstrap: &str) {
        create(bootstrap, &self.name, self.ends.len()).await;
        let steps: Vec<Vec<Step<'_>>> = (0..)
            .zip(&self.ends)
            .map(|(number, end)| steps(self.partition(number), *end))
            .collect();
        let rounds = steps.iter().map(Vec::len).max().unwrap_or(0);
        let producer = transactional(bootstrap, &format!("restore-{}", self.name));
        for round in 0..rounds {
            let now = || {
                (0..)
                    .zip(&steps)
                    .filter_map(|(number, steps)| Some((number, steps.get(round)?)))
            };
            let committed = now().filter_map(|(_, step)| match step {
                Step::Committed(records) => Some(*records),
                _ => None,
            });
            let mut committed = committed.flatten().peekable();
            if committed.peek().is_some() {
                producer.begin_transaction().unwrap();
                committed.for_each(|record| put(&producer, &self.name, record));
                producer.commit_transaction(PATIENCE).unwrap();
            }
            for (partition, step) in now() {
                match step {
                    Step::Nothing(offsets) => self.skip(bootstrap, partition, *offsets),
                    Step::Plain(records) => send(bootstrap, &self.name, records),
                    Step::Committed(_) => {}
                }
            }
        }
        assert_eq!(
            *self,
            Self::read(bootstrap, &self.name),
            "{} is not as it was",
            self.name
        );
    }

    /// Takes offsets by an aborted transaction: by all of its records and its marker, or by its marker alone, where the broker
    /// has refused its only record.
    fn skip(&self, bootstrap: &str, partition: i32, offsets: i64) {
        // Of its own: after a refused record a producer counts wrong.
        let producer = transactional(bootstrap, &format!("skip-{}-{partition}", self.name));
        let refused = (offsets == 1).then(|| Bytes(vec![0; TOO_LARGE]));
        producer.begin_transaction().unwrap();
        for offset in 1..offsets.max(2) {
            let filler = Record {
                partition,
                offset,
                timestamp: 0,
                key: None,
                value: refused.clone(),
                headers: Vec::new(),
            };
            put(&producer, &self.name, &filler);
        }
        producer.flush(PATIENCE).unwrap();
        producer.abort_transaction(PATIENCE).unwrap();
    }

    /// Writes the topic as a file: what it is, then a record a line.
    pub fn save(&self, path: &Path) {
        let head = Head {
            topic: self.name.clone(),
            ends: self.ends.clone(),
        };
        let mut text = serde_json::to_string(&head).unwrap();
        for record in &self.records {
            text.push('\n');
            text.push_str(&serde_json::to_string(record).unwrap());
        }
        text.push('\n');
        std::fs::write(path, text).unwrap();
    }

    /// Reads what [`save`](Self::save) wrote.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut lines = text.lines();
        let Head { topic, ends } = serde_json::from_str(lines.next().unwrap()).unwrap();
        Self {
            name: topic,
            ends,
            records: lines.map(|line| serde_json::from_str(line).unwrap()).collect(),
        }
    }
}

fn record(message: &rdkafka::message::BorrowedMessage<'_>) -> Record {
    let bytes = |bytes: &[u8]| Bytes(bytes.to_vec());
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap(),
        key: message.key().map(bytes),
        value: message.payload().map(bytes),
        headers: headers
            .map(|header| (header.key.to_owned(), bytes(header.value.unwrap_or_default())))
            .collect(),
    }
}

/// By which a partition comes to have these records at their offsets, and this end.
fn steps(records: &[Record], end: i64) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let (mut begin, mut next) = (0, 0);
    let offsets = records.iter().map(|record| record.offset).chain([end]);
    for (index, offset) in offsets.enumerate() {
        let mut missing = offset - next;
        if missing > 0 && begin < index {
            steps.push(Step::Committed(&records[begin..index]));
            begin = index;
            missing -= 1;
        }
        if missing > 0 {
            steps.push(Step::Nothing(missing));
        }
        next = offset + 1;
    }
    if begin < records.len() {
        steps.push(Step::Plain(&records[begin..]));
    }
    steps
}

/// The numbers that the generator gave the records, by run and shard, in the order of the partition: run and shard are the first
/// ten bytes of the header `sp`, the number the last eight.
#[must_use]
pub fn numbers(records: &[Record]) -> BTreeMap<Vec<u8>, Vec<u64>> {
    let mut numbers: BTreeMap<Vec<u8>, Vec<u64>> = BTreeMap::new();
    for sequence in records.iter().filter_map(|record| record.header("sp")) {
        let (place, number) = sequence.split_at(10);
        let number = u64::from_be_bytes(number.try_into().unwrap());
        numbers.entry(place.to_vec()).or_default().push(number);
    }
    numbers
}
