//! What reading a record costs this process: through `kafka::fetch`, and through librdkafka. Runs a broker of its own.
//!
//! ```text
//! cargo run --release -p kafka --example read_cost [records]
//! ```

use std::time::{Duration, Instant};

use api::{Kafka as KafkaSpec, Partition, Security, SecurityProtocol};
use kafka::admin::{TopicPlan, ensure_topics};
use kafka::broker::Access;
use kafka::fetch::{self, Fetched, Scratch};
use kafka::formats::sequence::{HEADER, RecordSequence};
use kafka::health::ErrorReporter;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use runtime::secrets::Secrets;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error>;

const TOPIC: &str = "read-cost";
const PARTITIONS: i32 = 8;
const TIMEOUT: Duration = Duration::from_mins(1);

/// As much as the worker takes for its records.
const BUDGET: usize = 40 * 1024 * 1024;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let records = std::env::args()
        .nth(1)
        .map_or(Ok(3_000_000), |text| text.parse())?;
    let broker = testbed::Kafka::builder()
        .heap("512m")
        .jvm_option("-XX:TieredStopAtLevel=4")
        .start()
        .await?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap());
    let plan = TopicPlan {
        name: TOPIC.to_owned(),
        partitions: PARTITIONS,
        replication_factor: 1,
        config: std::collections::BTreeMap::new(),
    };
    ensure_topics(&config, &[plan], TIMEOUT).await?;
    preload(&config, records)?;
    for _ in 0..3 {
        measure(
            "kafka::fetch",
            records,
            through_fetch(&broker.bootstrap(), records),
        )
        .await?;
        measure("librdkafka", records, async {
            through_librdkafka(&config, records)
        })
        .await?;
    }
    Ok(())
}

async fn measure(
    name: &str,
    records: u64,
    reading: impl Future<Output = Result<u64, Failure>>,
) -> Result<(), Failure> {
    let (begun, before) = (Instant::now(), cpu_seconds()?);
    let bytes = reading.await?;
    let (elapsed, used) = (begun.elapsed().as_secs_f64(), cpu_seconds()? - before);
    println!(
        "{name:>12}: {:.3} us of CPU a record, {:.2} million records a second, {bytes} bytes",
        used * 1e6 / records as f64,
        records as f64 / elapsed / 1e6,
    );
    Ok(())
}

fn preload(config: &ClientConfig, records: u64) -> Result<(), Failure> {
    let producer: BaseProducer = config
        .clone()
        .set("compression.type", "lz4")
        .set("linger.ms", "50")
        .set("batch.size", "262144")
        .set("queue.buffering.max.messages", "200000")
        .create()?;
    for number in 0..records {
        let value = format!(
            r#"{{"event":{number},"user":{},"track":{},"ms":{},"at":"2026-11-21T09:{:02}:{:02}Z"}}"#,
            number * 7919 % 100_003,
            number * 104_729 % 50_021,
            number * 31 % 300_000,
            number / 60 % 60,
            number % 60,
        );
        let key = (number % 100_003).to_string();
        let sequence = RecordSequence {
            run: 1,
            shard: 2,
            number,
        }
        .encode();
        let header = Header {
            key: HEADER,
            value: Some(&sequence),
        };
        let mut record = BaseRecord::to(TOPIC)
            .partition((number % PARTITIONS as u64) as i32)
            .key(&key)
            .payload(&value)
            .headers(OwnedHeaders::new().insert(header));
        while let Err((_, back)) = producer.send(record) {
            record = back;
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(TIMEOUT)?;
    Ok(())
}

/// Bytes of keys, values and the header: what a reader has to look at.
async fn through_fetch(bootstrap: &str, records: u64) -> Result<u64, Failure> {
    let spec = KafkaSpec {
        bootstrap_servers: vec![bootstrap.to_owned()],
        security: Security {
            protocol: SecurityProtocol::Plaintext,
            sasl: None,
            ca: None,
            certificate: None,
        },
    };
    let access = Access::new(&spec, &Secrets::new(None, |_| None), "read-cost")?;
    let reporter = ErrorReporter::new("read-cost");
    let (fetcher, mut chunks, driver) = fetch::open(access, BUDGET, reporter);
    let stop = CancellationToken::new();
    let driver = tokio::spawn(driver.run(stop.clone()));
    for number in 0..PARTITIONS {
        let topic = TOPIC.into();
        let _ = fetcher.set(Partition { topic, number }, 0);
    }
    let mut scratch = Scratch::default();
    let (mut seen, mut bytes) = (0, 0);
    while seen < records {
        let Some(Fetched::Chunk(chunk)) = chunks.recv().await else {
            return Err("something is wrong".into());
        };
        for batch in chunk.batches() {
            for record in batch?.records(&mut scratch)? {
                let record = record?;
                seen += 1;
                let sequence = record.header(HEADER.as_bytes())?.unwrap_or_default();
                bytes += count(record.key, record.value, RecordSequence::decode(sequence)?);
            }
        }
    }
    stop.cancel();
    driver.await?;
    Ok(bytes)
}

fn through_librdkafka(config: &ClientConfig, records: u64) -> Result<u64, Failure> {
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", "read-cost")
        .set("enable.auto.commit", "false")
        .create()?;
    let mut list = TopicPartitionList::new();
    for number in 0..PARTITIONS {
        list.add_partition_offset(TOPIC, number, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut seen, mut bytes) = (0, 0);
    while seen < records {
        let Some(message) = consumer.poll(TIMEOUT) else {
            return Err("nothing comes".into());
        };
        let message = message?;
        seen += 1;
        let headers = message.headers().ok_or("a record has no header")?;
        let header = headers.iter().find(|header| header.key == HEADER);
        let sequence = header.and_then(|header| header.value).unwrap_or_default();
        bytes += count(
            message.key(),
            message.payload(),
            RecordSequence::decode(sequence)?,
        );
    }
    Ok(bytes)
}

fn count(key: Option<&[u8]>, value: Option<&[u8]>, sequence: RecordSequence) -> u64 {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, |bytes| bytes.len() as u64);
    length(key) + length(value) + u64::from(sequence.run == 1) * 18
}

/// User and system time of this process.
fn cpu_seconds() -> Result<f64, Failure> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Result<Vec<f64>, _> = ticks.map(str::parse).collect();
    // A hundred ticks a second on every Linux that there is.
    Ok(ticks?.iter().sum::<f64>() / 100.0)
}
