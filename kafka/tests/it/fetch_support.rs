//! What the tests of reading share: records to write, and a reader for them.

use api::{Kafka as KafkaSpec, Partition, Security, SecurityProtocol};
use kafka::admin::{TopicPlan, ensure_topics};
use kafka::broker::Access;
use kafka::fetch::{self, Chunk, Chunks, Fetched, Fetcher, PartitionError, Scratch};
use kafka::formats::sequence::{HEADER, RecordSequence};
use kafka::health::{ErrorReporter, KafkaHealth};
use kafka::issue::Issue;
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use runtime::secrets::Secrets;
use testbed::eventually;
use tokio_util::sync::CancellationToken;

use crate::{TIMEOUT, plan};

const MIB: usize = 1024 * 1024;

/// A record as the tests compare it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Got {
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: String,
    pub(crate) sequence: Option<RecordSequence>,
}

/// A fetcher whose work runs until it is dropped.
pub(crate) struct Reader {
    pub(crate) fetcher: Fetcher,
    pub(crate) chunks: Chunks,
    pub(crate) reporter: ErrorReporter,
    stop: CancellationToken,
}

impl Reader {
    pub(crate) fn plain(bootstrap: &str) -> Self {
        Self::open(&plaintext(bootstrap), &Secrets::new(None, |_| None), 16 * MIB)
    }

    pub(crate) fn open(spec: &KafkaSpec, secrets: &Secrets, budget: usize) -> Self {
        let access = Access::new(spec, secrets, "fetch-test").unwrap();
        let reporter = ErrorReporter::new("fetch-test");
        let (fetcher, chunks, driver) = fetch::open(access, budget, reporter.clone());
        let stop = CancellationToken::new();
        tokio::spawn(driver.run(stop.clone()));
        Self {
            fetcher,
            chunks,
            reporter,
            stop,
        }
    }

    pub(crate) async fn next(&mut self) -> Fetched {
        tokio::time::timeout(TIMEOUT, self.chunks.recv())
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) async fn chunk(&mut self) -> Chunk {
        match self.next().await {
            Fetched::Chunk(chunk) => chunk,
            Fetched::Error(error) => panic!("{error:?}"),
        }
    }

    pub(crate) async fn error(&mut self) -> PartitionError {
        loop {
            if let Fetched::Error(error) = self.next().await {
                return error;
            }
        }
    }

    /// Waits until something is wrong.
    pub(crate) async fn failure(&self) -> Issue {
        let failure = async || match self.reporter.health() {
            KafkaHealth::Failing(issue) => Ok(issue),
            health => Err(format!("{health:?}")),
        };
        eventually(TIMEOUT, failure).await.unwrap()
    }

    /// Waits until nothing is wrong any more.
    pub(crate) async fn works(&self) {
        let works = async || self.reporter.health() == KafkaHealth::Working;
        eventually(TIMEOUT, works).await.unwrap();
    }

    /// Reads `partition` from `from` until the position is `to`.
    pub(crate) async fn read(&mut self, partition: &Partition, from: i64, to: i64) -> Vec<Got> {
        let generation = self.fetcher.set(partition.clone(), from);
        self.read_on(partition, generation, from, to).await
    }

    pub(crate) async fn read_on(
        &mut self,
        partition: &Partition,
        generation: u64,
        from: i64,
        to: i64,
    ) -> Vec<Got> {
        let mut got = Vec::new();
        let mut position = from;
        while position < to {
            let chunk = self.chunk().await;
            if chunk.partition == *partition && chunk.generation == generation {
                assert_eq!(chunk.start, position, "chunks follow each other");
                position = chunk.next;
                got.extend(records(&chunk));
            }
        }
        got
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn plaintext(bootstrap: &str) -> KafkaSpec {
    KafkaSpec {
        bootstrap_servers: bootstrap.split(',').map(str::to_owned).collect(),
        security: Security {
            protocol: SecurityProtocol::Plaintext,
            sasl: None,
            ca: None,
            certificate: None,
        },
    }
}

pub(crate) fn partition(topic: &str, number: i32) -> Partition {
    Partition {
        topic: topic.into(),
        number,
    }
}

pub(crate) fn records(chunk: &Chunk) -> Vec<Got> {
    let mut scratch = Scratch::default();
    let mut got = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    for batch in chunk.batches() {
        for record in batch.unwrap().records(&mut scratch).unwrap() {
            let record = record.unwrap();
            let sequence = record.header(HEADER.as_bytes()).unwrap();
            got.push(Got {
                offset: record.offset,
                key: record.key.map(text),
                value: text(record.value.unwrap_or_default()),
                sequence: sequence.map(|bytes| RecordSequence::decode(bytes).unwrap()),
            });
        }
    }
    got
}

pub(crate) fn offsets(got: &[Got]) -> Vec<i64> {
    got.iter().map(|got| got.offset).collect()
}

pub(crate) fn number(number: u64) -> RecordSequence {
    RecordSequence {
        run: 7,
        shard: 3,
        number,
    }
}

/// Writes records `from..to` to a partition and waits until all are acknowledged.
pub(crate) fn produce(config: &ClientConfig, partition: &Partition, numbers: std::ops::Range<u64>) {
    let producer: BaseProducer = config.clone().set("linger.ms", "20").create().unwrap();
    for i in numbers {
        send(&producer, partition, i);
    }
    producer.flush(TIMEOUT).unwrap();
}

pub(crate) fn send(producer: &BaseProducer, partition: &Partition, i: u64) {
    let encoded = number(i).encode();
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "trace",
            value: Some("abc"),
        })
        .insert(Header {
            key: HEADER,
            value: Some(&encoded),
        });
    let (key, value) = (format!("key-{i}"), value(i));
    let record = BaseRecord::to(&partition.topic)
        .partition(partition.number)
        .key(&key)
        .payload(&value)
        .headers(headers);
    producer.send(record).unwrap();
}

pub(crate) fn value(i: u64) -> String {
    format!(r#"{{"number":{i},"text":"the same in every record, so that it compresses"}}"#)
}

/// What records `from..to` read as, when the first has `offset`.
pub(crate) fn expected(numbers: std::ops::Range<u64>, offset: i64) -> Vec<Got> {
    numbers
        .zip(offset..)
        .map(|(i, offset)| Got {
            offset,
            key: Some(format!("key-{i}")),
            value: value(i),
            sequence: Some(number(i)),
        })
        .collect()
}

pub(crate) async fn topic(config: &ClientConfig, name: &str, settings: &[(&str, &str)]) {
    let settings = settings
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let plan = TopicPlan {
        config: settings.collect(),
        ..plan(name, 2)
    };
    ensure_topics(config, &[plan], TIMEOUT).await.unwrap();
}

pub(crate) fn admin(config: &ClientConfig) -> AdminClient<DefaultClientContext> {
    config.create().unwrap()
}
