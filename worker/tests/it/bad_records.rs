//! Records that cannot be stored: each becomes a dead letter with its bytes and the reason, and costs nobody else.

use crate::support::{Bed, send};
use sqlx::{AssertSqlSafe, Row};
use testbed::{Kafka, Postgres, eventually};

const PLAY: &[u8] =
    br#"{"user_id":1,"track_id":2,"event_timestamp":"2026-01-01T00:00:00Z","event_type":"streaming"}"#;

async fn count(bed: &Bed, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(&mut bed.connect().await)
        .await
        .unwrap()
}

/// Broken, empty, absent, oversize, deeply nested, not UTF-8, doubled fields, wrong types.
#[tokio::test(flavor = "multi_thread")]
async fn every_broken_record_is_a_dead_letter_with_its_bytes() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("broken", kafka, postgres).await;
    bed.prepare().await;
    let deep = ["{\"user_id\":".to_owned(), "[".repeat(5_000)].concat();
    let oversize = [
        br#"{"user_id":1,"event_type":"streaming","other":""#.as_slice(),
        &vec![b'x'; 900_000],
        b"\"}",
    ]
    .concat();
    let broken: [(Option<&[u8]>, &str); 7] = [
        (None, "the record has no value (a tombstone)"),
        (Some(b""), "the record's value is empty"),
        (
            Some(b"{\"user_id\":1"),
            "not JSON: EOF while parsing an object at position 12",
        ),
        (
            Some(b"{\"user_id\":\"\xff\"}"),
            "the record is not UTF-8: wrong byte at position 13",
        ),
        (
            Some(b"{\"user_id\":1,\"user_id\":2}"),
            "the field user_id is there twice",
        ),
        (
            Some(b"{\"user_id\":\"me\"}"),
            "field user_id: expected int, found \"me\"",
        ),
        (
            Some(deep.as_bytes()),
            "field user_id: expected int, found an array",
        ),
    ];
    let mut values: Vec<Option<&[u8]>> = vec![Some(PLAY); 20];
    values.extend(broken.iter().map(|(value, _)| *value));
    values.push(Some(&oversize));
    values.extend([Some(PLAY); 20]);
    send(&bed.bootstrap, &bed.name, 1, &values);
    let _worker = bed.worker("one");
    bed.stored(values.len() as u64).await;
    assert_eq!(
        count(&bed, "track_stream_event_log").await,
        41,
        "the oversize record is a good one"
    );
    let mut letters = bed.sink().await.newest_dead_letters(100).await.unwrap();
    letters.sort_by_key(|letter| letter.id.offset);
    let found: Vec<_> = letters
        .iter()
        .map(|letter| {
            (
                letter.id.offset,
                letter.stage.as_str(),
                letter.value.as_deref(),
                letter.error.as_str(),
            )
        })
        .collect();
    let expected: Vec<_> = broken
        .iter()
        .enumerate()
        .map(|(at, (value, error))| (20 + at as i64, "decode", *value, *error))
        .collect();
    assert_eq!(found, expected);
}

/// A row that SQL cannot compute, and one that the table refuses, among five thousand.
#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_in_thousands_is_the_only_one_left_out() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("one-bad", kafka, postgres).await.tables(
        "
    - name: log
      sql: SELECT user_id, 1000 / track_id AS share, event_type FROM \"{topic}\"
    - name: by_type
      sql: SELECT event_type, count(*) AS events FROM \"{topic}\" GROUP BY 1
      write: {merge: {key: [event_type], sum: [events]}}
",
    );
    bed.prepare().await;
    sqlx::query("ALTER TABLE log ADD CHECK (user_id <> 13)")
        .execute(&mut bed.connect().await)
        .await
        .unwrap();
    let values: Vec<Vec<u8>> = (0..5_000)
        .map(|at| {
            let (user, track, kind) = match at {
                1_234 => (1, 0, "a"),
                3_456 => (13, 1, "a"),
                4_999 => (1, 1, "nul \\u0000"),
                _ => (1, 1, "a"),
            };
            format!(r#"{{"user_id":{user},"track_id":{track},"event_type":"{kind}"}}"#).into_bytes()
        })
        .collect();
    let values: Vec<Option<&[u8]>> = values.iter().map(|value| Some(value.as_slice())).collect();
    send(&bed.bootstrap, &bed.name, 0, &values);
    let _worker = bed.worker("one");
    bed.stored(5_000).await;
    let mut letters = bed.sink().await.newest_dead_letters(100).await.unwrap();
    letters.sort_by_key(|letter| letter.id.offset);
    let found: Vec<_> = letters
        .iter()
        .map(|letter| (letter.id.offset, letter.stage.as_str()))
        .collect();
    assert_eq!(
        found,
        [(1_234, "sql"), (3_456, "sink"), (4_999, "sink")],
        "{letters:#?}"
    );
    assert!(
        letters[0].error.to_lowercase().contains("divide by zero"),
        "{}",
        letters[0].error
    );
    assert!(
        letters[1].error.contains("log_user_id_check"),
        "{}",
        letters[1].error
    );
    assert_eq!(count(&bed, "log").await, 4_997);
    let merged: i64 = sqlx::query("SELECT sum(events)::bigint FROM by_type")
        .fetch_one(&mut bed.connect().await)
        .await
        .unwrap()
        .get(0);
    assert_eq!(merged, 4_997, "a record is in all tables or in none");
}

/// When nearly everything is bad, the partition halts and says so, and goes on when the table is mended.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_bad_rows_halts_instead_of_draining_into_dead_letters() {
    let (kafka, postgres) = (Kafka::shared().await.unwrap(), Postgres::shared().await.unwrap());
    let bed = Bed::new("flood", kafka, postgres).await;
    bed.prepare().await;
    sqlx::query("ALTER TABLE track_stream_event_log ADD CONSTRAINT nobody CHECK (user_id < 0)")
        .execute(&mut bed.connect().await)
        .await
        .unwrap();
    send(&bed.bootstrap, &bed.name, 0, &vec![Some(PLAY); 3_000]);
    let mut worker = bed.worker("one");
    let line = worker
        .wait_for_line("halted at offset 0", crate::support::PATIENCE)
        .await
        .unwrap();
    assert!(line.contains("nobody") && line.contains("haltAbove"), "{line}");
    assert_eq!(
        (
            bed.records().await,
            count(&bed, "streampipeline_dead_letters").await
        ),
        (0, 0)
    );
    sqlx::query("ALTER TABLE track_stream_event_log DROP CONSTRAINT nobody")
        .execute(&mut bed.connect().await)
        .await
        .unwrap();
    bed.stored(3_000).await;
    eventually(crate::support::PATIENCE, async || {
        count(&bed, "track_stream_event_log").await == 3_000
    })
    .await
    .unwrap();
}
