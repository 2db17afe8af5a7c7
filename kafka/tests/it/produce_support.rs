//! What the tests of writing share: a producer whose work runs, records that are numbered, and another's eyes to see
//! what has arrived.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use api::Kafka as KafkaSpec;
use kafka::admin::{TopicPlan, ensure_topics};
use kafka::broker::Access;
use kafka::formats::sequence::{HEADER, RecordSequence};
use kafka::group::Membership;
use kafka::health::ErrorReporter;
use kafka::produce::{self, Offer, Offsets, ProduceError, Producer, Record, Settings, Transactions};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use runtime::secrets::Secrets;

use crate::fetch_support::{number, plaintext, value};
use crate::{TIMEOUT, config, plan};

const MIB: usize = 1024 * 1024;

/// No transaction is open for longer, and no commit is waited for.
const TRANSACTION: Duration = Duration::from_secs(10);

/// A producer whose work runs until it is dropped. Its methods block.
pub(crate) struct Writer {
    pub(crate) producer: Producer,
    pub(crate) reporter: ErrorReporter,
    topic: String,
    begun: Instant,
    begun_at: i64,
}

/// A record as librdkafka's consumer sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) sequence: RecordSequence,
    pub(crate) timestamp: i64,
}

/// Starts that may fail one after the other, each after `TIMEOUT`.
const MOST_STARTS: u32 = 5;

impl Writer {
    /// Writes in transactions under `id`, if there is one.
    pub(crate) fn plain(bootstrap: &str, topic: &str, id: Option<&str>) -> Self {
        Self::open(&plaintext(bootstrap), &Secrets::new(None, |_| None), topic, id)
    }

    pub(crate) fn open(spec: &KafkaSpec, secrets: &Secrets, topic: &str, id: Option<&str>) -> Self {
        let access = Access::new(spec, secrets, "produce-test").unwrap();
        let reporter = ErrorReporter::new("produce-test");
        let settings = Settings {
            topic: topic.to_owned(),
            transactions: id.map(|id| Transactions {
                id: id.to_owned(),
                group: group(topic),
                timeout: TRANSACTION,
            }),
            linger: Duration::from_millis(5),
            budget: 4 * MIB,
        };
        let (producer, driver) = produce::open(access, settings, reporter.clone());
        tokio::spawn(driver.run());
        Self {
            producer,
            reporter,
            topic: topic.to_owned(),
            begun: Instant::now(),
            begun_at: jiff::Timestamp::now().as_microsecond(),
        }
    }

    pub(crate) fn start(&mut self) -> Result<(), ProduceError> {
        self.producer.start(TIMEOUT)
    }

    /// Microseconds since 1970. Retention takes records away that are too old.
    pub(crate) fn now(&self) -> i64 {
        self.begun_at + self.begun.elapsed().as_micros() as i64
    }

    /// Writes the records of these numbers, round the partitions; waits while there is no room.
    pub(crate) fn write(&mut self, numbers: Range<u64>) -> Result<(), ProduceError> {
        for i in numbers {
            let (key, text, sequence) = (format!("key-{i}"), value(i), number(i).encode());
            let record = Record {
                key: Some(key.as_bytes()),
                value: Some(text.as_bytes()),
                headers: &[("trace", b"abc".as_slice()), (HEADER, &sequence)],
            };
            let partition = (i % self.producer.partitions() as u64) as i32;
            if i % 100 == 0 {
                self.producer.tick(self.now())?;
            }
            let begun = Instant::now();
            while self.producer.write(partition, &record) == Offer::Full {
                self.producer.tick(self.now())?;
                if begun.elapsed() > TRANSACTION {
                    self.producer.wait(Duration::ZERO)?;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.producer.tick(self.now())
    }

    /// Asks for a commit that says that `next` is the next number.
    pub(crate) fn commit(&mut self, next: u64) {
        let offsets = self.offsets(next);
        self.producer.commit(Some(offsets));
    }

    pub(crate) fn commit_and_wait(&mut self, next: u64) -> Result<(), ProduceError> {
        self.commit(next);
        self.producer.wait(TIMEOUT)
    }

    fn offsets(&self, next: u64) -> Offsets {
        Offsets {
            member: Membership {
                group: group(&self.topic),
                // An administrator's commit: of nobody in particular.
                member_id: String::new(),
                generation: -1,
                instance_id: None,
            },
            topic: self.topic.clone(),
            offsets: vec![(0, next as i64, format!("next is {next}"))],
        }
    }

    /// Writes records, each number exactly once, whatever happens meanwhile, until there are `least` and `stop` is set:
    /// after a failure it goes on where the committed offset says. The next transaction is begun while one is being
    /// committed. Gives how many there are.
    pub(crate) fn write_on(&mut self, bootstrap: &str, least: u64, stop: &AtomicBool) -> u64 {
        loop {
            self.start_again();
            match self.attempt(bootstrap, least, stop) {
                Ok(count) => return count,
                Err(error) => assert!(!error.is_lasting(), "{error}"),
            }
        }
    }

    /// Begins anew. Brokers of a test that has failed do not come back: then it ends as well.
    fn start_again(&mut self) {
        let mut failures = 0;
        while let Err(error) = self.start() {
            failures += 1;
            assert!(!error.is_lasting() && failures < MOST_STARTS, "{error}");
        }
    }

    fn attempt(&mut self, bootstrap: &str, least: u64, stop: &AtomicBool) -> Result<u64, ProduceError> {
        let mut next = committed(bootstrap, &self.topic).unwrap_or(0);
        let mut asked = Instant::now();
        while next < least || !stop.load(Ordering::Relaxed) {
            self.write(next..next + 200)?;
            next += 200;
            if !self.producer.is_committing()? {
                self.commit(next);
                asked = Instant::now();
            } else if asked.elapsed() > TRANSACTION {
                self.producer.wait(Duration::ZERO)?;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.producer.wait(TRANSACTION)?;
        self.commit_and_wait(next)?;
        // A commit is decided before every partition knows of it; a new beginning waits for that.
        self.start()?;
        Ok(next)
    }
}

fn group(topic: &str) -> String {
    format!("{topic}.group")
}

/// The next number, as the last commit says, once no open transaction may change it any more.
pub(crate) fn committed(bootstrap: &str, topic: &str) -> Option<u64> {
    let consumer: BaseConsumer = config(bootstrap.to_owned())
        .set("group.id", group(topic))
        .create()
        .unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    let begun = Instant::now();
    while begun.elapsed() < 2 * TIMEOUT {
        let answer = consumer.committed_offsets(asked.clone(), Duration::from_secs(1));
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                println!("{topic}: {error}");
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let element = &answer.elements()[0];
        return match element.offset() {
            Offset::Offset(offset) => {
                assert_eq!(element.metadata(), format!("next is {offset}"));
                Some(offset as u64)
            }
            _ => None,
        };
    }
    panic!("the committed offset of {topic} cannot be read");
}

/// All committed records of the topic, in the order of each partition.
pub(crate) fn seen(bootstrap: &str, topic: &str) -> Vec<Seen> {
    let consumer: BaseConsumer = config(bootstrap.to_owned())
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).unwrap();
    let partitions = metadata.topics()[0].partitions().len();
    let mut assignment = TopicPartitionList::new();
    for partition in 0..partitions as i32 {
        assignment
            .add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let (mut seen, mut ended) = (Vec::new(), 0);
    while ended < partitions {
        match consumer.poll(TIMEOUT).expect("a record or an end") {
            Ok(message) => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let headers = message.headers().unwrap();
                assert_eq!((headers.count(), headers.get(0).key), (2, "trace"));
                assert_eq!(headers.get(0).value, Some(b"abc".as_slice()));
                seen.push(Seen {
                    partition: message.partition(),
                    key: text(message.key().unwrap()),
                    value: text(message.payload().unwrap()),
                    sequence: RecordSequence::decode(headers.get(1).value.unwrap()).unwrap(),
                    timestamp: message.timestamp().to_millis().unwrap(),
                });
            }
            Err(KafkaError::PartitionEOF(_)) => ended += 1,
            Err(error) => println!("{error}"),
        }
    }
    seen
}

/// The topic holds the records of these numbers and no others, soon: a commit is decided before every partition knows.
pub(crate) fn assert_holds(bootstrap: &str, topic: &str, numbers: Range<u64>, partitions: u64) {
    let begun = Instant::now();
    let mut found = seen(bootstrap, topic);
    while (found.len() as u64) < numbers.end - numbers.start && begun.elapsed() < TRANSACTION {
        found = seen(bootstrap, topic);
    }
    assert_exactly(&found, numbers, partitions);
}

/// The records are those of the numbers, each once, in order within their partitions.
pub(crate) fn assert_exactly(seen: &[Seen], numbers: Range<u64>, partitions: u64) {
    for partition in 0..partitions {
        let here = || seen.iter().filter(|seen| seen.partition as u64 == partition);
        let wanted = || numbers.clone().filter(|i| i % partitions == partition);
        for (seen, i) in here().zip(wanted()) {
            assert_eq!(seen.sequence, number(i), "partition {partition}");
            assert_eq!((&seen.key, &seen.value), (&format!("key-{i}"), &value(i)));
        }
        assert_eq!(here().count(), wanted().count(), "partition {partition}");
    }
    assert_eq!(seen.len() as u64, numbers.end - numbers.start);
}

pub(crate) async fn topic(config: &ClientConfig, name: &str, partitions: i32, replicas: i16) {
    let plan = TopicPlan {
        replication_factor: replicas,
        ..plan(name, partitions)
    };
    ensure_topics(config, &[plan], TIMEOUT).await.unwrap();
}
