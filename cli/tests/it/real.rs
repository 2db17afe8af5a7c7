//! The same pipeline against real Kafka and PostgreSQL, with passwords from a secrets folder.

use std::time::Duration;

use crate::support::{MUSIC, Outcome, Place};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testbed::{Kafka, Postgres, eventually};

const MOMENT: Duration = Duration::from_secs(30);

/// A pipeline of its own on the shared servers.
struct Real {
    place: Place,
    name: &'static str,
    bootstrap: String,
    url: String,
}

impl Real {
    async fn new(name: &'static str) -> Self {
        let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
        let url = postgres.create_database(name).await.unwrap();
        let sink = format!(
            "{{postgres: {{host: {}, port: {}, database: {name}, secretRef: {{name: db}}, tls: Disable}}}}",
            postgres.host(),
            postgres.port()
        );
        let manifest = MUSIC
            .replace("kafka:9092", &kafka.bootstrap())
            .replace("{sqlite: {path: music.db}}", &sink)
            .replace("metadata: {name: music}", &format!("metadata: {{name: {name}}}"))
            // A topic of its own, under the name that the queries know.
            .replace("- name: events", &format!("- name: {name}_events"))
            .replace("FROM events", &format!("FROM {name}_events"));
        let place = Place::with(&manifest);
        place.write("secrets/db/username", postgres.user());
        place.write("secrets/db/password", &format!("{}\n", postgres.password()));
        Self {
            place,
            name,
            bootstrap: kafka.bootstrap(),
            url,
        }
    }

    fn run(&self, command: &[&str]) -> Outcome {
        let mut arguments = vec![command[0], "-f", "music.yaml", "--secrets", "secrets"];
        arguments.extend(&command[1..]);
        self.place.run(&arguments)
    }

    fn succeed(&self, command: &[&str]) -> Outcome {
        let outcome = self.run(command);
        assert_eq!(outcome.code, 0, "{command:?}: {outcome}");
        outcome
    }

    /// Runs the pipeline until the generator has produced so many events in all.
    fn up(&self, count: u32) -> Outcome {
        let count = count.to_string();
        self.succeed(&[
            "up", "--kafka", "manifest", "--sink", "manifest", "--count", &count, "--rate", "20000",
        ])
    }

    fn topic(&self) -> String {
        format!("{}_events", self.name)
    }

    fn produce(&self, records: &[(&str, &[u8])]) {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .unwrap();
        for (key, value) in records {
            producer
                .send(
                    BaseRecord::to(&self.topic())
                        .key(*key)
                        .payload(*value)
                        .partition(1),
                )
                .unwrap();
        }
        producer.flush(MOMENT).unwrap();
    }

    async fn ask(&self, sql: &str) -> Vec<String> {
        let mut connection = PgConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut connection)
            .await
            .unwrap()
    }

    fn letters(&self) -> Vec<Value> {
        serde_json::from_str(&self.succeed(&["dead-letters", "list", "--json"]).stdout).unwrap()
    }
}

#[tokio::test]
async fn a_run_goes_on_where_the_last_one_ended() {
    let real = Real::new("continued").await;
    let first = real.up(5_000);
    assert_eq!(
        first.audit(),
        "audit: produced 5000, stored 5000, dead letters 0, unread 0, missing 0, doubled 0"
    );
    assert!(
        first
            .stdout
            .contains("topic continued_events: made with 2 partitions"),
        "{first}"
    );
    let second = real.up(8_000);
    assert_eq!(
        second.audit(),
        "audit: produced 8000, stored 8000, dead letters 0, unread 0, missing 0, doubled 0"
    );
    assert!(
        second.stdout.contains("generator complete: 3000 events"),
        "{second}"
    );
    let rows = "SELECT ((SELECT count(*) FROM plays) + (SELECT count(*) FROM likes))::text";
    assert_eq!(real.ask(rows).await, ["8000"]);

    let audit = real.succeed(&["audit"]);
    assert_eq!(audit.audit(), second.audit());
    let report = real.succeed(&["report", "plays", "--csv"]);
    assert_eq!(
        report.stdout.trim(),
        format!("plays\n{}", real.ask("SELECT count(*)::text FROM plays").await[0])
    );

    // The plan promises the columns that the tables really have.
    let plan = real.place.succeed(&["plan", "-f", "music.yaml"]).stdout;
    let columns = "SELECT column_name || ' ' || replace(data_type, ' without time zone', '') \
                   FROM information_schema.columns WHERE table_name = 'plays_by_genre_hour' ORDER BY ordinal_position";
    for column in real.ask(columns).await {
        let words: Vec<&str> = column.split(' ').collect();
        let promised = plan
            .lines()
            .any(|line| line.split_whitespace().take(2).eq(words.iter().copied()));
        assert!(promised, "{column} in\n{plan}");
    }
}

/// Records that are produced while nothing reads them are unread; what the sink forgets is missing, by its numbers.
#[tokio::test]
async fn the_audit_tells_unread_from_missing() {
    let real = Real::new("tells").await;
    real.up(2_000);
    let generated = real.succeed(&[
        "generate", "--output", "kafka", "--count", "2500", "--rate", "20000",
    ]);
    assert!(generated.stderr.contains("complete: 500 events"), "{generated}");
    let audit = real.succeed(&["audit"]);
    assert_eq!(
        audit.audit(),
        "audit: produced 2500, stored 2000, dead letters 0, unread 500, missing 0, doubled 0"
    );
    real.up(2_500);

    // As if the transaction that stored them had been lost, but not the position.
    let forget = "UPDATE streampipeline_offsets SET state = jsonb_set(state::jsonb, '{audit}', '{}') \
                  WHERE partition = 0 RETURNING state->>'records'";
    let forgotten: u64 = real.ask(forget).await[0].parse().unwrap();
    let audit = real.run(&["audit"]);
    assert_eq!((audit.code, audit.audited("missing")), (3, forgotten), "{audit}");
    assert!(audit.stdout.contains("tells_events/0: run "), "{audit}");
    assert!(audit.stdout.contains(": missing 0.."), "{audit}");
    let json: Value = serde_json::from_str(&real.run(&["audit", "--json"]).stdout).unwrap();
    assert_eq!(json["missing"], forgotten);

    // Without Kafka only the sink speaks, and it has forgotten.
    let alone = real.succeed(&["audit", "--kafka", "127.0.0.1:1"]);
    assert!(alone.stdout.contains("only the sink was looked at: "), "{alone}");
}

#[tokio::test]
async fn dead_letters_are_listed_shown_and_sent_again() {
    let real = Real::new("letters").await;
    real.up(1_000);
    let broken: [(&str, &[u8]); 3] = [
        ("7", b"{\"user_id\": "),
        ("8", b"\xff\x1b[2J"),
        ("9", b"{\"user_id\": \"many\"}"),
    ];
    real.produce(&broken);
    let outcome = real.up(1_500);
    assert_eq!(
        outcome.audit(),
        "audit: produced 1500, stored 1500, dead letters 3, unread 0, missing 0, doubled 0"
    );

    let list = real.succeed(&["dead-letters", "list"]).stdout;
    assert_eq!(list.lines().count(), 4, "{list}");
    assert!(
        list.contains("letters_events/1/") && list.contains("\\xff\\x1b[2J"),
        "{list}"
    );
    let letters = real.letters();
    let values: Vec<&str> = letters
        .iter()
        .map(|letter| letter["value"].as_str().unwrap())
        .collect();
    assert!(
        values.contains(&"{\"user_id\": ") && values.contains(&"\\xff\\x1b[2J"),
        "{values:?}"
    );
    let letter = letters.iter().find(|letter| letter["key"] == "7").unwrap();
    let offset = letter["offset"].as_i64().unwrap();
    let id = format!("letters_events/1/{offset}");
    assert!(
        letter["id"].as_str().unwrap().starts_with(&format!("{id}/")),
        "{letter}"
    );
    let shown = real.succeed(&["dead-letters", "show", &id]).stdout;
    assert!(
        shown.contains(&format!("letters_events/1 at offset {offset}")),
        "{shown}"
    );
    for unknown in ["123456", "letters_events/1/123456"] {
        let unknown = real.run(&["dead-letters", "show", unknown]);
        assert_eq!(unknown.code, 2, "{unknown}");
    }

    let sent = real.succeed(&["dead-letters", "replay", "--id", &id]);
    assert_eq!(sent.stdout, "1 record sent again\n");
    let (value, origin) = last_record(&real, 1).await;
    assert_eq!(
        (value.as_slice(), origin),
        (broken[0].1, Some(format!("letters_events/1/{offset}")))
    );
    let is_sent = |letter: &&Value| letter["replayedAt"].is_string();
    assert_eq!(real.letters().iter().filter(is_sent).count(), 1);
    assert_eq!(
        real.succeed(&["dead-letters", "replay", "--all"]).stdout,
        "2 records sent again\n"
    );
    assert_eq!(
        real.succeed(&["dead-letters", "replay", "--all"]).stdout,
        "there is nothing to send again\n"
    );

    // What is broken stays broken: new dead letters, none lost, and the audit is not confused.
    let outcome = real.up(2_000);
    assert_eq!(
        outcome.audit(),
        "audit: produced 2000, stored 2000, dead letters 6, unread 0, missing 0, doubled 0"
    );
    assert_eq!(real.letters().len(), 6);
    let all = real.succeed(&["dead-letters", "list", "--all", "--json"]).stdout;
    let all: Vec<Value> = serde_json::from_str(&all).unwrap();
    let places: Vec<_> = all.iter().map(|letter| letter["offset"].as_i64()).collect();
    assert!(places.len() == 6 && places.is_sorted(), "{places:?}");
}

/// Value and `sp-replay-of` of the last record of a partition.
async fn last_record(real: &Real, partition: i32) -> (Vec<u8>, Option<String>) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &real.bootstrap)
        .set("group.id", "test")
        .set("enable.partition.eof", "false")
        .create()
        .unwrap();
    let (_, high) = consumer
        .fetch_watermarks(&real.topic(), partition, MOMENT)
        .unwrap();
    let mut assignment = rdkafka::TopicPartitionList::new();
    assignment
        .add_partition_offset(&real.topic(), partition, rdkafka::Offset::Offset(high - 1))
        .unwrap();
    consumer.assign(&assignment).unwrap();
    eventually(MOMENT, async || {
        let message = consumer.poll(Duration::from_millis(100))?.ok()?;
        let header = message.headers().and_then(|headers| {
            let header = headers.iter().find(|header| header.key == "sp-replay-of")?;
            Some(String::from_utf8(header.value?.to_vec()).unwrap())
        });
        Some((message.payload().unwrap().to_vec(), header))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_preflight_finds_what_is_not_there() {
    let real = Real::new("preflight").await;
    let outcome = real.succeed(&["preflight"]);
    for line in [
        "ok    spec.sink.postgres.secretRef: secret db has username and password",
        "ok    access to Kafka: granted",
        "ok    topic preflight_events: not there; will be made with 2 partitions",
        "ok    schema public: tables can be made",
        "everything is there",
    ] {
        assert!(
            outcome.stdout.lines().any(|other| other == line),
            "{line}: {outcome}"
        );
    }
    real.place.write("secrets/db/password", "wrong");
    let outcome = real.run(&["preflight", "--kafka", "127.0.0.1:1"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (1, ""), "{outcome}");
    assert!(
        outcome
            .stdout
            .contains("FAIL  broker 127.0.0.1:1: Connection refused"),
        "{outcome}"
    );
    assert!(
        outcome.stdout.contains("FAIL  PostgreSQL 127.0.0.1:"),
        "{outcome}"
    );
    assert!(outcome.stdout.ends_with("3 things to fix\n"), "{outcome}");

    // The same mistakes end a run with one clear line.
    let outcome = real.run(&["up", "--kafka", "manifest", "--sink", "manifest", "--for", "1s"]);
    assert_eq!(outcome.code, 1, "{outcome}");
    assert!(
        outcome.stderr.contains("error: ") && outcome.stderr.contains("password"),
        "{outcome}"
    );
}
