//! What writing a record costs: `write_cost HOST:PORT TOPIC PARTITIONS RECORDS [plain]` writes records like the
//! generator's, in transactions of 250 ms, and prints records a second and this process's CPU time a record.

use std::time::{Duration, Instant};

use api::{Kafka, Security, SecurityProtocol};
use kafka::admin::{TopicPlan, ensure_topics};
use kafka::broker::Access;
use kafka::formats::partitioner::partition_for;
use kafka::formats::sequence::{HEADER, RecordSequence};
use kafka::group::Membership;
use kafka::health::ErrorReporter;
use kafka::produce::{self, Offer, Offsets, Record, Settings, Transactions};
use rdkafka::ClientConfig;
use runtime::secrets::Secrets;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PATIENCE: Duration = Duration::from_secs(30);
const COMMIT: i64 = 250_000;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bootstrap, topic, partitions, records, rest @ ..] = arguments.as_slice() else {
        return Err("write_cost HOST:PORT TOPIC PARTITIONS RECORDS [plain]".into());
    };
    let (records, in_transactions) = (records.parse()?, rest.is_empty());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    let plan = |name: &str, partitions| TopicPlan {
        name: name.to_owned(),
        partitions,
        replication_factor: 1,
        config: std::collections::BTreeMap::new(),
    };
    let shards = format!("{topic}.shards");
    ensure_topics(
        &config,
        &[plan(topic, partitions.parse()?), plan(&shards, 64)],
        PATIENCE,
    )
    .await?;
    let spec = Kafka {
        bootstrap_servers: vec![bootstrap.clone()],
        security: Security {
            protocol: SecurityProtocol::Plaintext,
            sasl: None,
            ca: None,
            certificate: None,
        },
    };
    let access = Access::new(&spec, &Secrets::new(None, |_| None), "write-cost")?;
    let group = format!("{topic}-group");
    let settings = Settings {
        topic: topic.clone(),
        transactions: in_transactions.then(|| Transactions {
            id: topic.clone(),
            group: group.clone(),
            timeout: Duration::from_secs(10),
        }),
        linger: Duration::from_millis(5),
        budget: 16 * 1024 * 1024,
    };
    let (producer, driver) = produce::open(access, settings, ErrorReporter::new("write-cost"));
    let driver = tokio::spawn(driver.run());
    tokio::task::spawn_blocking(move || write(producer, records, in_transactions, &group, &shards)).await??;
    driver.await?;
    Ok(())
}

fn write(
    mut producer: produce::Producer,
    records: u64,
    in_transactions: bool,
    group: &str,
    shards: &str,
) -> Result<(), Failure> {
    producer.start(PATIENCE)?;
    let (begun, cpu) = (Instant::now(), cpu_seconds()?);
    let begun_at = jiff::Timestamp::now().as_microsecond();
    let (mut committed, mut full, mut commits) = (0, 0_u64, 0_u64);
    let mut waited = Duration::ZERO;
    let value = r#"{"user_id":123456,"track_id":"0123456789abcdefghijkl","event_timestamp":"2026-11-21T00:00:00.000000Z","e":"#;
    let mut text = value.as_bytes().to_vec();
    let mut next = 0;
    while next < records {
        let now = begun_at + begun.elapsed().as_micros() as i64;
        producer.tick(now)?;
        if in_transactions && now - committed >= COMMIT && !producer.is_committing()? {
            producer.commit(Some(offsets(group, shards, next)));
            (committed, commits) = (now, commits + 1);
        }
        for _ in 0..4_096 {
            let mut buffer = [0; 20];
            let key = digits(&mut buffer, next.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 10_000);
            text.truncate(value.len());
            text.extend_from_slice(key);
            let sequence = RecordSequence {
                run: 1,
                shard: 2,
                number: next,
            };
            let record = Record {
                key: Some(key),
                value: Some(&text),
                headers: &[(HEADER, &sequence.encode())],
            };
            if producer.write(partition_for(key, producer.partitions()), &record) == Offer::Full {
                full += 1;
                let pause = Instant::now();
                std::thread::sleep(Duration::from_millis(1));
                waited += pause.elapsed();
                break;
            }
            next += 1;
            if next == records {
                break;
            }
        }
    }
    if in_transactions {
        producer.wait(PATIENCE)?;
        producer.commit(Some(offsets(group, shards, next)));
        producer.wait(PATIENCE)?;
    } else {
        producer.flush(PATIENCE)?;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let cpu = cpu_seconds()? - cpu;
    println!(
        "{:.0} records/s, {:.3} CPU-us a record; full {full} times, waited {waited:?}, {commits} commits",
        records as f64 / elapsed,
        cpu * 1e6 / records as f64
    );
    Ok(())
}

fn offsets(group: &str, topic: &str, offset: u64) -> Offsets {
    Offsets {
        member: Membership {
            group: group.to_owned(),
            member_id: String::new(),
            generation: -1,
            instance_id: None,
        },
        topic: topic.to_owned(),
        offsets: (0..64)
            .map(|shard| {
                (
                    shard,
                    offset as i64,
                    "a checkpoint of about so many bytes".repeat(4),
                )
            })
            .collect(),
    }
}

fn digits(buffer: &mut [u8; 20], mut number: u64) -> &[u8] {
    let mut from = buffer.len();
    for place in buffer.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        from -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    buffer.get(from..).unwrap_or_default()
}

/// User and system time of this process.
fn cpu_seconds() -> Result<f64, Failure> {
    let usage = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = usage.rsplit_once(')').ok_or("no process name")?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let (Some(user), Some(system)) = (ticks.next(), ticks.next()) else {
        return Err("no times".into());
    };
    // Ticks are hundredths of a second on every Linux of today.
    Ok((user? + system?) / 100.0)
}
