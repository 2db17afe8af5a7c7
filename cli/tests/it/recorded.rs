//! What the programs of earlier releases left behind, and what these make of it: the recordings of `upgrade`.

use std::collections::BTreeMap;

use serde_json::Value;
use testbed::{Kafka, Postgres};
use upgrade::pipeline::{EVENTS, MEASUREMENTS, Place, Sink};
use upgrade::programs::Programs;
use upgrade::recording::{PRODUCED, Recording};
use upgrade::topic::{self, Record, Topic};
use upgrade::{expected, stored};

/// Releases from which one can come to this one.
const RECORDINGS: [&str; 1] = ["e766835"];

fn programs() -> Programs {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_streampipeline"));
    Programs::new(program.parent().unwrap())
}

/// Databases, topics and offsets: read as they are, and then gone on with, in both sinks.
#[tokio::test]
async fn a_recorded_pipeline_goes_on() {
    for revision in RECORDINGS {
        let recording = Recording::of(revision);
        // Of their own: names are the recording's.
        let kafka = Kafka::start().await.unwrap();
        let postgres = Postgres::start().await.unwrap();
        let place = recording.restore(&programs(), &kafka, &postgres).await;
        for sink in [Sink::Postgres, Sink::Sqlite] {
            assert_eq!(place.audit(sink).1, recording.audit(sink), "{revision}: {sink:?}");
            same_letters(&place.dead_letters(sink), &recording.dead_letters(sink));
            let checked = place.run(sink, "preflight", &[]);
            assert!(checked.ends_with("everything is there\n"), "{checked}");
        }
        for sink in [Sink::Postgres, Sink::Sqlite] {
            let before = recording.audit(sink);
            let known = recording.dead_letters(sink).len();
            replays(&place, sink);
            goes_on(&place, sink, &before).await;
            assert!(place.dead_letters(sink).len() > known);
            report(&place, sink).await;
        }
        produced_what_came_next(&place, &recording);
    }
}

/// Letters by what they say; how they are named is the release's own business.
fn same_letters(now: &[Value], before: &[Value]) {
    let what = |letters: &[Value]| {
        let what = |letter: &Value| {
            let members = [
                "topic",
                "partition",
                "offset",
                "timestamp",
                "stage",
                "error",
                "storedAt",
                "replayedAt",
                "keyHex",
                "valueHex",
            ];
            members.map(|member| letter[member].to_string())
        };
        let mut letters: Vec<_> = letters.iter().map(what).collect();
        letters.sort_unstable();
        letters
    };
    assert_eq!(what(now), what(before));
}

/// A letter can be shown; all that were not sent are sent, and the one that the recorded programs have sent is not.
fn replays(place: &Place, sink: Sink) {
    let unsent = || {
        let letters = place.dead_letters(sink);
        letters
            .into_iter()
            .filter(|letter| letter["replayedAt"].is_null())
            .collect::<Vec<_>>()
    };
    let letters = unsent();
    assert_eq!(letters.len(), 2, "{letters:?}");
    let id = letters[0]["id"].to_string();
    let shown = place.run(sink, "dead-letters", &["show", id.trim_matches('"')]);
    let at = format!("{EVENTS}/1 at offset {}", letters[0]["offset"]);
    assert!(shown.contains(&at), "{shown}");
    let sent = place.run(sink, "dead-letters", &["replay", "--all"]);
    assert_eq!(sent, "2 records sent again\n");
    assert_eq!(unsent(), [Value::Null; 0]);
}

/// The generator produces on, the workers store what is there, and nothing was stored twice or not at all.
async fn goes_on(place: &Place, sink: Sink, before: &Value) {
    assert!(
        before["unread"].as_u64() > Some(0) && before["missing"] == 1,
        "{before}"
    );
    let count = PRODUCED[2].to_string();
    let up = [
        "--kafka", "manifest", "--sink", "manifest", "--count", &count, "--rate", "20000",
    ];
    let _ = place.run(sink, "up", &up);
    let (clean, audit) = place.audit(sink);
    assert!(clean, "{audit:#}");
    // The four numbered by hand are a run of their own.
    assert_eq!(audit["produced"], PRODUCED[2] + 4, "{audit:#}");
    assert_eq!(audit["unread"], 0, "{audit:#}");
    assert_eq!(audit["partitions"].as_array().unwrap().len(), 5);

    let events = Topic::read(&place.bootstrap, EVENTS);
    let expected = expected::tables(&events, &stored::genres(place, sink).await);
    stored::assert_same(
        &stored::tables(place, sink).await,
        &expected,
        &format!("{sink:?}"),
    );
    let measured = Topic::read(&place.bootstrap, MEASUREMENTS).records.len();
    let all = audit["stored"].as_u64().unwrap() + audit["deadLetters"].as_u64().unwrap();
    assert_eq!(all, (events.records.len() + measured) as u64);

    // The recorded programs stored the same measurements before.
    let theirs = stored::measurements(place, sink, "id < 100").await;
    assert_eq!(theirs.len(), 12);
    assert_eq!(
        stored::measurements(place, sink, "id >= 100").await,
        theirs,
        "{sink:?}"
    );
}

/// Models and reports find the tables as they need them.
async fn report(place: &Place, sink: Sink) {
    for model in ["likes_by_track", "recommendations"] {
        let made = place.run(sink, "model", &[model]);
        assert!(made.starts_with(&format!("model {model}: ")), "{made}");
    }
    let count = |sql: &'static str| async move {
        let json = match sink {
            Sink::Postgres => "json_build_array",
            Sink::Sqlite => "json_array",
        };
        let cast = if sink == Sink::Postgres { "::text" } else { "" };
        let sql = format!("SELECT {json}(CAST(({sql}) AS text)){cast}");
        stored::ask(place, sink, &sql).await
    };
    assert_eq!(
        count("SELECT sum(likes) FROM likes_by_track").await,
        count("SELECT count(*) FROM likes").await
    );
    let genres = place.run(sink, "report", &["genres", "--csv"]);
    assert_eq!(genres.lines().count(), 6, "{genres}");
}

/// The events after the recorded ones are those that the recorded generator produced after them: none again, none left out.
fn produced_what_came_next(place: &Place, recording: &Recording) {
    let numbered = |records: Vec<Record>| {
        let numbered = records.into_iter().filter(|record| record.header("sp").is_some());
        let mut numbered: Vec<_> = numbered
            .map(|record| (record.partition, record.headers, record.key, record.value))
            .collect();
        numbered.sort_unstable();
        numbered
    };
    let before = recording.topic(EVENTS);
    let mut after = Topic::read(&place.bootstrap, EVENTS).records;
    let end = |record: &Record| before.ends[usize::try_from(record.partition).unwrap()];
    after.retain(|record| record.offset >= end(record));
    let (now, then) = (numbered(after), numbered(recording.next_events()));
    assert_eq!(then.len() as u32, PRODUCED[2] - PRODUCED[1]);
    assert_eq!(now, then);

    let all = Topic::read(&place.bootstrap, EVENTS);
    for partition in 0..3 {
        for (place, numbers) in topic::numbers(all.partition(partition)) {
            let sorted: BTreeMap<u64, ()> = numbers.iter().map(|number| (*number, ())).collect();
            assert!(
                sorted.into_keys().eq(0..numbers.len() as u64),
                "{place:?} in partition {partition}"
            );
        }
    }
}
