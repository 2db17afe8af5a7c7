//! The upgrade of a pipeline that runs: one program after the other, old and new side by side in between.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use testbed::{Kafka, Postgres, Process};

use crate::pipeline::{EVENTS, MANIFEST, MEASUREMENTS, Place, Sink, TOPICS, event, measurements};
use crate::programs::Programs;
use crate::topic::{self, Topic};
use crate::{PATIENCE, expected, stored};

/// Events a second.
const RATE: u32 = 2_000;
/// For how long each mixture of programs is at work.
const WHILE: Duration = Duration::from_secs(4);

const BOTH: [Sink; 2] = [Sink::Postgres, Sink::Sqlite];

/// Runs the pipeline with the old programs and replaces them by the new ones; panics where the audit or the rows are not what
/// the topics ask for.
pub async fn upgrade(old: &Programs, new: &Programs) {
    let kafka = Kafka::start().await.unwrap();
    let postgres = Postgres::start().await.unwrap();
    let mut place = Place::new(old, MANIFEST, RATE, &kafka, &postgres).await;
    for (name, partitions) in TOPICS {
        topic::create(&place.bootstrap, name, partitions).await;
    }
    let mut generator = place.generator(&["--replica-id", "a"]);
    topic::send(&place.bootstrap, MEASUREMENTS, &measurements(0));
    topic::send(&place.bootstrap, EVENTS, &[event(9_002, r#"{"user_id": "#, None)]);
    // One after the other: the workers of both sinks would be one group.
    workers(&mut place, Sink::Postgres, old, new).await;
    say("the generator is replaced");
    let mut beside = place.generator(&["--replica-id", "b"]);
    tokio::time::sleep(WHILE).await;
    stop(&mut generator).await;
    generator = place.generator(&["--replica-id", "a"]);
    let sent = place.run(Sink::Postgres, "dead-letters", &["replay", "--all"]);
    assert!(sent.starts_with("1 record"), "{sent}");
    workers(&mut place, Sink::Sqlite, old, new).await;
    topic::send(&place.bootstrap, MEASUREMENTS, &measurements(100));
    stop(&mut beside).await;
    stop(&mut generator).await;
    for sink in BOTH {
        let mut worker = place.worker(sink, "new-c");
        place.drained(sink).await;
        stop(&mut worker).await;
    }
    compare(&place).await;
    embedded(&mut place, old, new);
    say("every record was stored once: rows and audit are what the topics ask for");
}

/// Old workers, then old and new ones, then new ones.
async fn workers(place: &mut Place, sink: Sink, old: &Programs, new: &Programs) {
    say(&format!("{sink:?}: the old workers are at work"));
    place.replace(old);
    place.prepare(sink);
    let mut stopped = place.worker(sink, "old-a");
    let mut killed = place.worker(sink, "old-b");
    let enough =
        |audit: &Value| audit["stored"].as_u64() > Some(2_000) && audit["deadLetters"].as_u64() > Some(0);
    place.until(sink, enough).await;

    say(&format!(
        "{sink:?}: the new workers come beside them, and take over"
    ));
    place.replace(new);
    place.prepare(sink);
    let mut first = place.worker(sink, "new-a");
    tokio::time::sleep(WHILE).await;
    stop(&mut stopped).await;
    let mut second = place.worker(sink, "new-b");
    tokio::time::sleep(WHILE).await;
    killed.kill().unwrap();
    tokio::time::sleep(WHILE).await;
    stop(&mut first).await;
    stop(&mut second).await;
}

async fn stop(process: &mut Process) {
    process.terminate().unwrap();
    let status = process.wait(PATIENCE).await.unwrap();
    assert!(status.success(), "{}", process.output().unwrap());
}

async fn compare(place: &Place) {
    let events = Topic::read(&place.bootstrap, EVENTS);
    for partition in 0..events.ends.len() {
        for numbers in topic::numbers(events.partition(i32::try_from(partition).unwrap())).values() {
            assert!(
                numbers.iter().copied().eq(0..numbers.len() as u64),
                "the generators skipped or repeated events in partition {partition}"
            );
        }
    }
    let generated: BTreeMap<_, _> = topic::numbers(&events.records);
    assert_eq!(generated.len(), 4, "one run of four shards");
    for sink in BOTH {
        let (clean, audit) = place.audit(sink);
        assert!(clean, "{sink:?}: {audit:#}");
        // The broken record, and the same sent again.
        assert_eq!(
            (&audit["unread"], &audit["deadLetters"]),
            (&0.into(), &2.into()),
            "{audit:#}"
        );
        assert_eq!(place.dead_letters(sink).len(), 2);
        let genres = stored::genres(place, sink).await;
        let rows = stored::tables(place, sink).await;
        stored::assert_same(&rows, &expected::tables(&events, &genres), &format!("{sink:?}"));
        let first = stored::measurements(place, sink, "id < 100").await;
        assert_eq!(first.len(), 12);
        assert_eq!(
            first,
            stored::measurements(place, sink, "id >= 100").await,
            "{sink:?}"
        );
        say(&format!("{sink:?}: {} events are stored once", audit["stored"]));
    }
}

/// `streampipeline up` with what it has inside: the new command reads what the old one left, and then begins anew.
fn embedded(place: &mut Place, old: &Programs, new: &Programs) {
    place.replace(old);
    let up = |place: &Place, count: &str| {
        let audit = place.run(Sink::Sqlite, "up", &["--count", count, "--rate", "20000"]);
        let line = audit.lines().find(|line| line.starts_with("audit: "));
        line.unwrap_or_else(|| panic!("{audit}")).to_owned()
    };
    let clean = |count: &str| {
        format!("audit: produced {count}, stored {count}, dead letters 0, unread 0, missing 0, doubled 0")
    };
    assert_eq!(up(place, "3000"), clean("3000"));
    let report =
        |place: &Place| place.run(Sink::Sqlite, "report", &["--sink", "embedded", "genres", "--csv"]);
    let before = report(place);
    place.replace(new);
    assert_eq!(report(place), before);
    let audit = place.run(Sink::Sqlite, "audit", &["--sink", "embedded"]);
    assert!(audit.contains("stored 3000"), "{audit}");
    assert_eq!(up(place, "4000"), clean("4000"));
    say("up: the embedded sink of the old programs is read and replaced");
}

fn say(line: &str) {
    println!("{line}");
}
